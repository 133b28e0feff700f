"""The one entry: `analyse(inputs)` turns the facts and tables of a run into a `Bundle`.

Below it are the modules of this package, each one figure; above it whoever read the run directory
(`podbench.results`). It only calls and assembles: every definition is elsewhere, and
docs/statistics.md lists them. Whatever is missing (a table, an arm, blocks, every packet) leaves
nulls and reasons.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
import pandas as pd

from podbench.analysis.bundle import BlockPoint, Bundle, LoadedPoint, PlanFacts, TailCurve
from podbench.analysis.figures import (
    estimates,
    goodput,
    load_curve,
    pairs,
    probes,
    shapes,
    timeline,
)
from podbench.analysis.findings import (
    aa,
    at_traffic,
    blame,
    capped,
    caveats,
    comparisons,
    controls,
    data_caveats,
    discoveries,
    end_caveats,
    first_screen,
    open_questions,
    price,
    proof_caveats,
    proofs,
    recommendation,
    shift,
    tax,
)
from podbench.analysis.samples import ladder, loss_table, seconds, transfers
from podbench.analysis.samples.blocks import Cells, Reduced, series_step
from podbench.analysis.samples.inputs import ArmLaid, Inputs
from podbench.analysis.samples.source import Held
from podbench.analysis.stats import family, quantiles, verdicts
from podbench.model.arms import Path, parse_arm
from podbench.model.summary import (
    AaCheck,
    ArmSummary,
    AtTraffic,
    Comparison,
    Control,
    Doubt,
    Encapsulation,
    Estimate,
    Family,
    LoadPoint,
    NodeSummary,
    Pair,
    StealRatio,
    Summary,
)


class _Measured(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everything read from the tables, before anything is judged."""

    probes: probes.Probes
    tables: comparisons.Tables
    rates: dict[str, Cells]
    ceilings: dict[str, Cells]
    steps: tuple[ladder.Step, ...]
    zero_ns: int


def _read(inputs: Inputs) -> _Measured:
    zero = 0

    def zero_ns(first_probe: Callable[[], int | None]) -> int:
        nonlocal zero
        zero = timeline.zero_mono_ns(inputs.visits, first_probe, inputs.host)
        return zero

    held = probes.read(inputs.latency_files or Held(inputs.latency), zero_ns)
    summed = transfers.intervals(inputs.throughput)
    rates = transfers.cells_of(summed)
    return _Measured(
        probes=held,
        tables=comparisons.Tables(
            cells={**held.cells, **rates},
            losses=held.losses,
            steps=_steps(held.cells),
            most_bps=inputs.most_bps,
            cpu_bound=inputs.cpu_bound,
        ),
        rates=rates,
        ceilings=transfers.cells_of(transfers.intervals(inputs.ceiling)),
        steps=ladder.steps(inputs.ladder),
        zero_ns=zero,
    )


def _steps(cells: Mapping[str, Cells | Reduced]) -> dict[str, float]:
    """Clock steps that the samples of a series show."""
    found = {name: series_step(held) for name, held in cells.items()}
    return {name: step for name, step in found.items() if step is not None}


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


def _without_latency(inputs: Inputs, measured: _Measured, arm: ArmSummary) -> ArmSummary:
    """Not measured, and why, where latency was planned and none of this arm came back.

    What transfers moved is shown all the same.
    """
    if arm.arm in measured.probes.arms or not any(n.kind == "latency" for n in inputs.lacking):
        return arm
    reasons = [one.reason for one in inputs.unmeasured if one.arm == arm.arm]
    why = f"no latency was measured: {reasons[-1]}" if reasons else arm.reason
    return msgspec.structs.replace(arm, status="not measured", reason=why)


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
    shared = found.get(seconds.MACHINE)
    return tuple(
        msgspec.structs.replace(node, steal_ratio=found.get(node.name, shared)) for node in nodes
    )


def _pairs(inputs: Inputs, measured: _Measured) -> tuple[Pair, ...]:
    return pairs.table(
        pairs.Material(
            latency={
                (arm, *pair): held
                for arm, figures in measured.probes.arms.items()
                for pair, held in figures.pairs.items()
            },
            losses=measured.tables.losses,
            rates=measured.rates,
            retransmits=transfers.retransmit_ratios(inputs.throughput),
            proofs=proofs.of_pairs(inputs.proofs),
        )
    )


