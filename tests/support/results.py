"""Results made by hand, for tests of what reads summary.json: a few pairs with chosen intervals."""

from pathlib import Path

import msgspec

from podbench.model.summary import (
    ArmSummary,
    Cni,
    Goodput,
    Interval,
    LossSummary,
    NodeSummary,
    Pair,
    PairProofSummary,
    Quantiles,
    Rate,
    Summary,
)
from podbench.store.rundir import RunDir

Figure = tuple[float | None, Interval | None]


def quantiles(n: int = 5000, **figures: Figure) -> Quantiles:
    """A distribution with these quantiles as (value, interval); the others are null."""
    nothing: Figure = (None, None)
    return Quantiles(
        p50=figures.get("p50", nothing)[0],
        p90=figures.get("p90", nothing)[0],
        p99=figures.get("p99", nothing)[0],
        p999=figures.get("p999", nothing)[0],
        min=1.0,
        max=90_000.0,
        mean=20_000.0,
        sd=2_000.0,
        n=n,
        n_effective=n / 10,
        ci95={name: bounds for name, (_, bounds) in figures.items()},
    )


def lost(sent: int, forward: int, ratio_ci: Interval | None) -> LossSummary:
    """Losses on the way there."""
    return LossSummary(
        sent=sent,
        lost_forward=forward,
        lost_backward=0,
        lost_unknown=0,
        ratio=forward / sent,
        ci95=ratio_ci,
        episodes=min(forward, 1),
    )


def rate(p50: float, bounds: Interval | None) -> Rate:
    """A rate with its interval."""
    return Rate(p50=p50, min=p50 * 0.8, max=p50 * 1.1, n=35, ci95=bounds)


def pair(
    src: str = "n1",
    dst: str = "n2",
    arm: str = "vxlan/pod",
    *,
    app: Quantiles | None = None,
    loss: LossSummary | None = None,
    tcp: Rate | None = None,
    proof: str | None = "match",
) -> Pair:
    """One directed pair; what is not given was not measured."""
    return Pair(
        src=src,
        dst=dst,
        arm=arm,
        family="ipv4",
        proof=None
        if proof is None
        else PairProofSummary(verdict=proof, method="counted", observed="bgp"),
        rtt_app_ns=app,
        loss=loss,
        goodput_bps=None if tcp is None else Goodput(tcp=tcp),
    )


def summary(*pairs: Pair, **changes: object) -> Summary:
    """A run of these pairs; its arms and nodes are those the pairs name."""
    arms = dict.fromkeys(one.arm for one in pairs)
    nodes = sorted({one.src for one in pairs} | {one.dst for one in pairs})
    made = Summary(
        run_id="made",
        started="2026-08-01T12:00:00Z",
        ended="2026-08-01T12:05:00Z",
        status="complete",
        target="lab",
        cni=Cni(name="calico", requested="calico"),
        versions={"podbench": "0.1.0", "iperf3": "iperf 3.12 (cJSON 1.7.15)"},
        seed=1,
        nodes=tuple(NodeSummary(name=name) for name in nodes),
        method="pools",
        arms=tuple(
            ArmSummary(
                arm=arm,
                mode=arm.partition("/")[0],
                path=arm.partition("/")[2].partition("#")[0],
                implementation=None,
                pod_mtu=1450,
                status="measured",
            )
            for arm in arms
        ),
        pairs=pairs,
    )
    return msgspec.structs.replace(made, **changes)


def save(path: Path, made: Summary) -> Path:
    """Writes it where a run would have; returns the run directory."""
    path.mkdir(parents=True, exist_ok=True)
    rundir = RunDir(path)
    rundir.write_json(rundir.summary_json, made)
    return path
