"""Bundles made by hand, for tests of the report: realistic figures, hard cases by a parameter.

Nothing here is computed by `analysis`; the numbers are drawn from a seed around what a lab shows.
"""

import math
import random

import msgspec
from support import bundle_load, bundle_pairs, bundle_series
from support.bundle_cases import (
    BASE_NS,
    GOODPUT_BPS,
    HOST_NS,
    ORIGIN,
    OVERHEAD,
    TAIL,
    Case,
    arms_of,
    around,
    level_ns,
)

from podbench.analysis.bundle import Bundle, ClusterFacts, NodeEffect, PlanFacts
from podbench.model.summary import (
    AaCheck,
    ArmSummary,
    Blame,
    Cni,
    Comparison,
    Discoveries,
    Discovery,
    Doubt,
    Encapsulation,
    Estimate,
    NodeSummary,
    OverlayTax,
    ProofSummary,
    Shift,
    ShiftPoint,
    StealRatio,
    Summary,
    VarianceShare,
)

DOUBT = Doubt(
    code="cpu_shared",
    message="All nodes share one machine: its CPU bounds throughput, no wire does.",
    advice="Compare modes with each other, not with another machine.",
    evidence="2 cores, busiest 93% during transfers",
)


MORE = Doubt(
    code="more_blocks_needed",
    message="2 comparisons between modes are inconclusive; about 12 blocks would settle all of "
    "them: 7 more, 4 min 40 s measuring time",
    advice="bench run --blocks 12",
)
CLUSTER = ClusterFacts(
    context="prod-europe-west4",
    server="https://192.0.2.10:6443",
    left_out=(("cp-1", "taint node-role.kubernetes.io/control-plane:NoSchedule"),),
    looked=True,
    made=("Namespace podbench", "Namespace podbench-host", "IPPool podbench-vxlan"),
    gone=("IPPool podbench-vxlan", "Namespace podbench", "Namespace podbench-host"),
)


def make_bundle(case: Case = Case()) -> Bundle:  # noqa: B008 - frozen
    """One bundle as `case` asks for it."""
    rng = random.Random(case.seed)
    lost = case.all_lost
    return Bundle(
        summary=_summary(case, rng),
        plan=PlanFacts(
            blocks_planned=max(case.blocks, 5),
            blocks_done=case.blocks,
            visits=case.blocks * (len(case.measured) + 1),
            rounds=case.blocks * (len(case.measured) + 1) * case.nodes,
            measuring_s=40.0 * case.blocks,
            arms_in_block=(*(f"{m}/pod" for m in case.measured), f"{case.measured[0]}/pod#2"),
        ),
        tails=() if lost else tuple(bundle_series.tails(case)),
        block_points=() if lost else tuple(bundle_series.block_points(case, rng)),
        visits=tuple(bundle_series.visits(case)),
        timeline=tuple(bundle_series.timeline(case, rng)),
        episodes=tuple(bundle_series.episodes(case)),
        loaded=() if lost else tuple(bundle_series.loaded(case)),
        proofs=tuple(bundle_series.proofs(case)),
        effects=tuple(_effects(case, rng)),
        cluster=CLUSTER if case.target == "kubernetes" else None,
        command=f"bench run --cni calico --target {case.target} --seed 20260814",
        faults_injected=case.faults,
    )


