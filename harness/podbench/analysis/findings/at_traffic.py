"""What the modes cost at a node's own traffic: price times load, latency read off the ladder.

Only inside what was measured: beyond a mode's highest step that counts there is no answer, and the
reason names that step. Bulk and small traffic add up; their errors are independent (other steps).
Latency is between the two steps around the load, on a straight line; of bulk and small the slower.
"""

import math
from collections.abc import Sequence

import numpy as np

from podbench.analysis.findings.price import Priced
from podbench.analysis.samples.ladder import BULK, KINDS, SCALE, SMALL
from podbench.analysis.stats.verdicts import Word
from podbench.model.arms import Arm, Mode
from podbench.model.summary import P50P99, AtTraffic, Interval, LoadPoint
from podbench.model.traffic import USUAL, Traffic, show

FIGURES = ("rtt_app_ns.p50", "rtt_app_ns.p99", "rtt_kernel_ns.p50", "rtt_kernel_ns.p99")


def answers(
    asked: Sequence[Traffic],
    priced: Priced,
    points: Sequence[LoadPoint],
    modes: Sequence[str],
    nodes: int,
) -> tuple[AtTraffic, ...]:
    """Every traffic for every mode.

    Args:
        asked: by the user; empty: the usual ones, where they are inside.
        priced: the prices.
        points: the load curve.
        modes: in order.
        nodes: of the run.
    """
    if not priced.prices:
        return ()
    found = []
    for traffic in asked or USUAL:
        here = [_answer(traffic, priced, points, mode, nodes) for mode in modes]
        if asked or any(one.cores_per_node is not None for one in here):
            found += here
    return tuple(found)


def _loads(traffic: Traffic) -> dict[str, float]:
    both = {BULK: traffic.bps, SMALL: traffic.pps}
    return {kind: load for kind, load in both.items() if load}


def _answer(
    traffic: Traffic, priced: Priced, points: Sequence[LoadPoint], mode: str, nodes: int
) -> AtTraffic:
    reason = _outside(traffic, priced, points, mode)
    cores = extra = None
    ci95 = extra_ci95 = None
    verdict = str(Word.NOT_MEASURED)
    if reason is None:
        cores, ci95 = _sum([_own(priced, mode, k, x) for k, x in _loads(traffic).items()])
        base = priced.prices[0].base
        if mode == base:
            extra, verdict = 0.0, "base"
        else:
            extra, extra_ci95 = _sum(
                [_difference(priced, mode, k, x) for k, x in _loads(traffic).items()]
            )
            verdict = _verdict(priced, mode, traffic, extra, extra_ci95)
    own = [p for p in points if p.arm == Arm(Mode(mode)).name]
    quantiles, spread = _latency(traffic, own) if reason is None else ({}, {})
    return AtTraffic(
        name=traffic.name,
        bps=traffic.bps,
        pps=traffic.pps,
        mode=mode,
        cores_per_node=cores,
        ci95=ci95,
        extra_cores_per_node=extra,
        extra_ci95=extra_ci95,
        extra_cores_cluster=None if extra is None else extra * nodes,
        rtt_app_ns=P50P99(p50=quantiles.get(FIGURES[0]), p99=quantiles.get(FIGURES[1])),
        rtt_kernel_ns=P50P99(p50=quantiles.get(FIGURES[2]), p99=quantiles.get(FIGURES[3])),
        rtt_ci95=spread,
        verdict=verdict,
        reason=reason,
    )


def _outside(
    traffic: Traffic, priced: Priced, points: Sequence[LoadPoint], mode: str
) -> str | None:
    """Why there is no answer; null where the load lies inside what was measured."""
    for kind, load in _loads(traffic).items():
        price = priced.of(mode, kind)
        if price is None or price.value is None:
            why = None if price is None else price.reason
            return f"no {kind} price: {why or 'the ladder was not measured'}"
        highest = _highest(points, mode, kind)
        if highest is None or load > highest:
            shown = show(highest, None) if kind == BULK else show(None, highest)
            return f"outside what was measured: highest step {shown or 'none'}"
    return None


