"""What is logged says why, and where, on the terminal too."""

import logging

import pytest

from podbench.cli import log


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({}, "broker unreachable"),
        ({"why": "refused"}, "broker unreachable: refused"),
        ({"why": "refused", "broker": "b:1"}, "broker unreachable: refused (broker b:1)"),
        ({"node": "n2"}, "broker unreachable (node n2)"),
    ],
)
def test_a_line_has_its_reason(given: dict[str, str], line: str) -> None:
    """The event alone would leave the reader to guess."""
    record = logging.makeLogRecord({"msg": "broker unreachable", **given})
    assert log.Line().format(record) == line