def _summary(case: Case, rng: random.Random) -> Summary:
    lost = case.all_lost
    return Summary(
        run_id=f"2026-08-14T09-12-44Z-{case.target}-calico",
        name="Capacity review, August",
        labels={"team": "platform"},
        started="2026-08-14T09:12:44Z",
        ended="2026-08-14T09:16:31Z",
        status="partial" if case.missing or case.all_lost else "complete",
        target="lab" if case.target == "lab" else "kubernetes",
        cni=Cni(
            name="calico",
            version="3.31",
            requested="calico",
            detected_from=("lab layout",)
            if case.target == "lab"
            else ("IPPool crd", "calico-node"),
        ),
        versions={"podbench": "0.1.0", "iperf3": "3.12", "bird": "2.0.12", "kernel": "6.18"},
        spec={
            "cni": "calico",
            "modes": list(case.modes),
            "probes": ["latency", "throughput"],
            "budget_s": 200.0,
            "nodes": case.nodes,
        },
        seed=20260814,
        nodes=tuple(_nodes(case)),
        method="pools",
        arms=tuple(_arm_summaries(case)),
        estimates=tuple(_estimates(case, rng)),
        pairs=tuple(bundle_pairs.pairs(case, rng)),
        comparisons=tuple(_comparisons(case)),
        overlay_tax=tuple(_tax(case)),
        noise_floor={
            "rtt_kernel_ns.p50": 0.018,
            "rtt_kernel_ns.p99": 0.064,
            "goodput_bps.tcp.p50": 0.012,
        },
        aa_check=AaCheck(passed=None if case.all_lost else True, comparisons=8, false_alarms=0),
        blame=_blame(case),
        encapsulation=tuple(
            Encapsulation(
                mode=mode,
                overhead_bytes=OVERHEAD[mode],
                pod_mtu=1500 - OVERHEAD[mode],
                predicted_goodput_share=(1500 - OVERHEAD[mode] - 52) / 1538,
                measured_goodput_share=None if case.all_lost else GOODPUT_BPS[mode] / 7.7e9,
                share_of="host path",
            )
            for mode in case.measured
        ),
        cpu_price=() if lost else bundle_load.prices(case),
        load_curve=() if lost else bundle_load.curve(case),
        load_held=() if lost else bundle_load.held(case),
        at_traffic=() if lost else bundle_load.traffic(case),
        recommendation=None if lost or len(case.measured) < 2 else bundle_load.DECISION,
        warnings=(DOUBT,) if case.all_lost or case.blocks < 2 else (DOUBT, MORE),
        discoveries=tuple(_discoveries(case)),
        shifts=tuple(_shifts(case)),
    )


def _nodes(case: Case) -> list[NodeSummary]:
    return [
        NodeSummary(
            name=name,
            zone=f"zone-{'abcdefgh'[i % case.zones]}" if case.zones > 1 else None,
            provider="gce" if case.target == "kubernetes" else None,
            region="europe-west4" if case.target == "kubernetes" else None,
            kube_proxy_mode="nftables" if case.target == "kubernetes" else None,
            kernel="6.18.0",
            cpu_model="AMD EPYC 9B14",
            mtu_underlay=1500,
            mtu_pod=1450,
            steal_ratio=StealRatio(p50=0.0, p99=0.021, max=0.043),
        )
        for i, name in enumerate(case.node_names)
    ]


def _arm_summaries(case: Case) -> list[ArmSummary]:
    pairs = case.nodes * (case.nodes - 1)
    out = []
    for arm, mode, path in arms_of(case):
        kind = "routed" if mode == "bgp" else "kernel device"
        if mode == "ipip" and case.stand_in:
            kind = "eBPF at tc"
        if case.target == "kubernetes":
            kind = f"temporary IPPool podbench-{mode}"
        proof = ProofSummary(
            verdict="match",
            method="counted" if OVERHEAD[mode] else "routed",
            observed=mode,
            route_origin=ORIGIN[mode],
            pairs_matched=pairs,
            pairs_total=pairs,
        )
        out.append(
            ArmSummary(
                arm=arm,
                mode=mode,
                path=path,
                implementation=kind if path == "pod" else None,
                pod_mtu=1500 - OVERHEAD[mode] if path == "pod" else None,
                status="measured",
                proof=proof if path == "pod" and "#" not in arm else None,
            )
        )
    if case.missing:
        out.append(
            ArmSummary(
                arm=f"{case.missing}/pod",
                mode=case.missing,
                path="pod",
                implementation=None,
                pod_mtu=None,
                status="not measured",
                reason="kernel has no IPIP device and eBPF at tc needs root",
            )
        )
    return out


def _interval(metric: str, value: float, *, lost: bool) -> tuple[float, float]:
    if metric == "loss.ratio":
        return (0.9999, 1.0) if lost else (0.0, 0.0001)
    return around(value, 0.018)