def _highest(points: Sequence[LoadPoint], mode: str, kind: str) -> float | None:
    """The highest load of a step that counted in any block, bit/s or packets/s."""
    rates = [
        p.offered_bps if kind == BULK else p.offered_pps
        for p in points
        if p.arm == Arm(Mode(mode)).name and p.kind == kind and p.reached
    ]
    return max((rate for rate in rates if rate), default=None)


def _own(priced: Priced, mode: str, kind: str, load: float) -> tuple[float, Interval | None]:
    price, scaled = priced.of(mode, kind), load / SCALE[kind]
    assert price is not None
    assert price.value is not None
    return price.value * scaled, _times(price.ci95, scaled)


def _difference(
    priced: Priced, mode: str, kind: str, load: float
) -> tuple[float, Interval | None] | None:
    found, scaled = priced.differences.get((mode, kind)), load / SCALE[kind]
    return None if found is None else (found.value * scaled, _times(found.interval(), scaled))


def _times(interval: Interval | None, factor: float) -> Interval | None:
    return None if interval is None else (interval[0] * factor, interval[1] * factor)


def _sum(
    parts: Sequence[tuple[float, Interval | None] | None],
) -> tuple[float | None, Interval | None]:
    """Independent parts together: half-widths add in squares."""
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None, None
    value = sum(part for part, _ in known)
    halves = [None if ci is None else (ci[1] - ci[0]) / 2 for _, ci in known]
    if any(half is None for half in halves):
        return value, None
    half = math.sqrt(sum(h**2 for h in halves if h is not None))
    return value, (value - half, value + half)


def _verdict(
    priced: Priced, mode: str, traffic: Traffic, extra: float | None, ci95: Interval | None
) -> str:
    """The price's where one kind is asked for; of two, whether their sum differs from zero."""
    kinds = list(_loads(traffic))
    verdicts = {price.verdict for k in kinds if (price := priced.of(mode, k)) is not None}
    if len(verdicts) == 1:
        return verdicts.pop()
    if extra is None or ci95 is None or ci95[0] <= 0.0 <= ci95[1]:
        return Word.INCONCLUSIVE
    return Word.DIFFERENT if Word.DIFFERENT in verdicts else Word.SMALL


def _latency(
    traffic: Traffic, own: Sequence[LoadPoint]
) -> tuple[dict[str, float], dict[str, Interval | None]]:
    """Each figure at the load, of bulk and small the slower one, with its interval."""
    found: dict[str, float] = {}
    spread: dict[str, Interval | None] = {}
    for kind, load in _loads(traffic).items():
        steps = sorted((p for p in own if p.kind == kind), key=lambda p: p.offered_share)
        for name in FIGURES:
            at = _between(steps, kind, load, name)
            if at is not None and at[0] > found.get(name, 0.0):
                found[name], spread[name] = at
    return found, spread


def _between(
    steps: Sequence[LoadPoint], kind: str, load: float, name: str
) -> tuple[float, Interval | None] | None:
    """A figure on the line between the two steps around a load; None beside one without it."""
    rates = [(p.offered_bps if kind == BULK else p.offered_pps) or 0.0 for p in steps]
    above = int(np.searchsorted(rates, load))
    if not 0 < above < len(steps):
        return None
    series, _, q = name.partition(".")
    values = [getattr(getattr(p, series), q) for p in steps[above - 1 : above + 1]]
    if None in values:
        return None
    way = (load - rates[above - 1]) / (rates[above] - rates[above - 1])
    bounds = [p.ci95.get(name) for p in steps[above - 1 : above + 1]]
    value = float(values[0] + way * (values[1] - values[0]))
    if bounds[0] is None or bounds[1] is None:
        return value, None
    low, high = (bounds[0][i] + way * (bounds[1][i] - bounds[0][i]) for i in (0, 1))
    return value, (float(low), float(high))


__all__ = ["FIGURES", "KINDS", "answers"]
