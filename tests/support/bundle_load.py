"""Prices, load curves, traffic and the decision of bundles made by hand."""

from support.bundle_cases import Case

from podbench.model.summary import (
    P50P99,
    AtTraffic,
    CpuPrice,
    LoadHeld,
    LoadPoint,
    Recommendation,
)

PRICES = {
    "bulk": {"vxlan": 0.0702, "ipip": 0.0681, "bgp": 0.0605},
    "small": {"vxlan": 7.62, "ipip": 6.94, "bgp": 6.01},
}
SHARES = (0.0, 0.25, 0.5, 0.75, 0.9)
FULL = {"bulk": 8e9, "small": 60_000.0}


def prices(case: Case) -> tuple[CpuPrice, ...]:
    """VXLAN and IPIP dearer than BGP, by an interval that excludes zero."""
    return tuple(
        _price(kind, mode) for kind in PRICES for mode in case.measured if mode in _known()
    )


def _known() -> set[str]:
    return set(PRICES["bulk"])


def _price(kind: str, mode: str) -> CpuPrice:
    value, base = PRICES[kind][mode], PRICES[kind]["bgp"]
    gap = value - base
    return CpuPrice(
        mode=mode,
        kind="bulk" if kind == "bulk" else "small",
        unit="cores_per_gbps" if kind == "bulk" else "cores_per_mpps",
        value=value,
        ci95=(value * 0.96, value * 1.04),
        base="bgp",
        difference=None if mode == "bgp" else gap,
        difference_ci95=None if mode == "bgp" else (gap * 0.6, gap * 1.4),
        verdict="base" if mode == "bgp" else "different",
        steps_reached=5,
        busy_method="idle",
        reason=None,
        margin=0.05,
        blocks=case_blocks(),
    )


def case_blocks() -> int:
    """Blocks of the ladder's design."""
    return 6


def curve(case: Case) -> tuple[LoadPoint, ...]:
    """RTT that grows with load; the top step of small packets was not reached everywhere."""
    found = []
    for mode in case.measured:
        for kind in ("bulk", "small"):
            for share in SHARES:
                p50 = 40_000 * (1 + share) + 9_000 * (mode != "bgp")
                rate = share * FULL[kind]
                found.append(
                    LoadPoint(
                        arm=f"{mode}/pod",
                        kind="bulk" if kind == "bulk" else "small",
                        offered_share=share,
                        offered_bps=rate if kind == "bulk" else None,
                        offered_pps=rate if kind == "small" else None,
                        rtt_app_ns=P50P99(p50=p50, p99=p50 * (3 + 9 * share)),
                        rtt_kernel_ns=P50P99(p50=p50 / 3, p99=p50),
                        pdv_p99_ns=p50 * 0.8,
                        loss_ratio=0.0,
                        busy_cores=0.3 + share,
                        ci95={"rtt_app_ns.p99": (p50 * 2.5, p50 * (4 + 12 * share))},
                        reached=not (kind == "small" and share == 0.9),
                        blocks=3,
                    )
                )
    return tuple(found)


def held(case: Case) -> tuple[LoadHeld, ...]:
    """Every mode held three quarters."""
    return tuple(
        LoadHeld(
            mode=mode,
            kind="bulk",
            share=0.75,
            share_range=(0.75, 0.9),
            bps=6e9,
            pps=None,
            of_base_ratio=1.0,
            limits={"loss.ratio": 0.001, "rtt_app_ns.p99": 10e6},
            top=False,
        )
        for mode in case.measured
    )


def traffic(case: Case) -> tuple[AtTraffic, ...]:
    """Inside for bulk; outside for as many small packets."""
    inside = tuple(
        AtTraffic(
            name="1 Gbit/s",
            bps=1e9,
            pps=None,
            mode=mode,
            cores_per_node=PRICES["bulk"][mode],
            ci95=(PRICES["bulk"][mode] * 0.96, PRICES["bulk"][mode] * 1.04),
            extra_cores_per_node=PRICES["bulk"][mode] - PRICES["bulk"]["bgp"],
            extra_ci95=(0.004, 0.012),
            extra_cores_cluster=case.nodes * (PRICES["bulk"][mode] - PRICES["bulk"]["bgp"]),
            rtt_app_ns=P50P99(p50=45_000, p99=180_000),
            verdict="base" if mode == "bgp" else "different",
        )
        for mode in case.measured
        if mode in _known()
    )
    outside = AtTraffic(
        name="peak",
        bps=None,
        pps=3e5,
        mode="vxlan",
        cores_per_node=None,
        ci95=None,
        extra_cores_per_node=None,
        extra_cores_cluster=None,
        rtt_app_ns=P50P99(),
        verdict="not measured",
        reason="outside what was measured: highest step 45 kpps",
    )
    return (*inside, outside)


DECISION = Recommendation(
    mode="bgp",
    because=(
        "VXLAN takes 16% more CPU per Gbit/s of bulk traffic",
        "IPIP takes 13% more CPU per Gbit/s of bulk traffic",
    ),
    unless=("application RTT p99 is inconclusive for VXLAN",),
    confidence="medium",
    confidence_reason="not decided: application RTT p99 of VXLAN",
    next_step="bench run --blocks 14",
)
