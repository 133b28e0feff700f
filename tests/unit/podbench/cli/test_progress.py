"""The progress line: where a run is, how long it takes, which comparisons are still open."""

import io

from rich.console import Console
from support.specs import make_spec

from podbench.campaign import plan
from podbench.cli.progress import Screen

OPEN = [
    "rtt_app_ns.p99 of vxlan/pod against bgp/pod",
    "pdv_p99_ns of vxlan/pod against bgp/pod",
    "rtt_app_ns.p99 of ipip/pod against bgp/pod",
]


def _screen(*, terminal: bool) -> tuple[Screen, io.StringIO, plan.Plan]:
    sink = io.StringIO()
    console = Console(file=sink, force_terminal=terminal, width=200)
    screen = Screen(console, quiet=False)
    drawn = plan.draw(make_spec(blocks=6), ("n1", "n2"), exclusive=True)
    screen.planned(drawn, 0)
    return screen, sink, drawn


def test_a_look_is_said_and_kept_in_every_round() -> None:
    """Without a terminal: a line for the look, and what is open behind each later round."""
    screen, sink, drawn = _screen(terminal=False)
    visit = drawn.visits[0]
    screen.round_done(visit, visit.rounds[0], 0)
    assert "open" not in sink.getvalue()
    screen.looked(5, OPEN)
    screen.round_done(visit, visit.rounds[0], 0)
    look, last = sink.getvalue().splitlines()[-2:]
    assert look == "look after block 5: 3 comparisons open: " + "; ".join(OPEN)
    assert last.endswith(
        "left, 3 open: rtt_app_ns.p99 of vxlan/pod, pdv_p99_ns of vxlan/pod and 1 more"
    )


def test_the_live_line_names_what_is_open() -> None:
    """On a terminal the line that moves holds it."""
    screen, sink, drawn = _screen(terminal=True)
    visit = drawn.visits[0]
    screen.looked(5, OPEN[:1])
    screen.round_begins(visit, visit.rounds[0])
    assert screen._bar is not None
    screen._bar.refresh()
    screen.close()
    assert "1 open: rtt_app_ns.p99 of vxlan/pod" in sink.getvalue()


def test_the_deciding_look_ends_it() -> None:
    """Nothing is open any more, and it says that it stops."""
    screen, sink, drawn = _screen(terminal=False)
    visit = drawn.visits[0]
    screen.looked(5, OPEN)
    screen.looked(10, [])
    screen.round_done(visit, visit.rounds[0], 0)
    look, last = sink.getvalue().splitlines()[-2:]
    assert look == "look after block 10: every comparison is decided, stopping"
    assert "open" not in last


def test_one_of_a_thing_is_said_as_one() -> None:
    """`1 block`, `1 comparison`, `1 pair`: what is said agrees with its number."""
    sink = io.StringIO()
    screen = Screen(Console(file=sink, width=200), quiet=False)
    drawn = plan.draw(make_spec(blocks=1), ("n1", "n2"), exclusive=True)
    screen.planned(drawn, 0)
    screen.looked(5, OPEN[:1])
    screen.visit_proven(drawn.visits[0], "fell back", 0, 1)
    first, look, proof = sink.getvalue().splitlines()
    assert first.startswith("1 block x ")
    assert look.startswith("look after block 5: 1 comparison open: ")
    assert proof.endswith("fell back, 0 of 1 pair matched")
