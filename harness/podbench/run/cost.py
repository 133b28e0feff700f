"""What a plan costs before it starts: probes, transfers, bytes kept, and what it can tell."""

import msgspec

from podbench.run import plan

LATENCY_ROW_BYTES = 45
"""Compressed Parquet per latency row, as seen on runs of this kind."""
TRANSFER_BYTES = 12_000
"""Rows and raw JSON of one transfer, compressed."""
LAB_CHANGES = (
    "nothing outside this command: private network, mount and process namespaces",
    "that end with it, and the run directory",
)


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan will send and keep."""

    probes: int
    transfers: int
    disk_bytes: int
    smallest_detectable_ratio: dict[str, float | None]


def expect(drawn: plan.Plan) -> Expected:
    """Adds a plan up."""
    probes = transfers = 0.0
    for visit in drawn.visits:
        for planned in visit.rounds:
            transfers += len(planned.transfers)
            probes += len(planned.transfers) * plan.TRANSFER_S * plan.LOADED_PPS
            if "latency" in drawn.probes:
                probes += len(planned.pairs) * _probes(planned.phase)
    metrics = [m for m in plan.PRIOR_SD if m.startswith("rtt") == ("latency" in drawn.probes)]
    if "latency" in drawn.probes and "throughput" in drawn.probes:
        metrics = list(plan.PRIOR_SD)
    return Expected(
        probes=round(probes),
        transfers=round(transfers),
        disk_bytes=round(probes * LATENCY_ROW_BYTES + transfers * TRANSFER_BYTES),
        smallest_detectable_ratio={
            m: plan.smallest_detectable_ratio(m, drawn.blocks) for m in metrics
        },
    )


def _probes(phase: str) -> float:
    if phase == "idle":
        return plan.IDLE_PPS * plan.IDLE_S
    return plan.WARM_PPS * (plan.WARM_POD_S + plan.WARM_HOST_S)
