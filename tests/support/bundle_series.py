"""The series of a bundle made by hand: tails, block points, time line, episodes, pair proofs."""

import math
import random

from support.bundle_cases import BASE_NS, GOODPUT_BPS, ORIGIN, OVERHEAD, Case, arms_of, level_ns

from podbench.analysis.bundle import (
    ArmProofDetail,
    BlockPoint,
    LoadedPoint,
    LossEpisode,
    TailCurve,
    TimePoint,
    Visit,
)


def tails(case: Case) -> list[TailCurve]:
    """Tails of every arm; an idle path has too few samples for the last nines."""
    qs = (0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 0.9995)
    out = []
    for arm, mode, path in arms_of(case):
        level = level_ns(mode, path)
        for metric, factor, power in (
            ("rtt_kernel_ns", 1.0, 0.23),
            ("rtt_app_ns", 3.1, 0.42),
            ("rtt_idle_ns", 1.9, 0.26),
        ):
            if metric == "rtt_idle_ns" and path == "host":
                continue
            keep = qs[:5] if metric == "rtt_idle_ns" else qs
            values = tuple(level * factor * (0.5 / (1 - q)) ** power for q in keep)
            out.append(TailCurve(arm=arm, metric=metric, q=keep, value_ns=values))
    return out


def block_points(case: Case, rng: random.Random) -> list[BlockPoint]:
    """One point for each arm, metric and block, with shared drift."""
    out = []
    for block in range(1, case.blocks + 1):
        drift = rng.gauss(1.0, 0.015)
        for order, (arm, mode, path) in enumerate(arms_of(case)):
            level = level_ns(mode, path)
            for metric, value in (
                ("rtt_kernel_ns.p50", level),
                ("rtt_kernel_ns.p99", level * 2.35),
                ("goodput_bps.tcp.p50", GOODPUT_BPS[mode]),
            ):
                if path == "host" and metric.startswith("goodput"):
                    continue
                noise = rng.gauss(1.0, 0.05 if "p99" in metric else 0.012)
                out.append(
                    BlockPoint(
                        block=block,
                        order=order,
                        arm=arm,
                        metric=metric,
                        value=value * drift * noise,
                    )
                )
    return out


def visits(case: Case) -> list[Visit]:
    """Ten seconds for each arm, in an order that changes from block to block."""
    arms = [arm for arm, _, path in arms_of(case) if path == "pod"]
    out = []
    for block in range(1, case.blocks + 1):
        for k in range(len(arms)):
            start = ((block - 1) * len(arms) + k) * 10.0
            arm = (
                arms[(k * 3 + block) % len(arms)]
                if len(arms) % 3
                else arms[(k + block) % len(arms)]
            )
            out.append(Visit(block=block, arm=arm, start_s=start, end_s=start + 9.0))
    return out


def timeline(case: Case, rng: random.Random) -> list[TimePoint]:
    """One point a second, with four seconds of stolen CPU."""
    nodes = ("machine",) if case.target == "lab" else case.node_names
    out = []
    for node in nodes:
        for second in range(case.blocks * (len(case.measured) + 1) * 10):
            stolen = 0.18 if 61 <= second <= 64 else max(0.0, rng.gauss(0.004, 0.004))
            quiet = case.all_lost or second % 10 == 9
            out.append(
                TimePoint(
                    time_s=float(second),
                    node=node,
                    cpu_busy_ratio=0.55 + 0.2 * math.sin(second / 7) + rng.uniform(0, 0.1),
                    cpu_steal_ratio=stolen,
                    cpu_softirq_ratio=0.12 + rng.uniform(0, 0.05),
                    rtt_kernel_p99_ns=None if quiet else 52e3 * rng.lognormvariate(0, 0.15),
                    rtt_app_p99_ns=None
                    if quiet
                    else 290e3 * rng.lognormvariate(0, 0.25) * (1 + 20 * stolen),
                )
            )
    return out


def episodes(case: Case) -> list[LossEpisode]:
    """Episodes on the first pair, where the case has losses at all."""
    if not case.all_lost and not case.faults:
        return []
    ends = case.node_names[:2]
    return [
        LossEpisode(
            arm=f"{mode}/pod",
            src=ends[0],
            dst=ends[1],
            block=block,
            time_s=block * 38.0 - k * 9.0,
            length=1_000 if case.all_lost else 1 + (block * k) % 4,
            direction="forward",
        )
        for block in range(1, case.blocks + 1)
        for k, mode in enumerate(case.measured)
    ]


def loaded(case: Case) -> list[LoadedPoint]:
    """Latency at rest and beside a transfer."""
    return [
        LoadedPoint(
            arm=f"{mode}/pod",
            rest_p50_ns=BASE_NS[mode],
            rest_p99_ns=BASE_NS[mode] * 2.35,
            loaded_p50_ns=BASE_NS[mode] * 4.2,
            loaded_p99_ns=BASE_NS[mode] * 18,
            n=900,
        )
        for mode in case.measured
    ]


def proofs(case: Case) -> list[ArmProofDetail]:
    """A matching proof of every directed pair."""
    return [
        ArmProofDetail(
            arm=f"{mode}/pod",
            src=src,
            dst=dst,
            verdict="match",
            method="counted" if OVERHEAD[mode] else "routed",
            observed=mode,
            route_origin=ORIGIN[mode],
            evidence={
                "device": "vxlan.calico" if mode == "vxlan" else "eth0",
                "tx": 5_004,
                "sent": 5_000,
            },
        )
        for mode in case.measured
        for src in case.node_names
        for dst in case.node_names
        if src != dst
    ]
