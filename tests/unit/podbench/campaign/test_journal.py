"""The journal survives a crash in the middle of a line."""

from pathlib import Path

import pytest

from podbench.campaign.journal import Entry, Journal
from podbench.model.arms import Arm, Mode


def _round(number: int) -> Entry:
    return Entry(event="round", wall_ns=1, block=2, arm="vxlan/pod#2", round=number)


def test_rounds_read_back(tmp_path: Path) -> None:
    """What was written is what is done."""
    journal = Journal(tmp_path / "journal.jsonl")
    journal.note("begun")
    journal.write(_round(1))
    assert journal.rounds_done() == {(2, Arm(Mode.VXLAN, repeat=2), 1)}


@pytest.mark.parametrize(
    "torn", [b'{"event":"round","wall_ns":1,"block":2,"ar', b'{"event":"r\xffund","wall_ns":1}']
)
def test_a_damaged_line_is_passed_over(tmp_path: Path, torn: bytes) -> None:
    """A torn or altered last line is not done, and what is written after it is whole."""
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.write(_round(1))
    with path.open("ab") as file:
        file.write(torn)
    assert len(journal.rounds_done()) == 1
    journal.write(_round(3))
    assert {number for _, _, number in journal.rounds_done()} == {1, 3}


def test_no_journal_is_nothing_done(tmp_path: Path) -> None:
    """A run that has just begun has no entries."""
    assert Journal(tmp_path / "none").entries() == []