def _estimates(case: Case, rng: random.Random) -> list[Estimate]:
    out = []
    for arm, mode, path in arms_of(case):
        for metric, value, unit in _figures(mode, path):
            missing = case.all_lost and not metric.startswith("loss")
            share = VarianceShare(within_session=0.81, between_blocks=0.13, between_pairs=0.06)
            out.append(
                Estimate(
                    arm=arm,
                    metric=metric,
                    value=None
                    if missing
                    else 1.0
                    if case.all_lost
                    else value * rng.uniform(0.998, 1.002),
                    unit=unit,
                    ci95=None
                    if missing or case.blocks < 2
                    else _interval(metric, value, lost=case.all_lost),
                    n=0 if missing else 30_000 * case.blocks // 5,
                    n_effective=None if missing else 1_400.0,
                    blocks=case.blocks,
                    mean=None if missing or unit != "ns" else value * 1.11,
                    sd=None if missing or unit != "ns" else value * 0.31,
                    variance_share=share if metric.startswith("rtt") and not missing else None,
                )
            )
    return out


def _figures(mode: str, path: str) -> list[tuple[str, float, str]]:
    level = level_ns(mode, path)
    out = [(f"rtt_kernel_ns.{q}", level * k, "ns") for q, k in TAIL.items()]
    out += [(f"rtt_app_ns.{q}", level * 3.1 * k**1.3, "ns") for q, k in TAIL.items()]
    out.append(("loss.ratio", 0.0, "ratio"))
    out += [
        ("pdv_p99_ns", level * 1.6, "ns"),
        ("ipdv_p50_ns", level * 0.08, "ns"),
        ("rfc3550_jitter_ns", level * 0.12, "ns"),
    ]
    if path == "pod":
        out += [
            ("goodput_bps.tcp.p50", GOODPUT_BPS[mode], "bit/s"),
            ("small_packets_pps.p50", 2.1e5, "packets/s"),
            ("retransmit_ratio", 0.00021, "ratio"),
        ]
    return out


def _comparisons(case: Case) -> list[Comparison]:
    base = "bgp" if "bgp" in case.measured else case.measured[-1]
    out = []
    for mode in case.modes:
        if mode == base:
            continue
        for metric, scale, unit, margin in (
            ("rtt_kernel_ns.p50", BASE_NS, "ns", 0.05),
            ("rtt_kernel_ns.p99", {k: v * 2.35 for k, v in BASE_NS.items()}, "ns", 0.10),
            ("rtt_app_ns.p50", {k: v * 0.3 + 56e3 for k, v in BASE_NS.items()}, "ns", 0.05),
            ("rtt_app_ns.p99", {k: v * 0.1 + 310e3 for k, v in BASE_NS.items()}, "ns", 0.10),
            ("pdv_p99_ns", {k: v * 1.6 for k, v in BASE_NS.items()}, "ns", 0.10),
            ("goodput_bps.tcp.p50", GOODPUT_BPS, "bit/s", 0.03),
        ):
            out.append(_comparison(case, (mode, base), (metric, unit, margin), scale))
    return out


def _comparison(
    case: Case, modes: tuple[str, str], what: tuple[str, str, float], scale: dict[str, float]
) -> Comparison:
    mode, base = modes
    metric, unit, margin = what
    gone = mode == case.missing or case.all_lost
    ratio = scale[mode] / scale[base]
    half = 0.024 if "p50" in metric else 0.11
    lo, hi = ratio * math.exp(-half), ratio * math.exp(half)
    verdict = "inconclusive"
    if lo > 1 or hi < 1:
        verdict = "different" if abs(math.log(ratio)) > math.log(1 + margin) else "small"
    elif hi < 1 + margin and lo > 1 / (1 + margin):
        verdict = "equivalent"
    single = case.blocks < 2
    if gone or single:
        verdict = "not measured" if gone else "inconclusive"
    return Comparison(
        metric=metric,
        base=f"{base}/pod",
        other=f"{mode}/pod",
        path="pod",
        ratio=None if gone else ratio,
        ci95=None if gone or single else (lo, hi),
        difference=None if gone else scale[mode] - scale[base],
        difference_ci95=None
        if gone or single
        else (scale[base] * (lo - 1), scale[base] * (hi - 1)),
        unit=unit,
        blocks=0 if gone else case.blocks,
        verdict=verdict,
        margin=margin,
        smallest_detectable_ratio=None if gone or single else math.exp(half * 1.4),
        blocks_needed=12 if verdict == "inconclusive" and not single else None,
        further_s=280.0 if verdict == "inconclusive" and not single else None,
        reason="kernel has no IPIP device and eBPF at tc needs root" if gone else None,
    )