class _Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Arms against each other and against themselves."""

    found: tuple[Comparison, ...]
    family: Family
    paid: price.Priced
    controls: tuple[Control, ...]
    floors: dict[str, float]
    check: AaCheck


def _comparisons(
    arms: Sequence[ArmSummary],
    tables: comparisons.Tables,
    plan: PlanFacts,
    paid: price.Priced,
) -> _Compared:
    """Controls first, then modes against the base above their floor, then what was not measured."""
    present = [arm.arm for arm in arms if arm.status == "measured"]
    itself = controls.against_itself(tables, present)
    hosts = controls.against_hosts(tables, present)
    floors = controls.noise_floor([*itself, *hosts])
    alpha = verdicts.alpha_of(plan.blocks_done) if plan.decided_early else family.ALPHA
    levels = (1.0 - alpha, 1.0 - alpha) if plan.decided_early else (0.95, 0.90)
    pods = tuple(arm for arm in present if parse_arm(arm).path is Path.POD)
    rule = comparisons.Rule(levels=levels, floors=floors, arms=pods)
    alone = comparisons.between_modes(tables, present, rule)
    asked = price.family_of(paid)
    between, held = first_screen.judge(alone, alpha, asked)
    paid = price.in_family(paid, first_screen.prices(alone, asked, alpha), alpha)
    base = comparisons.base_of(present)
    absent = [
        one
        for arm in arms
        if arm.status != "measured" and arm.path == "pod" and base and "#" not in arm.arm
        for one in comparisons.not_measured((base, arm.arm), arm.reason)
    ]
    every = (*between, *absent, *(one.comparison for one in itself))
    return _Compared(
        found=open_questions.timed(every, plan),
        family=held,
        paid=paid,
        controls=controls.table({controls.AA: itself, controls.HOST_PATH: hosts}),
        floors=floors,
        check=aa.check([one.decision for one in itself]),
    )


def _status(inputs: Inputs, check: AaCheck) -> Literal["complete", "partial", "invalid"]:
    if aa.void(check):
        return "invalid"
    missing = inputs.plan.blocks_done < inputs.plan.blocks_planned
    return "partial" if missing or inputs.interrupted else "complete"


class _Judged(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What the tables say once they are judged."""

    arms: tuple[ArmSummary, ...]
    names: tuple[str, ...]
    """Measured arms."""
    figures: tuple[Estimate, ...]
    points: tuple[BlockPoint, ...]
    mesh: tuple[Pair, ...]
    compared: _Compared
    wrapped: tuple[Encapsulation, ...]
    paid: price.Priced
    curve: tuple[LoadPoint, ...]
    traffic: tuple[AtTraffic, ...]


def _judge(inputs: Inputs, measured: _Measured) -> _Judged:
    arms = _arms(inputs, measured)
    names = tuple(arm.arm for arm in arms if arm.status == "measured")
    modes = tuple(arm.mode for arm in arms if arm.path == "pod" and "#" not in arm.arm)
    alone = price.prices(measured.steps, modes, _base_mode(names))
    compared = _comparisons(arms, measured.tables, inputs.plan, alone)
    paid = compared.paid
    moments = estimates.rate_moments(measured.rates)
    for arm, held in measured.probes.arms.items():
        moments |= {(arm, series): one for series, one in held.moments.items()}
    cells = measured.tables.cells
    figures, points = estimates.table(cells, moments, names, timeline.orders(inputs.visits))
    figures += estimates.of_loss(measured.tables.losses, names)
    losses = {arm: loss_table.of_arm(measured.tables.losses, arm) for arm in names}
    curve = load_curve.curve(measured.steps, measured.probes.part.loads, figures, losses)
    return _Judged(
        arms=arms,
        names=names,
        figures=tuple(figures),
        points=tuple(points),
        mesh=_pairs(inputs, measured),
        compared=compared,
        wrapped=_wrapped(inputs, measured, arms),
        paid=paid,
        curve=curve,
        traffic=at_traffic.answers(inputs.traffic, paid, curve, modes, len(inputs.nodes)),
    )


def _wrapped(
    inputs: Inputs, measured: _Measured, arms: tuple[ArmSummary, ...]
) -> tuple[Encapsulation, ...]:
    """Goodput shares: on the shaped segment where the run has one, else of its transfers."""
    shaped = measured.ceilings[transfers.TCP]
    if shaped:
        return goodput.encapsulation(arms, shaped, inputs.ceiling_bps)
    return goodput.encapsulation(
        arms, measured.rates[transfers.TCP], inputs.shaped_rate_bps, inputs.most_bps
    )


def _base_mode(names: Sequence[str]) -> str | None:
    base = comparisons.base_of(names)
    return None if base is None else str(parse_arm(base).mode)


