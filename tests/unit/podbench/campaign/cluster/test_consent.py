"""A kubeconfig alone changes nothing."""

import pytest

from podbench.campaign.cluster import consent
from podbench.model.errors import ConfigError

SERVER = "https://192.0.2.1:6443"


def test_a_named_context_and_yes_are_consent() -> None:
    """Programs say both."""
    consent.require("prod", SERVER, named=True, yes=True, ask=None)


@pytest.mark.parametrize(("named", "yes"), [(False, True), (True, False), (False, False)])
def test_one_of_them_alone_is_not(named: bool, yes: bool) -> None:
    """Where nobody can be asked, nothing is changed, and the way to say so is named."""
    with pytest.raises(ConfigError) as caught:
        consent.require("prod", SERVER, named=named, yes=yes, ask=None)
    assert caught.value.advice == ("give consent with --context prod --yes")


def test_people_type_the_name() -> None:
    """They are shown context and server, and the name has to be right."""
    shown: list[str] = []

    def ask(question: str) -> str:
        shown.append(question)
        return "prod\n"

    consent.require("prod", SERVER, named=False, yes=False, ask=ask)
    assert "prod" in shown[0]
    assert SERVER in shown[0]


@pytest.mark.parametrize("typed", ["", "y", "yes", "Prod", "staging"])
def test_anything_else_is_a_no(typed: str) -> None:
    """A habitual yes is none."""
    with pytest.raises(ConfigError, match="nothing was changed"):
        consent.require("prod", SERVER, named=True, yes=False, ask=lambda _: typed)
