"""Made-up ladders of a known price: rows of samples/ladder as a run's design gives them."""

from collections.abc import Mapping

import msgspec
import numpy as np
import pandas as pd

from podbench.campaign.ladder import design
from podbench.store import schemas

PRICE = {
    "bulk": {"bgp": 0.060, "ipip": 0.068, "vxlan": 0.070},
    "small": {"bgp": 6.0, "ipip": 7.0, "vxlan": 7.6},
}
"""Cores per Gbit/s, and per million packets a second."""


class Ladder(msgspec.Struct, frozen=True, kw_only=True):
    """What a made-up run is like."""

    blocks: int = 6
    bulk_bps: float = 8e9
    small_pps: float = 60_000.0
    price: Mapping[str, Mapping[str, float]] = msgspec.field(default_factory=lambda: PRICE)
    noise: float = 0.01
    """Sd of one window's busy CPU, cores."""
    visit_sd: float = 0.03
    """Sd of a visit's own slope, relative."""
    block_sd: float = 0.05
    """Sd of a block's slope, relative: the same for all its arms."""
    seed: int = 1
    steps_per_rest: int = 3
    machine: bool = True


def rows(what: Ladder) -> pd.DataFrame:
    """The table; every step is reached."""
    rng = np.random.default_rng(what.seed)
    modes = list(what.price["bulk"])
    found = []
    for block in range(1, what.blocks + 1):
        common = 1 + what.block_sd * rng.normal()
        for arm, mode in [*((f"{m}/pod", m) for m in modes), (f"{modes[0]}/pod#2", modes[0])]:
            floor = 0.3 + 0.05 * rng.normal()
            own = {k: common * (1 + what.visit_sd * rng.normal()) for k in ("bulk", "small")}
            at_rest = [("bulk", 0.0), ("small", 0.0)] * what.steps_per_rest
            for kind, share in [*at_rest, *design.of_block(what.seed, block)]:
                rate = share * (what.bulk_bps if kind == "bulk" else what.small_pps)
                per_unit = what.price[kind][mode] * own[kind] / (1e9 if kind == "bulk" else 1e6)
                busy = floor + per_unit * rate + what.noise * rng.normal()
                found.append(_row(block, arm, (kind, share, rate), busy, machine=what.machine))
    table = pd.DataFrame(found).reindex(columns=schemas.LADDER.names)
    return table.astype({"not_reached_reason": object})


def _row(
    block: int, arm: str, step: tuple[str, float, float], busy: float, *, machine: bool
) -> dict[str, object]:
    kind, share, rate = step
    bulk = kind == "bulk"
    return {
        "run_id": "synthetic",
        "block": block,
        "round": 1,
        "arm": arm,
        "mode": arm.partition("/")[0],
        "path": "pod",
        "src": "n1",
        "dst": "n2",
        "kind": kind,
        "offered_share": share,
        "offered_bps": rate if bulk else rate * 512,
        "offered_pps": None if bulk else rate,
        "achieved_bps": None if share == 0 or not bulk else rate,
        "achieved_pps": None if share == 0 or bulk else rate,
        "reached": True,
        "duration_s": 0.7,
        "busy_cores_src": busy if machine else busy / 2,
        "busy_cores_dst": None if machine else busy / 2,
        "busy_method": "idle",
        "busiest_cpu_ratio": 0.5,
    }


def probes(ladder: pd.DataFrame, *, count: int = 700, seed: int = 1) -> pd.DataFrame:
    """STAMP rows beside a ladder's steps: the median grows with the share, none is lost."""
    rng = np.random.default_rng(seed)
    parts = []
    loaded = ladder[ladder["offered_share"] > 0]
    for number, row in enumerate(loaded.to_dict("records")):
        share = float(row["offered_share"])
        kernel = np.round(20_000 * (1 + 2 * share) * np.exp(0.3 * rng.normal(size=count)))
        sent = np.arange(count) * 1_000_000 + number * 2_000_000_000 + 10**12
        part = pd.DataFrame({"intended_mono_ns": sent, "sent_wall_ns": sent})
        for name in ("run_id", "block", "round", "arm", "mode", "path", "src", "dst"):
            part[name] = row[name]
        part["phase"] = f"load-{row['kind']}-{round(100 * share)}"
        part["family"], part["status"], part["valid"] = "ipv4", "ok", True
        part["rtt_kernel_ns"] = kernel
        part["rtt_app_ns"] = kernel + 40_000
        part["late_ns"], part["stamp_source"] = 100, "kernel"
        parts.append(part)
    return pd.concat(parts, ignore_index=True)