def _tax(case: Case) -> list[OverlayTax]:
    out = []
    for mode in case.measured:
        for metric, factor in (("rtt_kernel_ns.p50", 1.0), ("rtt_kernel_ns.p99", 2.35)):
            pod, host = BASE_NS[mode] * factor, HOST_NS * factor
            out.append(
                OverlayTax(
                    mode=mode,
                    metric=metric,
                    pod=None if case.all_lost else pod,
                    host=None if case.all_lost else host,
                    difference=None if case.all_lost else pod - host,
                    ci95=None if case.all_lost or case.blocks < 2 else around(pod - host, 0.16),
                    unit="ns",
                    verdict=_verdict(case),
                )
            )
    return out


def _verdict(case: Case) -> str:
    if case.all_lost:
        return "not measured"
    return "different" if case.blocks > 1 else "inconclusive"


def _effects(case: Case, rng: random.Random) -> list[NodeEffect]:
    if case.nodes <= 3 or case.all_lost:
        return []
    return [
        NodeEffect(
            metric=metric,
            node=name,
            sender_ratio=_part(i, sign, rng),
            receiver_ratio=_part(i, sign, rng),
            z=9.3 if i == 1 else rng.uniform(-1, 1),
        )
        for metric, sign in (("rtt_kernel_ns.p50", 1), ("goodput_bps.tcp.p50", -1))
        for i, name in enumerate(case.node_names)
    ]


def _part(i: int, sign: int, rng: random.Random) -> float:
    return math.exp(sign * (math.log(1.2) if i == 1 else rng.gauss(0.0, 0.01)))


def _discoveries(case: Case) -> list[Discoveries]:
    """VXLAN differs from the base on every pair but one; nowhere by another amount."""
    if case.nodes <= 3 or case.all_lost or case.blocks < 3:
        return []
    pairs = case.nodes * (case.nodes - 1) // 2
    strongest = Discovery(
        nodes=case.node_names[:2],
        ratio=1.31,
        ci95=(1.22, 1.41),
        p_value=1e-5,
        p_adjusted=1e-4,
        confirmed=True,
        blocks=case.blocks,
    )
    differs = Discoveries(
        metric="rtt_kernel_ns.p50",
        base=f"{case.measured[-1]}/pod",
        other=f"{case.measured[0]}/pod",
        path="pod",
        question="differs",
        level="pair",
        margin=0.05,
        tested=pairs,
        untested=0,
        significant=pairs - 1,
        found=pairs - 1,
        confirmed=pairs // 2,
        strongest=(strongest,),
    )
    nowhere = msgspec.structs.replace(
        differs, question="stands out", significant=0, found=0, confirmed=0, strongest=()
    )
    return [differs, nowhere]


def _shifts(case: Case) -> list[Shift]:
    """Each mode against the base: the change grows towards the tail; one block: no interval."""
    base = case.measured[-1]
    if case.all_lost:
        return []
    return [
        Shift(
            metric=metric,
            base=f"{base}/pod",
            other=f"{mode}/pod",
            path="pod",
            unit="ns",
            points=tuple(
                ShiftPoint(
                    q=q,
                    ratio=ratio,
                    ci95=around(ratio, 0.02 + q / 20) if case.blocks > 1 else None,
                    difference=BASE_NS[base] * (ratio - 1),
                    p_value=0.001,
                    p_adjusted=0.002,
                    told_apart=True,
                    blocks=case.blocks,
                )
                for q, ratio in (
                    (q, (BASE_NS[mode] / BASE_NS[base]) ** (0.8 + q / 2))
                    for q in (0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99)
                )
            ),
        )
        for metric in ("rtt_kernel_ns", "rtt_app_ns")
        for mode in case.measured[:-1]
    ]


def _blame(case: Case) -> tuple[Blame, ...]:
    if case.nodes <= 3 or case.all_lost:
        return ()
    name = case.node_names[1]
    return (
        Blame(
            kind="node",
            subject=name,
            metric="rtt_kernel_ns.p50",
            effect_ratio=1.4,
            z=9.3,
            evidence="slow in both directions to every peer",
        ),
    )
