"""One row for each claim: what it promises, what simulated runs reach, what was reached before."""

import math
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Row:
    """A rate over simulated runs. `side`: whether the nominal rate is the most or the least."""

    claim: str
    setting: str
    nominal: float | None
    side: Literal["at most", "at least", "shown"]
    reached: float
    runs: int
    before: str = ""

    @property
    def kept(self) -> bool:
        """Whether the promise holds, two standard errors of the simulation allowed."""
        if self.nominal is None or self.side == "shown":
            return True
        error = 2.0 * math.sqrt(self.nominal * (1.0 - self.nominal) / self.runs)
        if self.side == "at most":
            return bool(self.reached <= self.nominal + error)
        return bool(self.reached >= self.nominal - error)


@dataclass
class Table:
    """Prints rows as they come."""

    rows: list[Row] = field(default_factory=list)

    def head(self) -> None:
        """The first line."""
        print(f"{'claim':<23}{'setting':<58}{'nominal':>15}{'reached':>9}{'runs':>6}  before")

    def add(self, row: Row) -> None:
        """One more row."""
        self.rows.append(row)
        promise = "" if row.nominal is None else f"{row.side} {100 * row.nominal:.3g}%"
        mark = "" if row.kept else "  BROKEN"
        print(
            f"{row.claim:<23}{row.setting:<58}{promise:>15}{100 * row.reached:>8.1f}%"
            f"{row.runs:>6}  {row.before}{mark}",
            flush=True,
        )
