"""`bench` in this process: quick enough for many calls, with real parsing and error handling."""

import sys

import pytest

from podbench.cli import compare, export, gate, main

for _name, _command in (
    ("gate", gate.gate),
    ("export", export.export),
    ("compare", compare.compare),
):
    if _name not in {known.name for known in main.app.registered_commands}:
        main.app.command(_name)(_command)


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
