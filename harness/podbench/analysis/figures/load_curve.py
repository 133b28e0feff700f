"""Latency, jitter and loss against offered load, by arm: the curve shows where a mode gives way.

A step's figure is over all probes beside it, in all its blocks; its interval is Student's t over
the logs of the blocks' own figures, laid around it. Step 0 is the warm stretch of the same visits.
The highest step held is the highest one at which, as at all below, loss stays under 0.1 % and the
application's p99 under its limit in every block that climbed it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from podbench.analysis.samples import loads
from podbench.analysis.samples.ladder import BULK, KINDS, Step
from podbench.analysis.samples.loads import Beside, Loads
from podbench.analysis.stats import intervals, quantiles
from podbench.model.arms import parse_arm
from podbench.model.summary import P50P99, Estimate, Interval, LoadHeld, LoadPoint, LossSummary

FloatArray = npt.NDArray[np.float64]

LOSS_LIMIT = 0.001
P99_LIMIT_NS = 10e6
"""10 ms: ten times what a request inside a data centre usually takes. `--slo` states others."""
AT_REST = {
    "rtt_app_ns.p50": "rtt_app_ns.p50",
    "rtt_app_ns.p99": "rtt_app_ns.p99",
    "rtt_kernel_ns.p50": "rtt_kernel_ns.p50",
    "rtt_kernel_ns.p99": "rtt_kernel_ns.p99",
    "pdv_p99_ns": "pdv_p99_ns",
}


def curve(
    steps: Sequence[Step],
    beside: Loads,
    estimates: Sequence[Estimate],
    losses: Mapping[str, LossSummary | None],
) -> tuple[LoadPoint, ...]:
    """Every arm's steps, ascending; A/A repeats are arms of their own.

    Args:
        steps: all of the run.
        beside: probes beside them.
        estimates: of the warm stretch, for step 0.
        losses: at rest, by arm.
    """
    found = []
    places = sorted({(s.arm.name, s.kind, s.share) for s in steps})
    for arm, kind, share in places:
        own = [s for s in steps if (s.arm.name, s.kind, s.share) == (arm, kind, share)]
        if share == 0.0:
            figures, spread = _at_rest(arm, estimates)
            lost = losses.get(arm)
            loss = None if lost is None else lost.ratio
        else:
            phase = loads.phase(kind, share)
            held = [
                one for (a, p, _), one in sorted(beside.places.items()) if (a, p) == (arm, phase)
            ]
            figures, spread = _loaded(held)
            sent = sum(one.sent for one in held)
            loss = sum(one.lost for one in held) / sent if sent else None
        found.append(_point(own, figures, spread, loss))
    return tuple(found)


def _point(
    own: Sequence[Step],
    figures: Mapping[str, float | None],
    spread: dict[str, Interval | None],
    loss: float | None,
) -> LoadPoint:
    first = own[0]
    bulk = first.kind == BULK
    offered = float(np.mean([s.offered for s in own]))
    busy = np.array([s.busy for s in own if s.busy is not None], dtype=np.float64)
    reasons = [s.reason for s in own if s.reason is not None]
    return LoadPoint(
        arm=first.arm.name,
        kind="bulk" if bulk else "small",
        offered_share=first.share,
        offered_bps=offered if bulk else None,
        offered_pps=None if bulk else offered,
        rtt_app_ns=P50P99(p50=figures.get("rtt_app_ns.p50"), p99=figures.get("rtt_app_ns.p99")),
        rtt_kernel_ns=P50P99(
            p50=figures.get("rtt_kernel_ns.p50"), p99=figures.get("rtt_kernel_ns.p99")
        ),
        pdv_p99_ns=figures.get("pdv_p99_ns"),
        loss_ratio=loss,
        busy_cores=float(busy.mean()) if len(busy) else None,
        ci95={**spread, "busy_cores": intervals.t_interval(busy)},
        reached=all(s.reached for s in own),
        blocks=len({s.block for s in own}),
        reason=reasons[0] if reasons else None,
    )


def _at_rest(
    arm: str, estimates: Sequence[Estimate]
) -> tuple[dict[str, float | None], dict[str, Interval | None]]:
    own = {e.metric: e for e in estimates if e.arm == arm}
    known = {name: own[of] for name, of in AT_REST.items() if of in own}
    return {n: e.value for n, e in known.items()}, {n: e.ci95 for n, e in known.items()}


def _loaded(
    held: Sequence[Beside],
) -> tuple[dict[str, float | None], dict[str, Interval | None]]:
    """Figures over all blocks, and their intervals from the blocks' own."""
    whole = _figures(held)
    each = [_figures([one]) for one in held]
    spread: dict[str, Interval | None] = {}
    for name, value in whole.items():
        known = [value for one in each if (value := one[name])]
        logs = np.log(np.array(known, dtype=np.float64))
        around = None if len(logs) < 2 else intervals.t_interval(logs - logs.mean())
        spread[name] = None if value is None or around is None else intervals.scaled(value, around)
    return whole, spread


