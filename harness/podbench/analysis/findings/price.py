"""What a mode's traffic costs in CPU: the slope of busy CPU over the ladder's load, and verdicts.

One model a kind over all blocks (stats/slopes): block x arm intercepts, a slope an arm. Every mode
climbed the same steps, so the generator's work cancels in the difference to the base; what remains
is the encapsulation's. Verdict of the difference, with margin m = 5 % of the base's price:
`different` if the 95 % interval excludes zero and the difference exceeds m; `equivalent` if the
90 % interval lies within +-m; `small` if zero is excluded otherwise; else `inconclusive`. A
difference no larger than what the same mode measured twice differed by is `inconclusive`. No price
below three steps that count, none on a saturated machine: a reason instead.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from podbench.analysis.samples.ladder import BULK, KINDS, Step
from podbench.analysis.stats import family, slopes
from podbench.analysis.stats.slopes import SlopeDifference, VisitSlope
from podbench.analysis.stats.verdicts import Word
from podbench.model.summary import CpuPrice, Interval

MARGIN = 0.05
"""Of the base's price: below a twentieth no one plans capacity differently."""
FEWEST_STEPS = 3
SATURATED_SHARE = 0.5
"""Of a mode's load steps with a full CPU: what is left is a selection, not a ladder."""
UNIT = {BULK: "cores_per_gbps", "small": "cores_per_mpps"}
MOST_BLOCKS = 500


