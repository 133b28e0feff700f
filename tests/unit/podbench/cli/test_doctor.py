"""What `bench doctor` prints for what was found, and what it refuses."""

import json

import pytest
import typer
from typer.testing import CliRunner

from podbench.cli import doctor
from podbench.model.errors import ConfigError
from podbench.run import doctor as checks
from podbench.run.doctor import Check, Need

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
    monkeypatch.setattr(doctor, "_examine", lambda *, instrument: found)
    app = typer.Typer()
    app.command()(doctor.doctor)
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_everything_good_is_exit_0_and_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """No remedy is printed where none is needed."""
    code, text = _run(monkeypatch, [GOOD])
    assert code == 0
    assert "all three modes" in text
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
    "arguments", [{"target": "kubernetes"}, {"context": "kind"}, {"target": "labb"}]
)
def test_a_cluster_is_refused_plainly(arguments: dict[str, str]) -> None:
    """This version looks at the lab only; a typing error is named with the nearest word."""
    with pytest.raises(ConfigError) as refused:
        doctor.doctor(**arguments)  # type: ignore[arg-type] # one of several options
    assert refused.value.exit_code == 2
    assert "lab" in f"{refused.value} {refused.value.advice}"


def test_verdicts_exist_for_every_exit_code() -> None:
    """Each code that checks can lead to has a sentence."""
    for found in ([GOOD], [PART], [GONE]):
        assert doctor.verdict(checks.exit_code(found)).startswith("bench run ")