def _figures(held: Sequence[Beside]) -> dict[str, float | None]:
    app = loads.together([part for one in held for part in one.app])
    kernel = loads.together([part for one in held for part in one.kernel])
    parts = [part.astype(np.float64) for one in held for part in one.kernel if len(part)]
    pdv = np.sort(np.concatenate([p - p.min() for p in parts])) if parts else np.empty(0)
    return {
        "rtt_app_ns.p50": _quantile(app, 0.5),
        "rtt_app_ns.p99": _quantile(app, 0.99),
        "rtt_kernel_ns.p50": _quantile(kernel, 0.5),
        "rtt_kernel_ns.p99": _quantile(kernel, 0.99),
        "pdv_p99_ns": _quantile(pdv, 0.99),
    }


def _quantile(ordered: FloatArray, q: float) -> float | None:
    if not quantiles.supported(len(ordered), q):
        return None
    return quantiles.harrell_davis(ordered, q)


def held(
    steps: Sequence[Step], beside: Loads, base: str | None, p99_limit_ns: float | None = None
) -> tuple[LoadHeld, ...]:
    """The highest step each mode held, of both kinds; empty without load steps."""
    limit = p99_limit_ns or P99_LIMIT_NS
    modes = list(dict.fromkeys(str(s.arm.mode) for s in steps if s.share > 0.0))
    found = []
    for kind in KINDS:
        tops = {mode: _top(steps, beside, (mode, kind), limit) for mode in modes}
        reference = None if base is None else tops.get(base, (None, None))[0]
        offered = [s.share for s in steps if s.kind == kind]
        for mode in modes:
            every, any_ = tops[mode]
            rate = next((s.offered for s in steps if s.kind == kind and s.share == every), None)
            found.append(
                LoadHeld(
                    mode=mode,
                    kind="bulk" if kind == BULK else "small",
                    share=every,
                    share_range=None if any_ is None else (every or 0.0, any_),
                    bps=rate if kind == BULK else None,
                    pps=None if kind == BULK else rate,
                    of_base_ratio=every / reference if every and reference else None,
                    limits={"loss.ratio": LOSS_LIMIT, "rtt_app_ns.p99": limit},
                    top=every is not None and every == max(offered, default=0.0),
                )
            )
    return tuple(found)


def _top(
    steps: Sequence[Step], beside: Loads, place: tuple[str, str], limit_ns: float
) -> tuple[float | None, float | None]:
    """The highest share held in every block that climbed it, and in any; lower ones held too."""
    mode, kind = place
    every = any_ = None
    own = [s for s in steps if str(s.arm.mode) == mode and s.kind == kind and s.share > 0.0]
    unbroken = True
    for share in sorted({s.share for s in own}):
        phase = loads.phase(kind, share)
        good = [
            s.reached and _within(beside.places.get((s.arm.name, phase, s.block)), limit_ns)
            for s in own
            if s.share == share
        ]
        unbroken = unbroken and all(good)
        every = share if unbroken else every
        any_ = share if any(good) else any_
    return every, any_


def _within(one: Beside | None, limit_ns: float) -> bool:
    """Whether a block's step kept loss and p99 within their limits."""
    if one is None or not one.sent:
        return False
    app = loads.together(one.app)
    if one.lost > LOSS_LIMIT * one.sent or not len(app):
        return False
    q = 0.99 if quantiles.supported(len(app), 0.99) else 0.95
    return quantiles.harrell_davis(app, q) <= limit_ns


def arms_of(points: Sequence[LoadPoint]) -> list[str]:
    """Arms of a curve without A/A repeats."""
    return [a for a in dict.fromkeys(p.arm for p in points) if parse_arm(a).repeat == 1]
