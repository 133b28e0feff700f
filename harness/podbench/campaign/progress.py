"""The progress events of a run; cli/progress.py shows them, tests record them."""

from collections.abc import Sequence
from typing import Protocol

from podbench.campaign import plan


class Progress(Protocol):
    """Receives each step, in order."""

    def say(self, text: str) -> None:
        """One line for a person."""

    def planned(self, drawn: plan.Plan, rounds_done: int) -> None:
        """The plan is fixed; a resumed run already has rounds on disk."""

    def round_begins(self, visit: plan.Visit, planned: plan.Round) -> None:
        """A round is about to measure."""

    def round_done(self, visit: plan.Visit, planned: plan.Round, failures: int) -> None:
        """A round is on disk."""

    def visit_proven(self, visit: plan.Visit, verdict: str, matched: int, total: int) -> None:
        """A visit's mode was checked."""

    def looked(self, block: int, still_open: Sequence[str]) -> None:
        """After this block these headline comparisons were open; none: the run ends here."""


class Silent:
    """Prints nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def planned(self, drawn: plan.Plan, rounds_done: int) -> None:
        """Nothing."""

    def round_begins(self, visit: plan.Visit, planned: plan.Round) -> None:
        """Nothing."""

    def round_done(self, visit: plan.Visit, planned: plan.Round, failures: int) -> None:
        """Nothing."""

    def visit_proven(self, visit: plan.Visit, verdict: str, matched: int, total: int) -> None:
        """Nothing."""

    def looked(self, block: int, still_open: Sequence[str]) -> None:
        """Nothing."""
