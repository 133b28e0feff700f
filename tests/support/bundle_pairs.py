"""The directed pairs of a bundle made by hand."""

import random

from support.bundle_cases import GOODPUT_BPS, TAIL, Case, arms_of, around, level_ns

from podbench.model.summary import Goodput, LossSummary, Pair, PairProofSummary, Quantiles, Rate


def pairs(case: Case, rng: random.Random) -> list[Pair]:
    """Every directed pair of every arm; from four nodes on the second one is slow."""
    names = case.node_names
    out = []
    for arm, mode, path in arms_of(case):
        if path == "host" and case.nodes > 24:
            continue
        for i, src in enumerate(names):
            for j, dst in enumerate(names):
                if i != j:
                    far = 1.0 if i % case.zones == j % case.zones else 1.35
                    far *= 1.4 if case.nodes > 3 and 1 in (i, j) else 1.0
                    level = level_ns(mode, path) * far * rng.uniform(0.97, 1.03)
                    out.append(_pair(case, arm, (src, dst), level, GOODPUT_BPS[mode] / far))
    return out


def _pair(case: Case, arm: str, ends: tuple[str, str], level: float, rate: float) -> Pair:
    sent = 1_000 * case.blocks
    lost = sent if case.all_lost else 0
    return Pair(
        src=ends[0],
        dst=ends[1],
        arm=arm,
        family="ipv4",
        proof=PairProofSummary(verdict="match", method="counted", observed=arm.partition("/")[0]),
        rtt_kernel_ns=None if case.all_lost else _quantiles(level, sent),
        rtt_app_ns=None if case.all_lost else _quantiles(level * 3.1, sent),
        rtt_idle_ns=None if case.all_lost else _quantiles(level * 1.9, sent // 30),
        pdv_p99_ns=None if case.all_lost else level * 1.6,
        loss=LossSummary(
            sent=sent,
            lost_forward=lost,
            lost_backward=0,
            lost_unknown=0,
            ratio=lost / sent,
            ci95=(1.0 - 3 / sent, 1.0) if lost else (0.0, 3 / sent),
            episodes=case.blocks if lost else 0,
        ),
        goodput_bps=None
        if case.all_lost or "/host" in arm
        else Goodput(
            tcp=Rate(p50=rate, min=rate * 0.8, max=rate * 1.1, n=20, ci95=around(rate, 0.04))
        ),
    )


def _quantiles(level: float, n: int) -> Quantiles:
    values = {
        q: level * k if n * (1 - float("0." + q[1:])) >= 10 else None for q, k in TAIL.items()
    }
    return Quantiles(
        p50=values["p50"],
        p90=values["p90"],
        p99=values["p99"],
        p999=values["p999"],
        min=level * 0.62,
        max=level * 21,
        mean=level * 1.1,
        sd=level * 0.3,
        n=n,
        n_effective=n / 22,
        ci95={q: around(v, 0.03) for q, v in values.items() if v is not None},
    )
