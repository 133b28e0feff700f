"""The one entry: `analyse(inputs)` turns the facts and tables of a run into a `Bundle`.

Below it are the modules of this package, each one figure; above it whoever read the run directory
(`podbench.run`). It only calls and assembles: every definition is elsewhere, and docs/statistics.md
lists them. Whatever is missing (a table, an arm, blocks, every packet) leaves nulls and reasons.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd

from podbench.analysis import (
    aa,
    comparisons,
    doubts,
    estimates,
    goodput,
    loss_table,
    pairs,
    proofs,
    quantiles,
    series,
    shapes,
    streams,
    tax,
    timeline,
    variation,
)
from podbench.analysis.blocks import Cells
from podbench.analysis.bundle import BlockPoint, Bundle
from podbench.analysis.inputs import ArmLaid, Inputs
from podbench.model.arms import parse_arm
from podbench.model.summary import (
    AaCheck,
    ArmSummary,
    Comparison,
    NodeSummary,
    Pair,
    StealRatio,
    Summary,
)


class _Measured(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everything read from the tables, before anything is judged."""

    probes: streams.Streams
    values: dict[str, npt.NDArray[np.float64]]
    tables: comparisons.Tables
    rates: dict[str, Cells]
    zero_ns: int


def _read(inputs: Inputs) -> _Measured:
    probes = streams.read(inputs.latency)
    values = series.values_of(probes)
    rates = goodput.cells_of(goodput.transfer_intervals(inputs.throughput))
    tables = comparisons.Tables(
        cells={**series.cells_of(probes, values), **rates}, losses=loss_table.table(probes)
    )
    return _Measured(
        probes=probes,
        values=values,
        tables=tables,
        rates=rates,
        zero_ns=timeline.zero_mono_ns(inputs.visits, probes, inputs.host),
    )


def _arms(inputs: Inputs, measured: _Measured) -> tuple[ArmSummary, ...]:
    """Arms as laid, then those only the tables know, each measured or with the reason why not."""
    seen = set(measured.probes.arms)
    seen |= {arm for cells in measured.rates.values() for arm, _ in cells}
    laid = {arm.arm: arm for arm in inputs.arms}
    found = []
    for name in [*laid, *sorted(seen - laid.keys())]:
        arm, fact = parse_arm(name), laid.get(name, ArmLaid(arm=name))
        has = name in seen
        found.append(
            ArmSummary(
                arm=name,
                mode=str(arm.mode),
                path=str(arm.path),
                implementation=fact.implementation,
                pod_mtu=fact.pod_mtu,
                status="measured" if has else "not measured",
                reason=None if has else fact.reason or "no sample was recorded",
                proof=proofs.of_arm(inputs.proofs, arm),
            )
        )
    return tuple(found)


def _nodes(nodes: Sequence[NodeSummary], host: pd.DataFrame | None) -> tuple[NodeSummary, ...]:
    """Nodes with their steal; a lab's one machine counts for all of them."""
    if host is None or host.empty or "cpu_steal_ratio" not in host:
        return tuple(nodes)
    steal = pd.to_numeric(host["cpu_steal_ratio"], errors="coerce")
    found = {}
    for name, part in steal.groupby(host["node"].astype(str)):
        ordered = np.sort(part.dropna().to_numpy(dtype=np.float64))
        if len(ordered):
            found[str(name)] = StealRatio(
                p50=quantiles.quantile(ordered, 0.5),
                p99=quantiles.quantile(ordered, 0.99),
                max=float(ordered[-1]),
            )
    shared = found.get(timeline.MACHINE)
    return tuple(
        msgspec.structs.replace(node, steal_ratio=found.get(node.name, shared)) for node in nodes
    )


def _pairs(inputs: Inputs, measured: _Measured) -> tuple[Pair, ...]:
    probes = measured.probes
    arrival = probes.mono_ns + np.nan_to_num(probes.late_ns) + np.nan_to_num(probes.app_ns)
    return pairs.table(
        pairs.Material(
            streams=probes,
            values=measured.values,
            jitter_ns=variation.rfc3550_jitter_ns(probes.kernel_ns, arrival, probes.starts),
            losses=measured.tables.losses,
            rates=measured.rates,
            retransmits=goodput.retransmit_ratios(inputs.throughput),
            proofs=proofs.of_pairs(inputs.proofs),
        )
    )