class Priced(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Prices, and the model behind the differences, for whoever combines them."""

    prices: tuple[CpuPrice, ...] = ()
    differences: dict[tuple[str, str], SlopeDifference] = {}
    """By mode and kind; the base has none."""

    def of(self, mode: str, kind: str) -> CpuPrice | None:
        """One mode's price of one kind."""
        return next((p for p in self.prices if (p.mode, p.kind) == (mode, kind)), None)


def prices(steps: Sequence[Step], modes: Sequence[str], base: str | None) -> Priced:
    """Every mode's price of both kinds; empty without a ladder.

    Args:
        steps: all of the run.
        modes: to price, in order.
        base: the mode that differences are from.
    """
    if not steps or base is None:
        return Priced()
    found: list[CpuPrice] = []
    differences = {}
    for kind in KINDS:
        own = [step for step in steps if step.kind == kind]
        reasons = {mode: _refused(own, mode) for mode in modes}
        fit = [m for m in modes if reasons[m] is None]
        visits = _visits(own, fit)
        repeated = _repeat_difference(own)
        for mode in modes:
            one, difference = _price(own, visits, (mode, base), reasons, repeated)
            found.append(one)
            if difference is not None:
                differences[mode, kind] = difference
    return Priced(prices=tuple(found), differences=differences)


def family_of(found: Priced) -> dict[str, float]:
    """The prices' questions to the family of the first screen: p of no difference by name."""
    return {_name(p): p.p_value for p in found.prices if p.p_value is not None}


def in_family(found: Priced, places: Mapping[str, family.Held], alpha: float) -> Priced:
    """The prices with what the family says: `different` and `small` only where it holds."""
    return msgspec.structs.replace(
        found, prices=tuple(_placed(p, places.get(_name(p)), alpha) for p in found.prices)
    )


def _name(price: CpuPrice) -> str:
    return f"cpu_price.{price.kind}/{price.mode}"


def _placed(price: CpuPrice, place: family.Held | None, alpha: float) -> CpuPrice:
    if place is None:
        return price
    placed = msgspec.structs.replace(price, p_adjusted=place.p_adjusted, in_family=True)
    if place.rejected(alpha) or price.verdict not in {Word.DIFFERENT, Word.SMALL}:
        return placed
    return msgspec.structs.replace(
        placed,
        verdict=str(Word.INCONCLUSIVE),
        reason="not clear among the comparisons of the first screen "
        f"(adjusted p = {place.p_adjusted:.2g})",
    )


def _counting(steps: Sequence[Step], mode: str) -> list[Step]:
    return [
        s
        for s in steps
        if str(s.arm.mode) == mode and s.reached and s.busy is not None and s.load is not None
    ]


def _refused(steps: Sequence[Step], mode: str) -> str | None:
    """Why a mode has no price; null where it has one."""
    own = [s for s in steps if str(s.arm.mode) == mode]
    if not own:
        return "not measured"
    loaded = [s for s in own if s.share > 0.0]
    full = sum(s.saturated for s in own)
    if full > SATURATED_SHARE * len(own):
        return (
            f"the machine was saturated: a CPU was more than 90% busy in {full} of {len(own)} steps"
        )
    shares = {s.share for s in _counting(steps, mode)}
    if len(shares) < FEWEST_STEPS or shares == {0.0}:
        why = sorted({s.reason for s in loaded if s.reason is not None})
        because = f": {why[0]}" if why else ""
        return f"{len(shares)} steps reached, a price takes {FEWEST_STEPS}{because}"
    return None


def _visits(
    steps: Sequence[Step], modes: Sequence[str], *, repeats: bool = False
) -> list[VisitSlope]:
    """Each visit's own slope; with `repeats` the A/A repeat is an arm of its own."""
    groups: dict[tuple[int, str, int], list[Step]] = {}
    for mode in modes:
        for step in _counting(steps, mode):
            groups.setdefault((step.block, mode, step.arm.repeat), []).append(step)
    found = []
    for (block, mode, repeat), held in groups.items():
        load = np.array([s.load for s in held], dtype=np.float64)
        busy = np.array([s.busy for s in held], dtype=np.float64)
        fitted = slopes.visit_slope(load, busy)
        if fitted is not None:
            arm = f"{mode}#{repeat}" if repeats else mode
            found.append(VisitSlope(block, arm, *fitted, repeat=repeat))
    return found


def _repeat_difference(steps: Sequence[Step]) -> float | None:
    """What the arm that is in each block twice differs by from itself."""
    twice = {str(s.arm.mode) for s in steps if s.arm.repeat > 1}
    for mode in sorted(twice):
        found = slopes.difference(_visits(steps, [mode], repeats=True), f"{mode}#1", f"{mode}#2")
        if found is not None:
            return found.value
    return None


def _price(
    steps: Sequence[Step],
    visits: Sequence[VisitSlope],
    pair: tuple[str, str],
    reasons: dict[str, str | None],
    repeated: float | None,
) -> tuple[CpuPrice, SlopeDifference | None]:
    mode, base = pair
    kind = steps[0].kind if steps else BULK
    own = slopes.slope(visits, mode) if reasons[mode] is None else None
    reference = slopes.slope(visits, base) if reasons.get(base, "") is None else None
    other = mode != base and own is not None and reference is not None
    difference = slopes.difference(visits, base, mode) if other else None
    verdict, reason = _judged(difference, None if reference is None else reference.value, repeated)
    if mode == base and own is not None:
        verdict, reason = "base", None
    if reasons[mode] is not None:
        verdict, reason = str(Word.NOT_MEASURED), reasons[mode]
    elif mode != base and reference is None:
        verdict, reason = str(Word.NOT_MEASURED), f"{base} has no price: {reasons.get(base)}"
    methods = sorted({s.method for s in _counting(steps, mode) if s.method is not None})
    return CpuPrice(
        mode=mode,
        kind="bulk" if kind == BULK else "small",
        unit="cores_per_gbps" if kind == BULK else "cores_per_mpps",
        value=None if own is None else own.value,
        ci95=None if own is None else own.ci95,
        base=base,
        difference=None if difference is None else difference.value,
        difference_ci95=None if difference is None else difference.interval(),
        verdict=verdict,
        steps_reached=len({s.share for s in _counting(steps, mode)}),
        busy_method=", ".join(methods) or None,
        reason=reason,
        p_value=None if difference is None else difference.p_value,
        margin=MARGIN,
        blocks=0 if own is None else own.blocks,
        blocks_needed=_needed(difference, reference) if verdict == Word.INCONCLUSIVE else None,
        aa_difference=repeated,
    ), difference


def _judged(
    found: SlopeDifference | None, base: float | None, repeated: float | None
) -> tuple[str, str | None]:
    """The verdict of a difference, and why it is none."""
    if found is None or base is None:
        return Word.NOT_MEASURED, None
    outer, inner = found.interval(0.95), found.interval(0.90)
    if outer is None or inner is None:
        return Word.INCONCLUSIVE, "too few blocks for an interval"
    excludes = outer[0] > 0.0 or outer[1] < 0.0
    if excludes and repeated is not None and abs(found.value) <= abs(repeated):
        return Word.INCONCLUSIVE, "the same mode measured twice differed by as much"
    verdict = _word(found.value, excludes=excludes, inner=inner, limit=MARGIN * abs(base))
    open_ = "the interval includes both more and less"
    return verdict, open_ if verdict is Word.INCONCLUSIVE else None


def _word(value: float, *, excludes: bool, inner: Interval, limit: float) -> Word:
    if excludes and abs(value) > limit:
        return Word.DIFFERENT
    if -limit <= inner[0] and inner[1] <= limit:
        return Word.EQUIVALENT
    return Word.SMALL if excludes else Word.INCONCLUSIVE


def _needed(found: SlopeDifference | None, base: slopes.Slope | None) -> int | None:
    """Blocks that would narrow the interval to half the margin on each side; null: too many."""
    interval = None if found is None else found.interval()
    if found is None or interval is None or base is None or base.value <= 0.0:
        return None
    half = (interval[1] - interval[0]) / 2
    blocks = int(np.ceil(found.blocks * (half / (MARGIN * base.value / 2)) ** 2))
    return blocks if found.blocks < blocks <= MOST_BLOCKS else None
