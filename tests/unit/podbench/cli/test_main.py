"""What an error looks like to whoever typed the command."""

import sys

import pytest

from podbench.cli import main
from podbench.model.errors import ConfigError


def _raising(error: Exception, monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    def app(**_: object) -> None:
        raise error

    monkeypatch.setattr(main, "app", app)
    monkeypatch.setattr(sys, "argv", ["bench", *more])


def test_an_error_is_a_sentence_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its exit code is the error's own."""
    _raising(ConfigError("--rate: too much", advice="ask for less"), monkeypatch)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "bench: --rate: too much\n  -> ask for less\n"


def test_a_defect_is_told_as_one_and_keeps_its_traceback_for_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody but a developer reads tracebacks."""
    _raising(KeyError("n1"), monkeypatch)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert "KeyError: 'n1'" in told
    assert "--debug" in told
    assert "Traceback" not in told

    _raising(KeyError("n1"), monkeypatch, "--debug")
    with pytest.raises(KeyError):
        main.main()
