"""The journal survives a crash in the middle of a line."""

from pathlib import Path

import pytest

from podbench.campaign.journal import Entry, Failure, Journal, Span, latest, lost
from podbench.model.arms import Arm, Mode, parse_arm


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


def _of(number: int, *failures: Failure, transfers: int = 0) -> Entry:
    spans = tuple(
        Span(kind="throughput", path="pod", src="n1", dst="n2", start_mono_ns=0, end_mono_ns=1)
        for _ in range(transfers)
    )
    return Entry(
        event="round",
        wall_ns=1,
        block=1,
        arm="bgp/pod",
        round=number,
        failures=failures,
        spans=spans,
    )


def _failure(kind: str, path: str = "pod") -> Failure:
    return Failure(kind=kind, path=path, src="n1", dst="n2", reason="n1-bgp is gone")


@pytest.mark.parametrize(
    ("entry", "gone"),
    [
        (_of(1), False),
        (_of(1, _failure("warm")), True),
        (_of(1, _failure("idle")), True),
        (_of(1, _failure("warm", "host")), False),
        (_of(1, _failure("loaded"), transfers=2), False),
        (_of(1, _failure("throughput"), transfers=2), False),
        (_of(1, _failure("throughput"), _failure("throughput"), transfers=2), True),
        (_of(1, _failure("load-small-25")), False),
    ],
)
def test_a_round_that_brought_nothing_back_is_lost(entry: Entry, gone: bool) -> None:
    """Latency of a pair on the pods' path, or all of its transfers: that counts as missing."""
    assert lost(entry) is gone


def test_a_lost_round_is_not_done_until_it_is_measured_again(tmp_path: Path) -> None:
    """Its last line counts."""
    journal = Journal(tmp_path / "journal.jsonl")
    journal.write(_of(1, _failure("warm")))
    journal.write(_of(2))
    assert journal.rounds_done() == {(1, parse_arm("bgp/pod"), 2)}
    journal.write(_of(1))
    assert journal.rounds_done() == {(1, parse_arm("bgp/pod"), n) for n in (1, 2)}
    assert len(latest(journal.entries())) == 2
