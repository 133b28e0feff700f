"""Run directories on disk from made-up runs: summary.json beside samples, visit by visit.

`write(path, inputs)` leaves what a finished run leaves of them, as far as commands read it that do
not measure (`gate`, `export`, `compare`).
"""

from pathlib import Path

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from support import synthetic
from support.specs import MODES, make_spec

from podbench.analysis.samples.inputs import Inputs
from podbench.analysis.summarise import analyse
from podbench.campaign import plan, record
from podbench.campaign.journal import Entry, Journal
from podbench.model.arms import parse_arm
from podbench.model.summary import Pair, Summary
from podbench.store import schemas
from podbench.store.rundir import RunDir


def write(path: Path, inputs: Inputs) -> Summary:
    """Analyses made-up inputs and writes summary.json and samples; returns the summary."""
    summary = analyse(inputs).summary
    path.mkdir(parents=True)
    rundir = RunDir(path)
    rundir.write_json(rundir.summary_json, summary)
    for probe, table in (("latency", inputs.latency), ("throughput", inputs.throughput)):
        if table is not None:
            _samples(rundir, probe, table)
    return summary


def finished(path: Path, inputs: Inputs) -> RunDir:
    """A run directory as `bench run` leaves it before its analysis: for `bench report`.

    The record, plan and journal are those of a lab run of the same blocks and nodes.
    """
    path.mkdir(parents=True)
    rundir = RunDir(path)
    begun = record.RunRecord(
        run_id=inputs.run_id,
        name=inputs.name,
        labels=inputs.labels,
        status="measured",
        started=inputs.started,
        ended=inputs.ended,
        target=inputs.target,
        spec=make_spec(blocks=inputs.plan.blocks_done),
        options={},
        seed=inputs.seed,
        versions=dict(inputs.versions),
        arms=tuple(
            record.ArmRecord(mode=mode, implementation="kernel device", pod_mtu=1450, reason=None)
            for mode in MODES
        ),
    )
    rundir.write_json(rundir.run_json, begun)
    names = [node.name for node in inputs.nodes]
    drawn = plan.draw(begun.spec, names, exclusive=True)
    rundir.write_json(rundir.plan_json, drawn)
    journal = Journal(rundir.journal)
    for visit in drawn.visits:
        for planned in visit.rounds:
            place = {"block": visit.block, "arm": visit.arm.name, "round": planned.number}
            journal.write(Entry(event="round", wall_ns=1, **place))  # type: ignore[arg-type]
    for probe, table in (("latency", inputs.latency), ("throughput", inputs.throughput)):
        if table is not None:
            _samples(rundir, probe, table)
    if inputs.host is not None:
        held = pa.Table.from_pandas(
            inputs.host, schema=schemas.HOST, preserve_index=False, safe=False
        )
        first = drawn.visits[0]
        where = rundir.host(first.block, first.arm, 1)
        where.parent.mkdir(parents=True)
        pq.write_table(held, where)
    return rundir


def _samples(rundir: RunDir, probe: str, table: pd.DataFrame) -> None:
    schema = schemas.BY_PROBE[probe]
    for (block, arm), rows in table.groupby(["block", "arm"]):
        where = rundir.samples(probe, int(str(block)), parse_arm(str(arm)), 1)
        where.parent.mkdir(parents=True, exist_ok=True)
        # One file a visit, which then holds all its rounds as its first.
        placed = rows.assign(round=1)
        held = pa.Table.from_pandas(placed, schema=schema, preserve_index=False, safe=False)
        pq.write_table(held, where)


def made_up(
    path: Path,
    seed: int = 1,
    *,
    shape: synthetic.Shape | None = None,
    truth: synthetic.Truth | None = None,
    **changes: object,
) -> Summary:
    """A made-up run of two nodes and six blocks, without host counters, named after its directory.

    `changes` replace fields of the inputs (`cni`, `versions`, `nodes`, ...).
    """
    shape = shape or synthetic.Shape(nodes=2, blocks=6, modes=("vxlan", "bgp"), host=False)
    inputs = synthetic.run(seed, shape, truth)
    given = {"run_id": path.name, "name": path.name, "seed": seed, **changes}
    return write(path, msgspec.structs.replace(inputs, **given))


def replace_summary(path: Path, **changes: object) -> Summary:
    """Rewrites summary.json with fields replaced."""
    rundir = RunDir(path)
    changed = msgspec.structs.replace(rundir.read_json(rundir.summary_json, Summary), **changes)
    rundir.write_json(rundir.summary_json, changed)
    return changed


def pair(summary: Summary, arm: str, src: str, dst: str) -> Pair:
    """One pair's record."""
    return next(p for p in summary.pairs if (p.arm, p.src, p.dst) == (arm, src, dst))
