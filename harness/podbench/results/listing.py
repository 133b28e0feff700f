"""Which runs a folder holds, newest first: what `bench ls` prints and the word `latest` means.

Reads run.json, plan.json, the journal and the head of summary.json of each; nothing is analysed.
"""

from pathlib import Path
from typing import Any

import msgspec

from podbench.campaign import plan, record
from podbench.campaign.journal import Journal
from podbench.model.errors import ConfigError, PodbenchError
from podbench.results import gather
from podbench.store.rundir import RunDir

DEFAULT = Path("runs")
"""Where a run without `--out` goes."""
LATEST = "latest"


class _Flagged(msgspec.Struct, frozen=True):
    """The part of summary.json that a list needs."""

    status: str
    warnings: list[dict[str, Any]] = []


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a folder. What a damaged run does not say is null, with the `trouble`."""

    path: str
    run_id: str | None = None
    name: str | None = None
    target: str | None = None
    cni: str | None = None
    modes: tuple[str, ...] = ()
    started: str | None = None
    """UTC, ISO 8601."""
    status: str | None = None
    blocks_done: int | None = None
    blocks_planned: int | None = None
    flags: tuple[str, ...] = ()
    """Codes of the warnings in summary.json; empty before a run is analysed."""
    trouble: str | None = None


def runs(folder: Path) -> tuple[Listed, ...]:
    """The runs below a folder, newest first; folders of runs are looked into one level deep.

    Raises:
        ConfigError: There is no such folder.
    """
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: no such folder",
            advice="name the folder that holds your runs: `bench ls DIR`",
        )
    patterns = ("*/run.json", "*/*/run.json")
    found = {path.parent for pattern in patterns for path in folder.glob(pattern)}
    listed = [_listed(path) for path in found]
    return tuple(sorted(listed, key=lambda each: (each.started or "", each.path), reverse=True))


def located(text: str) -> Path:
    """The run directory that a word of the command line names; `latest` is the newest of `runs/`.

    A directory that is called `latest` is itself.

    Raises:
        ConfigError: `latest`, and there is no run.
    """
    if text != LATEST or Path(text).exists():
        return Path(text)
    newest = runs(DEFAULT) if DEFAULT.is_dir() else ()
    if not newest:
        raise ConfigError(
            f"latest: no run in {DEFAULT.absolute()}",
            advice="name the run directory, or run `bench run` here first",
        )
    return Path(newest[0].path)


def _listed(path: Path) -> Listed:
    rundir = RunDir(path)
    try:
        begun = rundir.read_json(rundir.run_json, record.RunRecord)
        done, planned = _blocks(rundir, begun)
        summary = _summary(rundir)
    except PodbenchError as error:
        return Listed(path=str(path), trouble=str(error))
    return Listed(
        path=str(path),
        run_id=begun.run_id,
        name=begun.name,
        target=begun.target,
        cni=begun.spec.cni,
        modes=tuple(begun.spec.modes),
        started=begun.started,
        status=begun.status if summary is None else summary.status,
        blocks_done=done,
        blocks_planned=planned,
        flags=() if summary is None else tuple(str(each.get("code")) for each in summary.warnings),
    )


def _blocks(rundir: RunDir, begun: record.RunRecord) -> tuple[int | None, int | None]:
    if not rundir.plan_json.exists():
        return None, None
    drawn = rundir.read_json(rundir.plan_json, plan.Plan)
    absent = [arm.mode for arm in begun.arms if arm.reason]
    facts = gather.plan_facts(drawn, Journal(rundir.journal).entries(), absent)
    return facts.blocks_done, facts.blocks_planned


def _summary(rundir: RunDir) -> _Flagged | None:
    if not rundir.summary_json.exists():
        return None
    return rundir.read_json(rundir.summary_json, _Flagged)
