"""Somebody else's broker: how it is named, and where its credentials may and may not stand."""

from pathlib import Path

import pytest
from support.chart_settings import CERTIFICATE

from podbench.model.errors import ConfigError
from podbench.target.kubernetes.deploy import credentials, other_broker
from podbench.target.kubernetes.deploy.settings import ORCHESTRATOR

KNOWN = {
    other_broker.USERNAME: "bench",
    other_broker.PASSWORD: "a secret: of any letters",
}


def test_the_url_is_whole() -> None:
    """The port of MQTT over TLS goes without saying."""
    assert other_broker.url("mqtts://broker.example") == "mqtts://broker.example:8883"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mqtts://me:secret@broker.example", "do not belong in a URL"),
        ("mqtt://broker.example", "has no TLS"),
        ("unix:///run/mqtt.sock", "has no TLS"),
        ("https://broker.example", "not one podbench can connect to"),
    ],
)
def test_other_urls_are_refused(url: str, told: str) -> None:
    """By the option's name, with the way out, and without repeating a password."""
    with pytest.raises(ConfigError, match="--broker") as caught:
        other_broker.url(url)
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.advice is not None


@pytest.mark.parametrize("missing", [other_broker.USERNAME, other_broker.PASSWORD])
def test_what_the_environment_lacks_is_named(missing: str) -> None:
    """Before anything is made."""
    environment = {name: value for name, value in KNOWN.items() if name != missing}
    with pytest.raises(ConfigError, match=missing):
        other_broker.access("mqtts://broker.example", environment)


def test_all_agents_share_its_account(tmp_path: Path) -> None:
    """Name and certificate reach the chart; nothing of it shows in a log."""
    ca_file = tmp_path / "ca.crt"
    ca_file.write_text(CERTIFICATE, "utf-8")
    access = other_broker.access(
        "mqtts://broker.example:8884", {**KNOWN, other_broker.CA_FILE: str(ca_file)}
    )
    assert access.broker.username == "bench"
    assert (access.broker.url, access.broker.port) == ("mqtts://broker.example:8884", 8884)
    made = credentials.shared(["n1-host"], access)
    assert dict(made.passwords) == dict.fromkeys(
        ("n1-host", ORCHESTRATOR), KNOWN[other_broker.PASSWORD]
    )
    assert made.ca == CERTIFICATE
    assert not made.certificate
    assert "secret" not in repr(access) + str(access) + repr(made)
