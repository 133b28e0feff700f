"""The common capacity of the ladder: the highest rate that every arm holds with CPU to spare.

A bounded search, once a run: busy CPU grows about linearly with load, so the first round of trials
says where 80 % of the busiest CPU lies, and the next ones check that place in every arm. At most
`ROUNDS` rounds a kind. A cap (a cluster's 10 % of the NIC) bounds it from above. MLRsearch (PyPI,
RFC draft bmwg-mlrsearch) was looked at and not taken: docs/decisions. Neighbours: ladder.py runs a
trial, session.py keeps what was found.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from podbench.campaign.ladder.rows import BULK, Offered
from podbench.model.arms import Mode
from podbench.model.units import show_bps

BUSIEST = 0.8
"""No CPU busier than this at the capacity: steps must be reachable (90 %) on a busier moment."""
AIM = 0.72
"""What the next trial aims at: a little below, so that the check mostly holds."""
START = {BULK: 2e9, "small": 30_000.0}
"""First trials: a small share of what any machine of today moves, and enough to be measured."""
MOST = {BULK: 34e9, "small": 1e6}
"""iperf3's --fq-rate is 32 bits of octets a second; nobody's single socket sends more packets."""
LEAST = {BULK: 50e6, "small": 2_000.0}
"""Below, a step says nothing."""
HELD = 0.98
"""Of the offered rate, by the sender's interface counters."""
ROUNDS = 4
LEAP = 4.0
"""No trial is further than this from the one before: a line through noise may point anywhere."""
BACK = 0.7
"""After a trial that did not hold."""


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One arm at one rate."""

    mode: Mode
    rate: float
    held: bool
    """Whether the generator held its rate."""
    busiest: float | None
    achieved: float | None = None
    """By the sender's interface counters."""

    @property
    def good(self) -> bool:
        """Held with CPU to spare."""
        return self.held and self.busiest is not None and self.busiest <= BUSIEST


class Capacity(msgspec.Struct, frozen=True, kw_only=True):
    """What every arm holds: the loads that shares are shares of."""

    bulk_bps: float | None
    """Null where not even the least rate was held."""
    small_pps: float | None
    bound: dict[str, str] = {}
    """By kind: what keeps it from being higher."""
    trials: tuple[Trial, ...] = ()

    def of(self, kind: str) -> float | None:
        """The capacity of one kind."""
        return self.bulk_bps if kind == BULK else self.small_pps


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Where the search ended."""

    rate: float | None
    """Null where not even the least rate was held."""
    bound: str
    """What kept it from being higher, in words."""
    trials: tuple[Trial, ...]


Try = Callable[[Mode, Offered], Awaitable[Trial]]


async def search(kind: str, modes: Sequence[Mode], cap: float | None, attempt: Try) -> Found:
    """The highest rate of one kind that every mode holds.

    Args:
        kind: of load.
        modes: arms to hold it.
        cap: no trial is above it; null: none.
        attempt: runs one trial.
    """
    top = min(MOST[kind], cap or MOST[kind])
    rate, best = min(START[kind], top), None
    trials: list[Trial] = []
    failed = top * 2
    for _ in range(ROUNDS):
        here = [await attempt(mode, Offered(kind=kind, share=1.0, rate=rate)) for mode in modes]
        trials += here
        if all(one.good for one in here):
            best = rate
            if rate >= top:
                return Found(rate=top, bound=_at_top(cap, top), trials=tuple(trials))
        else:
            failed = min(failed, rate)
        following = _next(rate, here, best, failed, top)
        if following is None:
            break
        rate = following
    if best is None and rate * BACK >= LEAST[kind]:
        # Unchecked, but below everything that was tried: a step that is too high says so itself.
        best = rate * BACK
    bound = f"a CPU above {100 * BUSIEST:.0f}% beyond it"
    return Found(rate=best, bound=bound, trials=tuple(trials))


def _next(
    rate: float, here: Sequence[Trial], best: float | None, failed: float, top: float
) -> float | None:
    """The next rate to try; null where it would tell nothing new."""
    # Where a generator fell short, what it did send is where the CPU was full.
    aims = [AIM * min(rate, one.achieved or rate) / (one.busiest or 1.0) for one in here]
    aimed = min(min(aims, default=rate), rate * LEAP, top)
    if all(one.good for one in here):
        return aimed if 1.1 * rate <= aimed < failed else None
    if best is not None:
        return None
    return max(min(aimed, rate * BACK), rate / (2 * LEAP))


def _at_top(cap: float | None, top: float) -> str:
    if cap is not None and top >= cap:
        return f"this run's own cap of {show_bps(cap)}"
    return "the most that the generator can be told"
