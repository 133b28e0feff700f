"""Progress: a live line on a terminal, one plain line per round elsewhere.

Everything goes to stderr, so that stdout stays free for `--json`.
"""

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from podbench.campaign import plan
from podbench.model import plain
from podbench.model.units import counted, show_duration

SPOKEN, SHOWN = 4, 2
"""Open comparisons named when a look was taken, and in the live line, which must fit a terminal."""


class Screen:
    """Implements campaign.progress.Progress for people."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._total = 0
        self._done = 0
        self._before = 0
        self._blocks = 0
        self._began_s = time.monotonic()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._estimate_s = 0.0
        self._open = ""

    def say(self, text: str) -> None:
        """One line for a person."""
        if not self._quiet:
            self._console.print(plain.lines(text), highlight=False, markup=False, soft_wrap=True)

    def planned(self, drawn: plan.Plan, rounds_done: int) -> None:
        """Prints the plan and starts the live line."""
        self._total, self._blocks = drawn.rounds, drawn.blocks
        self._done = self._before = rounds_done
        self._estimate_s = drawn.total_s
        self._began_s = time.monotonic()
        self.say(
            f"{counted(drawn.blocks, 'block')} x {len(drawn.modes) + 1} visits,"
            f" {counted(drawn.rounds, 'round')},"
            f" about {show_duration(drawn.total_s)} of measuring, seed {drawn.seed}"
        )
        if rounds_done:
            self.say(f"{rounds_done} of {drawn.rounds} rounds are already on disk")
        if self._console.is_terminal and not self._quiet:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[left]}"),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task(
                "starting", total=self._total, completed=rounds_done, left=""
            )
            self._bar.start()

    def visit_proven(self, visit: plan.Visit, verdict: str, matched: int, total: int) -> None:
        """Prints a verdict other than `match`."""
        if verdict != "match":
            self.say(
                f"block {visit.block} {visit.arm.name}: {verdict},"
                f" {matched} of {counted(total, 'pair')} matched"
            )

    def round_begins(self, visit: plan.Visit, planned: plan.Round) -> None:
        """Shows the round under way."""
        text = self._where(visit, planned)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text, left=f"{self._left()} left{self._open}")

    def round_done(self, visit: plan.Visit, planned: plan.Round, failures: int) -> None:
        """Counts a round, and prints its line without a terminal."""
        self._done += 1
        trouble = f", {failures} not measured" if failures else ""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done)
            if failures:
                self.say(self._where(visit, planned) + trouble)
        else:
            self.say(
                f"{self._where(visit, planned)} done ({self._done}/{self._total}),"
                f" {self._left()} left{self._open}{trouble}"
            )

    def looked(self, block: int, still_open: Sequence[str]) -> None:
        """Prints what an interim look left open, and keeps it in the live line."""
        if not still_open:
            self._open = ""
            self.say(f"look after block {block}: every comparison is decided, stopping")
            return
        named = "; ".join(still_open[:SPOKEN]) + ("; ..." if len(still_open) > SPOKEN else "")
        self.say(
            f"look after block {block}: {counted(len(still_open), 'comparison')} open: {named}"
        )
        # `of vxlan/pod against bgp/pod`: the base is the same for all of them.
        short = [name.partition(" against ")[0] for name in still_open]
        rest = len(short) - SHOWN
        self._open = f", {len(short)} open: {', '.join(short[:SHOWN])}"
        self._open += f" and {rest} more" if rest > 0 else ""

    def close(self) -> None:
        """Removes the live line."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _where(self, visit: plan.Visit, planned: plan.Round) -> str:
        one = len(planned.pairs) == 1
        pairs = (
            f"{planned.pairs[0][0]}>{planned.pairs[0][1]}" if one else f"{len(planned.pairs)} pairs"
        )
        return (
            f"block {visit.block}/{self._blocks} {visit.arm.name}"
            f" round {planned.number}/{len(visit.rounds)} {pairs} {planned.phase}"
        )

    def _left(self) -> str:
        here = self._done - self._before
        if not here:
            return show_duration(self._estimate_s * (1 - self._done / max(self._total, 1)))
        each_s = (time.monotonic() - self._began_s) / here
        return show_duration(each_s * (self._total - self._done))
