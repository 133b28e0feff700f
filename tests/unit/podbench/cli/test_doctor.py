"""What `bench doctor` prints for what was found, where it looks, and what it refuses."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from podbench.cli import doctor
from podbench.doctor import checks
from podbench.doctor.checks import Check, Need
from podbench.model.errors import ConfigError

FOUND = Path("kubeconfig")
GOOD = Check(name="good", ok=True, found="here", needed_for="runs", need=Need.RUN)
PART = Check(
    name="IPIP",
    ok=False,
    found="kernel has [no] IPIP",
    needed_for="the mode ipip",
    need=Need.PART,
    advice="sudo modprobe ipip",
)
SLOW = Check(name="clock", ok=None, found="40 µs", needed_for="times", need=Need.ADVICE)
GONE = Check(
    name="BIRD",
    ok=False,
    found="not installed",
    needed_for="BGP",
    need=Need.RUN,
    package="bird2",
)


def _run(monkeypatch: pytest.MonkeyPatch, found: list[Check], *arguments: str) -> tuple[int, str]:
    monkeypatch.setattr(doctor, "_examine_lab", lambda: found)
    monkeypatch.setattr("podbench.campaign.spec.kubeconfig", lambda: None)
    app = typer.Typer()
    app.command()(doctor.doctor)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_everything_good_is_exit_0_and_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """No remedy is printed where none is needed."""
    code, text = _run(monkeypatch, [GOOD])
    assert code == 0
    assert "with all modes" in text
    assert "Install" not in text


def test_each_failed_check_stands_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found is shown as it is, brackets included, and the remedy is one line to copy."""
    code, text = _run(monkeypatch, [GOOD, PART])
    assert code == 3
    assert "kernel has [no] IPIP" in text
    assert "IPIP: sudo modprobe ipip" in text.splitlines()


def test_missing_packages_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing program ends in exit 2 and the apt line."""
    code, text = _run(monkeypatch, [GONE, PART])
    assert code == 2
    assert "apt-get install --no-install-recommends -y bird2" in text


def test_json_is_one_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --json stdout is a document of the same checks, verdict and exit code."""
    code, text = _run(monkeypatch, [GOOD, PART], "--json")
    document = json.loads(text)
    assert document["exit_code"] == code == 3
    assert [check["name"] for check in document["checks"]] == ["good", "IPIP"]
    assert document["checks"][1]["ok"] is False


def test_words_survive_a_terminal_that_knows_ascii_only() -> None:
    """The micro sign becomes u, anything else a question mark; other terminals get it as it is."""
    assert doctor._ascii("40 µs é ok", plain=True) == "40 us ? ok"
    assert doctor._ascii("40 µs", plain=False) == "40 µs"


def test_marks_are_words_so_that_colour_is_not_needed() -> None:
    """Good, failed, failed but harmless, and not told are four different words."""
    harmless = Check(name="x", ok=False, found="", needed_for="", need=Need.ADVICE)
    marks = [doctor._mark(check)[0] for check in (GOOD, PART, harmless, SLOW)]
    assert marks == ["ok", "NO", "note", "?"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"target": "labb"},
        {"image": "registry.example/podbench:1"},
        {"target": "lab", "context": "kind"},
        {"target": "lab", "image": "registry.example/podbench:1"},
    ],
)
def test_what_does_not_go_together_is_refused(
    monkeypatch: pytest.MonkeyPatch, arguments: dict[str, str]
) -> None:
    """A lab has neither context nor image; a typing error is named with the nearest word."""
    monkeypatch.setattr("podbench.campaign.spec.kubeconfig", lambda: None)
    with pytest.raises(ConfigError) as refused:
        doctor.doctor(**arguments)
    assert refused.value.exit_code == 2
    assert "lab" in f"{refused.value} {refused.value.advice}"


@pytest.mark.parametrize(
    ("arguments", "there", "place"),
    [
        ({}, False, "lab"),
        ({}, True, "kubernetes"),
        ({"context": "prod"}, False, "kubernetes"),
        ({"image": "registry.example/podbench:1"}, True, "kubernetes"),
        ({"target": "lab"}, True, "lab"),
        ({"target": "kubernetes"}, False, "kubernetes"),
    ],
)
def test_doctor_looks_where_a_run_would_go(
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, str],
    there: bool,
    place: str,
) -> None:
    """With `auto` a kubeconfig decides, and so does a context."""
    looked: list[str] = []

    def look(where: str) -> list[Check]:
        looked.append(where)
        return [GOOD]

    monkeypatch.setattr("podbench.campaign.spec.kubeconfig", lambda: FOUND if there else None)
    monkeypatch.setattr(doctor, "_examine_lab", lambda: look("lab"))
    monkeypatch.setattr(doctor, "_examine_cluster", lambda _: look("kubernetes"))
    with pytest.raises(typer.Exit):
        doctor.doctor(**arguments)
    assert looked == [place]


def test_verdicts_exist_for_every_exit_code() -> None:
    """Each code that checks can lead to has a sentence."""
    for found in ([GOOD], [PART], [GONE]):
        for place in ("lab", "kubernetes"):
            assert doctor.verdict(checks.exit_code(found), place).startswith("bench run ")
