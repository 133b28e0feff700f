"""Rows of samples/ladder as steps: load, busy CPU of both ends, and whether the step counts."""

import msgspec
import pandas as pd

from podbench.model.arms import Arm, parse_arm

BULK, SMALL = "bulk", "small"
KINDS = (BULK, SMALL)
SCALE = {BULK: 1e9, SMALL: 1e6}
"""Prices are per Gbit/s and per million packets a second."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of one pair; null where it was not measured."""

    arm: Arm
    block: int
    kind: str
    share: float
    offered: float
    """Bit/s, or packets/s of `small`."""
    achieved: float | None
    busy: float | None
    """CPUs busy at both ends, or on the machine that they share."""
    busiest: float | None
    reached: bool
    reason: str | None
    method: str | None

    @property
    def load(self) -> float | None:
        """What crossed the path, in Gbit/s or millions of packets a second."""
        if self.share == 0.0:
            return 0.0
        return None if self.achieved is None else self.achieved / SCALE[self.kind]

    @property
    def saturated(self) -> bool:
        """Whether a full CPU is why the step does not count."""
        return not self.reached and self.busiest is not None and self.busiest > FULL


FULL = 0.9
"""As in campaign/ladder/rows: a CPU busier than this bends the slope."""


def steps(ladder: pd.DataFrame | None) -> tuple[Step, ...]:
    """Every row of the table that has a place."""
    if ladder is None or ladder.empty:
        return ()
    rows = ladder.astype(object).where(ladder.notna(), None).to_dict("records")
    named = ({str(name): value for name, value in row.items()} for row in rows)
    return tuple(_step(row) for row in named if row["arm"] is not None and row["kind"] in KINDS)


def _step(row: dict[str, object]) -> Step:
    kind = str(row["kind"])
    rate = "pps" if kind == SMALL else "bps"
    ends = [_number(row[f"busy_cores_{end}"]) for end in ("src", "dst")]
    known = [one for one in ends if one is not None]
    return Step(
        arm=parse_arm(str(row["arm"])),
        block=int(str(row["block"])),
        kind=kind,
        share=_number(row["offered_share"]) or 0.0,
        offered=_number(row[f"offered_{rate}"]) or 0.0,
        achieved=_number(row[f"achieved_{rate}"]),
        busy=sum(known) if known else None,
        busiest=_number(row["busiest_cpu_ratio"]),
        reached=bool(row["reached"]),
        reason=None if row["not_reached_reason"] is None else str(row["not_reached_reason"]),
        method=None if row["busy_method"] is None else str(row["busy_method"]),
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
