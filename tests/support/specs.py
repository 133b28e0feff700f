"""Specifications for tests of plans and sessions."""

from podbench.campaign.spec import RunSpec
from podbench.model.arms import Mode
from podbench.model.nodes import LabOptions

MODES = (Mode.VXLAN, Mode.IPIP, Mode.BGP)


def make_spec(
    blocks: int | None = 5,
    budget_s: float | None = None,
    probes: tuple[str, ...] = ("latency", "throughput"),
    seed: int = 7,
) -> RunSpec:
    """A specification of three Calico modes."""
    return RunSpec(
        cni="calico",
        cni_requested="calico",
        target="lab",
        modes=MODES,
        probes=probes,
        method="pools",
        seed=seed,
        blocks=blocks,
        budget_s=budget_s,
        lab=LabOptions(),
    )