def _warnings(inputs: Inputs, measured: _Measured, judged: _Judged) -> tuple[Doubt, ...]:
    return (
        *caveats.of_setting(inputs, judged.arms),
        *caveats.of_lost(inputs, judged.arms),
        *caveats.of_arms(judged.arms),
        *proof_caveats.of_proofs(inputs),
        *caveats.of_unmeasured(inputs),
        *end_caveats.of_ends(inputs),
        *caveats.of_design(inputs, judged.compared.check),
        *controls.failed(judged.compared.controls),
        *open_questions.of_open(judged.compared.found),
        *capped.doubts(judged.compared.found, inputs.most_bps),
        *data_caveats.of_samples(measured.probes.part.quality),
        *data_caveats.of_losses(measured.tables.losses),
        *data_caveats.of_pairs(judged.mesh),
        *data_caveats.of_throughput(inputs.throughput, judged.wrapped),
        *data_caveats.of_prices(judged.paid.prices),
        *data_caveats.of_clocks(inputs.host),
        *data_caveats.of_host(inputs.host),
    )


def _summary(inputs: Inputs, measured: _Measured, judged: _Judged) -> Summary:
    zones = {node.name: node.zone for node in inputs.nodes}
    cells, names = measured.tables.cells, judged.names
    contrasts = [*comparisons.between_modes_of(names), *comparisons.repeats(names)]
    return Summary(
        run_id=inputs.run_id,
        name=inputs.name,
        labels=inputs.labels,
        started=inputs.started,
        ended=inputs.ended,
        status=_status(inputs, judged.compared.check),
        target=inputs.target,
        cni=inputs.cni,
        versions=inputs.versions,
        spec=inputs.spec,
        seed=inputs.seed,
        nodes=_nodes(inputs.nodes, inputs.host),
        method=inputs.method,
        arms=tuple(_without_latency(inputs, measured, arm) for arm in judged.arms),
        estimates=judged.figures,
        pairs=judged.mesh,
        comparisons=judged.compared.found,
        overlay_tax=tax.table(measured.tables, judged.names, judged.compared.floors),
        noise_floor={name: float(np.expm1(log)) for name, log in judged.compared.floors.items()},
        aa_check=judged.compared.check,
        family=judged.compared.family,
        controls=judged.compared.controls,
        blame=blame.blame(measured.tables, names, measured.probes.part.residues, zones),
        encapsulation=judged.wrapped,
        cpu_price=judged.paid.prices,
        load_curve=judged.curve,
        load_held=load_curve.held(measured.steps, measured.probes.part.loads, _base_mode(names)),
        at_traffic=judged.traffic,
        recommendation=recommendation.recommend(
            judged.arms,
            judged.compared.found,
            judged.paid.prices,
            judged.traffic,
            judged.compared.check,
        ),
        warnings=_warnings(inputs, measured, judged),
        shifts=shift.table(cells, contrasts),
        discoveries=discoveries.table(cells, contrasts, judged.compared.floors),
    )


def undecided(inputs: Inputs, maximum: int, after: int) -> tuple[tuple[str, str, str], ...]:
    """The headline comparisons that a look at a growing run does not settle: metric, base, other.

    Loss is left out: that nothing was lost cannot be settled early.

    Args:
        inputs: facts and tables of the blocks measured so far.
        maximum: blocks the budget allows.
        after: blocks measured.
    """
    measured = _read(inputs)
    arms = _arms(inputs, measured)
    names = [arm.arm for arm in arms if arm.status == "measured"]
    return open_questions.undecided(measured.tables, names, maximum, after)


def _tails(held: probes.Probes, names: Sequence[str]) -> tuple[TailCurve, ...]:
    """By series, arms in the order to report."""
    return tuple(
        curve
        for series in shapes.DRAWN
        for name in names
        if name in held.arms
        for curve in held.arms[name].tails
        if curve.metric == series
    )


def _loaded(held: probes.Probes, names: Sequence[str]) -> tuple[LoadedPoint, ...]:
    found = (held.arms[name].loaded for name in names if name in held.arms)
    return tuple(point for point in found if point is not None)


def analyse(inputs: Inputs) -> Bundle:
    """All figures of a run, from its samples.

    Args:
        inputs: facts and tables; any table may be None or empty.
    """
    measured = _read(inputs)
    inputs = msgspec.structs.replace(inputs, damages=(*inputs.damages, *measured.probes.damages))
    judged = _judge(inputs, measured)
    return Bundle(
        summary=_summary(inputs, measured, judged),
        plan=inputs.plan,
        tails=_tails(measured.probes, judged.names),
        block_points=judged.points,
        visits=timeline.visits(inputs.visits, measured.zero_ns),
        timeline=timeline.points(measured.probes.part.tails, inputs.host, measured.zero_ns),
        episodes=timeline.loss_episodes(measured.probes.part.gaps, measured.zero_ns),
        loaded=_loaded(measured.probes, judged.names),
        proofs=proofs.details(inputs.proofs),
        damages=inputs.damages,
        effects=blame.effects(
            measured.tables, judged.names, {node.name: node.zone for node in inputs.nodes}
        ),
        cluster=inputs.cluster,
        command=inputs.command,
        faults_injected=inputs.faults_injected,
    )
