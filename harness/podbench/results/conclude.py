"""From a run directory to results: reads what is there, has it analysed, writes summary.json.

Whatever is damaged or missing is named and the rest is used, so this works on a whole run, on an
interrupted one and on one whose disk filled up. Above: cli. Below: gather.py and analysis.
"""

from collections.abc import Sequence

import msgspec

from podbench.analysis import summarise
from podbench.analysis.bundle import Bundle
from podbench.campaign import inventory, plausible, record
from podbench.campaign.journal import Journal, latest
from podbench.model.traffic import parse_traffic
from podbench.results import gather
from podbench.store.rundir import RunDir


def conclude(rundir: RunDir, traffic: Sequence[str] = ()) -> Bundle:
    """Analyses a run directory and writes its summary.json.

    Args:
        rundir: of the run.
        traffic: `--traffic` asked for now, in place of what the run was asked.

    Raises:
        StoreError: run.json or plan.json cannot be read, or summary.json not written.
    """
    begun = rundir.read_json(rundir.run_json, record.RunRecord)
    inputs = gather.inputs(rundir, begun)
    if traffic:
        inputs = msgspec.structs.replace(
            inputs, traffic=tuple(parse_traffic(text) for text in traffic)
        )
    bundle = summarise.analyse(inputs)
    rundir.write_json(rundir.summary_json, bundle.summary)
    if begun.status == "measured":
        done = msgspec.structs.replace(begun, status="complete")
        rundir.write_json(rundir.run_json, done)
    return bundle


def measured(rundir: RunDir, begun: record.RunRecord) -> bool:
    """Whether a run came to its end with every round of the plan on disk that was needed.

    Raises:
        StoreError: plan.json is there and cannot be read.
    """
    if begun.status not in record.ENDED or not rundir.plan_json.exists():
        return False
    drawn = plausible.read_plan(rundir)
    entries = latest(Journal(rundir.journal).entries())
    held = inventory.take(rundir, drawn, entries)
    facts = gather.plan_facts(drawn, entries, [], held)
    return facts.blocks_done == facts.blocks_planned


def left_behind(rundir: RunDir) -> list[str]:
    """What a run left in a cluster, and how it goes; empty where nothing is left.

    Raises:
        StoreError: run.json cannot be read.
    """
    found = rundir.read_json(rundir.run_json, record.RunRecord).aftermath
    if found is None or not found.left:
        return []
    return [
        f"something is left in the cluster: {'; '.join(found.left)}; "
        f"`bench restore {rundir.path}` takes it away"
    ]
