"""What a plan and a journal can hold: names and numbers that a run can have, and nothing else.

A run directory may come from a stranger, and its names become files, topics and commands when it is
gone on with. Used where plan.json, run.json and journal.jsonl are read.
"""

import re
from collections.abc import Iterable

from podbench.campaign import plan
from podbench.model import plain
from podbench.model.arms import Path, parse_arm
from podbench.model.errors import ConfigError, StoreError
from podbench.store.rundir import RunDir

NODE = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""A DNS subdomain (RFC 1123), as Kubernetes holds nodes' names to."""
WORD = re.compile(r"[a-z0-9][a-z0-9_.%-]{0,63}")
"""A probe, a phase."""
MOST_BLOCKS, MOST_ROUNDS, MOST_REPEATS = 100_000, 100_000, 99
MOST_NODES = 100_000


def check_plan(drawn: plan.Plan) -> None:
    """Refuses a plan that `bench` never drew.

    Raises:
        StoreError: It names what no run has; the sentence does not name the file.
    """
    nodes = set(drawn.nodes)
    if len(nodes) > MOST_NODES:
        raise StoreError(f"plans {len(nodes)} nodes")
    for node in nodes:
        _name(NODE, node, "node")
    for probe in drawn.probes:
        _name(WORD, probe, "probe")
    _within(drawn.blocks, 0, MOST_BLOCKS, "blocks")
    for visit in drawn.visits:
        _within(visit.block, 1, MOST_BLOCKS, "block")
        _within(visit.repeat, 1, MOST_REPEATS, "repeat")
        for each in visit.rounds:
            _check_round(each, nodes)
    _pairs((pair for group in drawn.groups for pair in group), nodes)


def _check_round(each: plan.Round, nodes: set[str]) -> None:
    _within(each.number, 1, MOST_ROUNDS, "round")
    _name(WORD, each.phase, "phase")
    _pairs(each.pairs, nodes)
    _pairs(((one.src, one.dst) for one in each.transfers), nodes)
    for one in each.transfers:
        _name(WORD, one.probe, "probe")


def _pairs(pairs: Iterable[tuple[str, str]], nodes: set[str]) -> None:
    for src, dst in pairs:
        strangers = {src, dst} - nodes
        if strangers or src == dst:
            raise StoreError(f"plans the pair {_shown(src)} > {_shown(dst)}, which no plan has")


def read_plan(rundir: RunDir) -> plan.Plan:
    """The plan of a run.

    Raises:
        ConfigError: The run was ended before it had one.
        StoreError: plan.json cannot be read, or names what no run has.
    """
    if not rundir.plan_json.exists():
        raise ConfigError(
            f"{rundir.path} holds no plan yet: the run ended before its first round",
            advice=f"`bench resume {rundir.path}` begins to measure; there is nothing to report",
        )
    drawn = rundir.read_json(rundir.plan_json, plan.Plan)
    try:
        check_plan(drawn)
    except StoreError as error:
        raise StoreError(f"{rundir.plan_json}: damaged: {error}") from error
    return drawn


def is_entry(block: int | None, arm: str | None, number: int | None) -> bool:
    """Whether a line of the journal speaks of a place that a run can have."""
    try:
        if arm is not None:
            _within(parse_arm(arm).repeat, 1, MOST_REPEATS, "repeat")
        _within(block or 1, 1, MOST_BLOCKS, "block")
        _within(number or 1, 1, MOST_ROUNDS, "round")
    except (StoreError, ValueError):
        return False
    return True


def are_paths(paths: Iterable[str]) -> bool:
    """Whether all of these are paths that a probe can cross."""
    return set(paths) <= {str(path) for path in Path}


def _name(wanted: re.Pattern[str], name: str, what: str) -> None:
    if not wanted.fullmatch(name):
        raise StoreError(f"names the {what} {_shown(name)}, which no run has")


def _within(number: int, low: int, high: int, what: str) -> None:
    if not low <= number <= high:
        raise StoreError(f"names {what} {number}, which no run has")


def _shown(name: str) -> str:
    return repr(plain.line(name, 60))
