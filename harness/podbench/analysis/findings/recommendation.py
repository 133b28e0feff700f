"""Which mode to choose, from verdicts alone: the decision at the head of a report.

The rules, in this order (docs/statistics.md):
1. No decision where the A/A check failed, fewer than two modes were measured, or packets of a mode
   did not take it (proof `fell back`, `mixed` or `unreachable` takes a mode out of the choice).
2. A figure decides between a mode and the base only by its verdict: `different` for or against,
   `equivalent` and `small` as no difference that matters, `inconclusive` not at all.
3. A mode is worse than the base if a figure says so and none says the reverse; the base is
   recommended if every other mode is worse or open, and at least one figure was decided.
4. Where every figure that was decided says `equivalent` or `small`, no mode is better: the answer
   is that the choice does not matter for these figures, and the base (the least encapsulation) is
   named with that reason.
5. Never on `inconclusive`: where no figure was decided, no mode is named.
Confidence: `high` when both prices and the application's latency were decided for every other mode;
`medium` when some were; `low` otherwise, on a stand-in, or where a control failed.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from podbench.analysis.stats.verdicts import HOPELESS_BLOCKS, Word
from podbench.model.arms import is_stand_in, parse_arm
from podbench.model.summary import (
    AaCheck,
    ArmSummary,
    AtTraffic,
    Comparison,
    CpuPrice,
    Recommendation,
)

DECIDING = ("rtt_app_ns.p50", "rtt_app_ns.p99", "rtt_kernel_ns.p50", "loss.ratio")
"""Figures of latency and loss that a decision may rest on, application first."""
_WORDS = {
    "rtt_app_ns.p50": "application RTT p50",
    "rtt_app_ns.p99": "application RTT p99",
    "rtt_kernel_ns.p50": "kernel RTT p50",
    "loss.ratio": "loss",
    "bulk": "CPU per Gbit/s of bulk traffic",
    "small": "CPU per million small packets/s",
}
_NAMES = {"bgp": "BGP", "ipip": "IPIP", "vxlan": "VXLAN"}
_SETTLED = {Word.DIFFERENT, Word.EQUIVALENT, Word.SMALL}
_WRONG_MODE = {"fell back", "mixed", "unreachable"}
USUAL_BLOCKS = 14
"""Twice the default run and a little: what a next run takes where no figure says how many."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One figure's word on one mode against the base."""

    mode: str
    figure: str
    verdict: str
    worse: bool | None
    """Null: not decided, or no difference that matters."""
    change: str
    blocks_needed: int | None = None


def recommend(
    arms: Sequence[ArmSummary],
    compared: Sequence[Comparison],
    prices: Sequence[CpuPrice],
    traffic: Sequence[AtTraffic],
    check: AaCheck | None,
) -> Recommendation | None:
    """The decision; null without anything that was compared.

    Args:
        arms: with their proofs.
        compared: verdicts of latency and loss.
        prices: verdicts of CPU.
        traffic: cost at the traffic asked for.
        check: of the A/A repeat.
    """
    pods = [a for a in arms if a.path == "pod" and "#" not in a.arm and a.status == "measured"]
    modes = [a.mode for a in pods]
    base = _base(compared, prices)
    if base is None or len(modes) < 2:
        return None
    if check is not None and check.passed is False:
        return _none(
            "the same mode measured twice came out different",
            "measure again, on an idle machine: bench doctor --instrument",
        )
    strayed = {a.mode: a.proof.verdict for a in pods if a.proof and a.proof.verdict in _WRONG_MODE}
    if base in strayed:
        return _none(
            f"{name(base)}'s packets did not take it ({strayed[base]})",
            "see Proof of modes, then measure again",
        )
    found = _found(compared, prices, base)
    found = [one for one in found if one.mode not in strayed]
    settled = [one for one in found if one.verdict in _SETTLED]
    if not settled:
        return _none("every comparison is inconclusive", _more_blocks(found))
    return _decided(
        base,
        [m for m in modes if m != base],
        found,
        _Circumstances(
            strayed=strayed,
            stand_ins=tuple(a.mode for a in pods if is_stand_in(a.implementation)),
            traffic=tuple(traffic),
        ),
    )


class _Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    strayed: dict[str, str]
    stand_ins: tuple[str, ...]
    traffic: tuple[AtTraffic, ...]


def _base(compared: Sequence[Comparison], prices: Sequence[CpuPrice]) -> str | None:
    bases = [p.base for p in prices]
    bases += [str(parse_arm(c.base).mode) for c in compared if "#" not in c.other]
    return bases[0] if bases else None


def _none(why: str, next_step: str) -> Recommendation:
    return Recommendation(
        mode=None, because=(why,), confidence="low", confidence_reason=why, next_step=next_step
    )


