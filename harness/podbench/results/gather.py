"""Reads a run directory into what analysis takes; what is damaged or missing is named.

Above: results.py, looks.py and side_by_side.py. Below: the journal, run.json, plan.json, samples.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from podbench.analysis.bundle import ClusterFacts, Damage, PlanFacts
from podbench.analysis.figures import cap
from podbench.analysis.samples.inputs import (
    ArmLaid,
    BlockProof,
    EndCounted,
    Inputs,
    Lacking,
    Unmeasured,
    VisitSpan,
)
from podbench.campaign import evidence, inventory, plan, plausible, record
from podbench.campaign.journal import (
    DECIDED,
    LATENCY_PHASES,
    LOOKS,
    REFUSED,
    Entry,
    Journal,
    latest,
    lost,
)
from podbench.campaign.options import config
from podbench.cni.proof.verdict import prove_arm, worst_of
from podbench.model.arms import Arm, Mode, parse_arm
from podbench.model.arms import Path as ArmPath
from podbench.model.errors import StoreError
from podbench.model.facts import PairProof
from podbench.model.summary import Cni, NodeSummary
from podbench.model.units import show_bps, show_ratio
from podbench.store import samples
from podbench.store.latency_files import LatencyFiles
from podbench.store.rundir import RunDir


def inputs(rundir: RunDir, begun: record.RunRecord) -> Inputs:
    """Reads what analysis needs but the latency rows, which it reads as it goes.

    What is damaged comes back named in `damages`; latency files that are, in the results'.
    """
    drawn = plausible.read_plan(rundir)
    entries = latest(Journal(rundir.journal).entries())
    held = inventory.take(rundir, drawn, entries)
    damages = [Damage(file=file, reason=reason) for file, reason in held.trouble]
    files = {rundir.path / name for name in held.files}
    tables = {}
    for probe, root in (
        ("throughput", rundir.path / "samples" / "throughput"),
        ("ladder", rundir.path / "samples" / "ladder"),
        ("ceiling", rundir.path / "samples" / "ceiling"),
        ("host", rundir.path / "host"),
    ):
        tables[probe], damaged = samples.read(root, probe, files)
        damages += [_damage(rundir, path, reason) for path, reason in damaged]
    proofs = (*_proofs(rundir, drawn, damages), *_of_loads(entries))
    return Inputs(
        run_id=begun.run_id,
        name=begun.name,
        labels=begun.labels,
        started=begun.started,
        ended=begun.ended,
        interrupted=begun.status not in record.ENDED,
        target=_target(begun.target),
        cni=_cni(begun),
        versions=begun.versions,
        spec=_spec(begun),
        seed=begun.seed,
        nodes=tuple(_node(node, begun.arms) for node in begun.nodes),
        method=begun.spec.method,
        arms=_arms(begun, drawn),
        proofs=proofs,
        shaped_rate_bps=begun.spec.lab.rate_bps,
        most_bps=begun.most_bps,
        plan=plan_facts(drawn, entries, [arm.mode for arm in begun.arms if arm.reason], held),
        lacking=lacking(drawn, entries),
        visits=_visits(entries),
        faults_injected=_faults(begun),
        unmeasured=_unmeasured(entries),
        refused=tuple(e.note for e in entries if e.event == REFUSED and e.note),
        counted=_counted(entries),
        damages=tuple(damages),
        cluster=_cluster(begun),
        command=_command(begun),
        latency_files=LatencyFiles(rundir, files),
        throughput=tables["throughput"],
        host=tables["host"],
        ladder=tables["ladder"],
        ceiling=tables["ceiling"],
        ceiling_bps=begun.spec.lab.rate_bps or plan.CEILING_BPS,
        # Between namespaces nothing but CPUs limits a transfer, unless the lab was given a rate.
        cpu_bound=begun.spec.cluster is None and begun.spec.lab.rate_bps is None,
        traffic=begun.spec.traffic,
    )


def _cni(begun: record.RunRecord) -> Cni:
    found = begun.cluster
    return Cni(
        name=begun.spec.cni,
        version=None if found is None else found.cni_version,
        requested=begun.spec.cni_requested,
        detected_from=("the lab lays this layout itself",)
        if found is None
        else found.detected_from,
    )


def _spec(begun: record.RunRecord) -> dict[str, object]:
    """The specification, and what followed from the nodes.

    What the lab is asked to be means nothing on a cluster.
    """
    spec: dict[str, object] = msgspec.to_builtins(begun.spec)
    if begun.spec.cluster is None:
        return spec
    nics = {node.name: node.nic_bps for node in begun.nodes}
    return {**spec, "lab": None, cap.SETTING: begun.most_bps, "nic_bps": nics}


def _cluster(begun: record.RunRecord) -> ClusterFacts | None:
    found, after = begun.cluster, begun.aftermath
    if found is None:
        return None
    facts = ClusterFacts(
        context=found.context,
        server=found.server,
        left_out=tuple((each.name, each.reason) for each in found.left_out),
    )
    if after is None:
        return facts
    return msgspec.structs.replace(
        facts,
        looked=True,
        made=after.made,
        gone=after.gone,
        restored=after.restored,
        left=after.left,
    )


def _command(begun: record.RunRecord) -> str:
    """What was asked for, with what was chosen for the user written out."""
    chosen = {"cni": begun.spec.cni, "target": begun.target, "seed": str(begun.seed)}
    if begun.cluster is not None:
        chosen["context"] = begun.cluster.context
    return config.command_line({**begun.options, **chosen})


def _target(name: str) -> Literal["lab", "kubernetes"]:
    return "kubernetes" if name == "kubernetes" else "lab"


def _damage(rundir: RunDir, path: Path, reason: str) -> Damage:
    return Damage(file=str(path.relative_to(rundir.path)), reason=reason)


def _proofs(rundir: RunDir, drawn: plan.Plan, damages: list[Damage]) -> tuple[BlockProof, ...]:
    found = []
    for visit in drawn.visits:
        where = rundir.evidence(visit.block, visit.arm)
        if not where.exists():
            continue
        try:
            read = rundir.read_json(where, evidence.Evidence)
        except StoreError as error:
            damages.append(_damage(rundir, where, str(error)))
            continue
        found.append(BlockProof(block=read.block, proof=read.before))
        if read.after is not None and read.after.verdict != read.before.verdict:
            found.append(BlockProof(block=read.block, proof=read.after))
    return tuple(found)


def lacking(drawn: plan.Plan, entries: list[Entry]) -> tuple[Lacking, ...]:
    """Kinds of probe that were planned, tried in every round that ran, and never came back."""
    rounds = {(v.block, v.arm.name, r.number): r for v in drawn.visits for r in v.rounds}
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    reasons: dict[str, str] = {}
    for e in entries:
        ran = rounds.get((e.block or 0, e.arm or "", e.round or 0))
        if e.event != "round" or ran is None:
            continue
        if "latency" in drawn.probes:
            tried["latency"] += len(ran.pairs)
        tried.update(one.probe for one in ran.transfers)
        for f in e.failures:
            if f.kind in LATENCY_PHASES and f.path == ArmPath.HOST:
                continue
            kind = "latency" if f.kind in LATENCY_PHASES else f.kind
            failed[kind] += 1
            reasons[kind] = f.reason
    return tuple(
        Lacking(kind=kind, tried=number, reason=reasons[kind])
        for kind, number in tried.items()
        if number and failed[kind] >= number
    )


def _of_loads(entries: list[Entry]) -> tuple[BlockProof, ...]:
    """The proofs of transfers and steps, by block, mode and kind of probe."""
    found: dict[tuple[int, Mode, str], list[PairProof]] = {}
    for e in entries:
        for one in e.proofs if e.block is not None else ():
            found.setdefault((e.block or 0, one.proof.mode, one.kind), []).append(one.proof)
    return tuple(
        BlockProof(block=block, kind=kind, proof=prove_arm(mode, worst_of(pairs)))
        for (block, mode, kind), pairs in found.items()
    )


def _node(node: record.NodeRecord, arms: Sequence[record.ArmRecord]) -> NodeSummary:
    own = [pod.mtu for pod in node.pods if pod.mtu is not None]
    laid = own or [a.pod_mtu for a in arms if a.reason is None and a.pod_mtu is not None]
    return NodeSummary(
        name=node.name,
        zone=node.zone,
        region=node.region,
        provider=node.provider,
        kernel=node.kernel,
        cpu_model=node.cpu_model,
        # With several modes at once a node has several; each arm names its own.
        mtu_pod=min(laid, default=None),
        mtu_underlay=node.mtu_underlay,
        kube_proxy_mode=node.kube_proxy_mode,
    )


def _arms(begun: record.RunRecord, drawn: plan.Plan) -> tuple[ArmLaid, ...]:
    """Every arm of a block, and those of modes that were refused before the plan was drawn."""
    laid = {arm.mode: arm for arm in (*record.refused(begun.spec), *begun.arms)}
    absent = [Arm(mode) for mode in begun.spec.refused if mode not in drawn.modes]
    found = []
    for arm in (*(visit.arm for visit in drawn.visits if visit.block == 1), *absent):
        what = laid.get(arm.mode)
        found += [
            ArmLaid(
                arm=arm.on(path).name,
                implementation=what.implementation if what else None,
                pod_mtu=what.pod_mtu if what and path is ArmPath.POD else None,
                reason=what.reason if what else "the run ended before it was laid",
            )
            for path in (ArmPath.POD, ArmPath.HOST)
        ]
    return tuple(sorted(found, key=lambda arm: arm.arm))


def plan_facts(
    drawn: plan.Plan,
    entries: list[Entry],
    absent: Sequence[Mode],
    held: inventory.Inventory | None = None,
) -> PlanFacts:
    """What was planned and what was done; a round whose samples were lost or are gone is not.

    Blocks after a deciding look were not needed, and modes that this machine lacks (`absent`) could
    not be had: neither makes a run partial.
    """
    done = {
        (e.block or 0, e.arm or "", e.round or 0)
        for e in entries
        if e.event == "round" and not lost(e)
    }
    if held is not None:
        done = (done - held.lost) | held.unlisted
    decided = min((e.block for e in entries if e.event == DECIDED and e.block), default=None)
    wanted: dict[int, set[tuple[int, str, int]]] = {}
    for visit in drawn.visits:
        if visit.mode in absent or (decided is not None and visit.block > decided):
            continue
        keys = {(visit.block, visit.arm.name, r.number) for r in visit.rounds}
        wanted.setdefault(visit.block, set()).update(keys)
    spans = [
        (e.end_mono_ns - e.start_mono_ns) / 1e9
        for e in entries
        if e.end_mono_ns is not None and e.start_mono_ns is not None
    ]
    return PlanFacts(
        blocks_planned=len(wanted),
        blocks_done=sum(keys <= done for keys in wanted.values()),
        visits=len(drawn.visits),
        rounds=drawn.rounds,
        measuring_s=sum(spans),
        arms_in_block=tuple(v.arm.name for v in drawn.visits if v.block == 1),
        looks=tuple(e.block for e in entries if e.event in LOOKS and e.block),
        decided_early=decided is not None,
    )


def _visits(entries: list[Entry]) -> tuple[VisitSpan, ...]:
    spans: dict[tuple[int, str], tuple[int, int]] = {}
    for e in entries:
        if e.block is None or e.arm is None or e.start_mono_ns is None or e.end_mono_ns is None:
            continue
        low, high = spans.get((e.block, e.arm), (e.start_mono_ns, e.end_mono_ns))
        spans[e.block, e.arm] = (min(low, e.start_mono_ns), max(high, e.end_mono_ns))
    return tuple(
        VisitSpan(block=block, arm=arm, start_mono_ns=low, end_mono_ns=high)
        for (block, arm), (low, high) in sorted(spans.items(), key=lambda item: item[1])
    )


def _unmeasured(entries: list[Entry]) -> tuple[Unmeasured, ...]:
    found = []
    for e in entries:
        if e.event != "round" or e.block is None or e.arm is None:
            continue
        for f in e.failures:
            # A failed transfer or load step has a row of its own, from which analysis tells it.
            if not f.kind.startswith(("throughput", "load-")):
                arm = parse_arm(e.arm).on(ArmPath(f.path)).name
                found.append(
                    Unmeasured(
                        block=e.block, arm=arm, kind=f.kind, src=f.src, dst=f.dst, reason=f.reason
                    )
                )
    return tuple(found)


def _counted(entries: list[Entry]) -> tuple[EndCounted, ...]:
    return tuple(
        EndCounted(
            block=e.block,
            arm=parse_arm(e.arm).on(ArmPath(span.path)).name,
            node=one.node,
            end=one.end,
            counts=one.counts,
        )
        for e in entries
        if e.event == "round" and e.block is not None and e.arm is not None
        for span in e.spans
        for one in span.counted
    )


def _faults(begun: record.RunRecord) -> tuple[str, ...]:
    lab = begun.spec.lab
    found = [f"loss {x.src} > {x.dst} {show_ratio(x.ratio)}" for x in lab.losses]
    if lab.rate_bps is not None:
        found.append(f"link rate {show_bps(lab.rate_bps)}")
    if lab.cpu_noise:
        found.append(f"CPU noise: {lab.cpu_noise} burner{'s' if lab.cpu_noise > 1 else ''}")
    return tuple(found)