def _comparisons(
    arms: Sequence[ArmSummary], tables: comparisons.Tables
) -> tuple[tuple[Comparison, ...], dict[str, float], AaCheck]:
    """A/A first, then modes against the base with its noise floor, then what was not measured."""
    present = [arm.arm for arm in arms if arm.status == "measured"]
    itself = comparisons.against_itself(tables, present)
    floors = comparisons.noise_floor(itself)
    between = comparisons.between_modes(tables, present, floors)
    base = comparisons.base_of(present)
    absent = [
        one
        for arm in arms
        if arm.status != "measured" and arm.path == "pod" and base and "#" not in arm.arm
        for one in comparisons.not_measured((base, arm.arm), arm.reason)
    ]
    found = (*between, *absent, *(one.comparison for one in itself))
    return found, floors, aa.check([one.decision for one in itself])


def _status(inputs: Inputs, check: AaCheck) -> Literal["complete", "partial", "invalid"]:
    if aa.void(check):
        return "invalid"
    missing = inputs.plan.blocks_done < inputs.plan.blocks_planned
    return "partial" if missing or inputs.interrupted else "complete"


def analyse(inputs: Inputs) -> Bundle:
    """All figures of a run, from its samples.

    Args:
        inputs: facts and tables; any table may be None or empty.
    """
    measured = _read(inputs)
    arms = _arms(inputs, measured)
    names = tuple(arm.arm for arm in arms if arm.status == "measured")
    compared, floors, check = _comparisons(arms, measured.tables)
    moments = estimates.latency_moments(measured.probes, measured.values)
    moments |= estimates.rate_moments(measured.rates)
    figures, points = estimates.table(
        measured.tables.cells, moments, names, timeline.orders(inputs.visits)
    )
    figures += estimates.of_loss(measured.tables.losses, names)
    logs = {metric: float(floor) for metric, floor in floors.items()}
    mesh = _pairs(inputs, measured)
    wrapped = goodput.encapsulation(arms, measured.rates["goodput_bps.tcp"], inputs.shaped_rate_bps)
    summary = Summary(
        run_id=inputs.run_id,
        name=inputs.name,
        labels=inputs.labels,
        started=inputs.started,
        ended=inputs.ended,
        status=_status(inputs, check),
        target=inputs.target,
        cni=inputs.cni,
        versions=inputs.versions,
        spec=inputs.spec,
        seed=inputs.seed,
        nodes=_nodes(inputs.nodes, inputs.host),
        method=inputs.method,
        arms=arms,
        estimates=tuple(figures),
        pairs=mesh,
        comparisons=compared,
        overlay_tax=tax.table(measured.tables, names, logs),
        noise_floor={metric: float(np.expm1(floor)) for metric, floor in floors.items()},
        aa_check=check,
        encapsulation=wrapped,
        warnings=(
            *doubts.of_setting(inputs, arms),
            *doubts.of_arms(arms),
            *doubts.of_proofs(inputs),
            *doubts.of_design(inputs, check),
            *doubts.of_samples(measured.probes),
            *doubts.of_pairs(mesh),
            *doubts.of_throughput(inputs.throughput, wrapped),
            *doubts.of_host(inputs.host),
        ),
    )
    return _bundle(inputs, measured, summary, tuple(points))


def _bundle(
    inputs: Inputs, measured: _Measured, summary: Summary, points: tuple[BlockPoint, ...]
) -> Bundle:
    names = tuple(arm.arm for arm in summary.arms if arm.status == "measured")
    cells = measured.tables.cells
    return Bundle(
        summary=summary,
        plan=inputs.plan,
        tails=shapes.tails(cells, names),
        block_points=points,
        visits=timeline.visits(inputs.visits, measured.zero_ns),
        timeline=timeline.points(measured.probes, inputs.host, measured.zero_ns),
        episodes=timeline.loss_episodes(measured.probes, measured.zero_ns),
        loaded=shapes.loaded(cells, names),
        proofs=proofs.details(inputs.proofs),
        damages=inputs.damages,
        faults_injected=inputs.faults_injected,
    )