def _found(compared: Sequence[Comparison], prices: Sequence[CpuPrice], base: str) -> list[Found]:
    found = [
        Found(
            mode=p.mode,
            figure=p.kind,
            verdict=p.verdict,
            worse=(p.difference or 0.0) > 0.0 if p.verdict == Word.DIFFERENT else None,
            change=_percent(p.difference, p.value),
            blocks_needed=p.blocks_needed,
        )
        for p in prices
        if p.mode != base
    ]
    for c in compared:
        if c.metric not in DECIDING or c.path != "pod" or "#" in c.other or "#" in c.base:
            continue
        found.append(
            Found(
                mode=str(parse_arm(c.other).mode),
                figure=c.metric,
                verdict=c.verdict,
                worse=(c.difference or 0.0) > 0.0 if c.verdict == Word.DIFFERENT else None,
                change="" if c.ratio is None else f"{100 * (c.ratio - 1):+.0f}%",
                blocks_needed=c.blocks_needed,
            )
        )
    return found


def _percent(difference: float | None, value: float | None) -> str:
    """Beside the base's price."""
    if difference is None or value is None or value == difference:
        return ""
    return f"{100 * difference / (value - difference):+.0f}%"


def _decided(
    base: str, others: Sequence[str], found: Sequence[Found], around: _Circumstances
) -> Recommendation:
    worse = [one for one in found if one.worse is True]
    better = [one for one in found if one.worse is False]
    settled = [one for one in found if one.verdict in _SETTLED]
    ahead = [m for m in others if any(b.mode == m for b in better)]
    clear = [m for m in ahead if not any(w.mode == m for w in worse)]
    unless: list[str] = []
    if clear:
        mode, because = clear[0], [_said(b, base) for b in better if b.mode == clear[0]]
    elif worse:
        mode, because = base, [_said(one, base) for one in worse]
        unless += [f"{_said(one, base)}: if that matters more, weigh it" for one in better]
    else:
        mode = base
        because = [f"{_WORDS[f]}: no difference that matters" for f in _figures(settled)]
        unless.append("anything else than these figures decides: no mode is better in them")
    unless += [
        f"{name(m)} was not judged: its packets took another mode ({v})"
        for m, v in around.strayed.items()
    ]
    unless += _open(found)
    unless += [
        f"{name(m)} is a stand-in on this kernel, not the device a cluster has"
        for m in around.stand_ins
    ]
    confidence, why = _confidence(found, others, around)
    return Recommendation(
        mode=mode,
        because=tuple(because[:5]),
        unless=tuple(unless[:4]),
        confidence=confidence,
        confidence_reason=why,
        next_step=_more_blocks(found) if why else "measure on the cluster itself",
    )


def _said(one: Found, base: str) -> str:
    """`VXLAN takes 14% more CPU per Gbit/s of bulk traffic than BGP`."""
    if one.figure in {"bulk", "small"}:
        sign = "more" if one.worse else "less"
        return f"{name(one.mode)} takes {one.change.lstrip('+-')} {sign} {_WORDS[one.figure]}"
    sign = "higher" if one.worse else "lower"
    size = f"{one.change.lstrip('+-')} " if one.change else ""
    return f"{_WORDS[one.figure]} under {name(one.mode)} is {size}{sign} than under {name(base)}"


def _figures(found: Sequence[Found]) -> list[str]:
    return list(dict.fromkeys(one.figure for one in found))


def _open(found: Sequence[Found]) -> list[str]:
    """One line for every figure that is inconclusive for some mode."""
    out = []
    for figure in _figures(found):
        who = [name(f.mode) for f in found if f.figure == figure and f.verdict == Word.INCONCLUSIVE]
        if who:
            out.append(f"{_WORDS[figure]} is inconclusive for {', '.join(who)}")
    return out


def _confidence(
    found: Sequence[Found], others: Sequence[str], around: _Circumstances
) -> tuple[Literal["high", "medium", "low"], str | None]:
    """How sure, and why not surer."""
    asked = {("bulk", m) for m in others} | {("small", m) for m in others}
    asked |= {("rtt_app_ns.p50", m) for m in others} | {("rtt_app_ns.p99", m) for m in others}
    settled = {(f.figure, f.mode) for f in found if f.verdict in _SETTLED}
    missing = sorted(asked - settled)
    if around.strayed:
        return "low", "a mode's packets did not take it"
    if not missing:
        return "high", None
    words = ", ".join(f"{_WORDS[figure]} of {name(mode)}" for figure, mode in missing[:3])
    rest = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    prices = {(f, m) for f, m in settled if f in {"bulk", "small"}}
    return ("medium" if prices else "low"), f"not decided: {words}{rest}"


def _more_blocks(found: Sequence[Found]) -> str:
    """The blocks that would settle what is open, as a command."""
    needed = [f.blocks_needed for f in found if f.blocks_needed is not None]
    if not needed or max(needed) > HOPELESS_BLOCKS:
        # So many blocks are no way out: the machine has to be quieter first.
        return f"measure longer on an idle machine: bench run --blocks {USUAL_BLOCKS}"
    return f"bench run --blocks {max(needed)}"


def name(mode: str) -> str:
    """A mode as people write it."""
    return _NAMES.get(mode, mode)
