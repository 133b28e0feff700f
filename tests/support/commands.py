"""`bench` in this process: quick enough for many calls, with real parsing and error handling."""

import sys

import pytest

from podbench.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Runs one command; returns its exit code, standard output and standard error."""
    before, sys.argv = sys.argv, ["bench", *arguments]
    capsys.readouterr()
    try:
        main.main()
        code: str | int | None = 0
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.argv = before
    said = capsys.readouterr()
    return int(code or 0), said.out, said.err
