"""A finished run as others left it: its results, and its samples visit by visit.

For commands that judge or pass on a run without measuring (`gate`, `export`, `compare`). Nothing is
written here. `results` is the neighbour that analyses a whole run.
"""

from pathlib import Path

import msgspec

from podbench.analysis.bundle import Damage
from podbench.analysis.figures import group_points
from podbench.analysis.figures.group_points import GroupPoints, Groups
from podbench.analysis.samples.histograms import Histogram, collect
from podbench.analysis.samples.metrics import METRICS, Metric
from podbench.campaign import inventory, plausible
from podbench.campaign.journal import Journal, latest
from podbench.model.errors import ConfigError, StoreError
from podbench.model.summary import FORMAT, Summary
from podbench.store import guarded, rundir
from podbench.store.rundir import RunDir
from podbench.store.visits import Visits


class _Formatted(msgspec.Struct):
    """Enough of any summary.json to know whether this version can read the rest."""

    format: int | None = None


def open_run(path: Path) -> RunDir:
    """Opens a run directory; one that holds nothing but a summary.json will do.

    Raises:
        ConfigError: There is no run there.
    """
    if (path / "summary.json").is_file():
        guarded.inspect(path)
        return RunDir(path)
    return rundir.open_existing(path)


def format_of(run: RunDir) -> int | None:
    """The format number of a run's summary.json; null where it has none that can be read."""
    try:
        return msgspec.json.decode(guarded.read(run.summary_json), type=_Formatted).format
    except (OSError, StoreError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def summary(run: RunDir) -> Summary:
    """The results of a run.

    Raises:
        ConfigError: It has none yet.
        StoreError: They are damaged, or of another format number; names the file.
    """
    path = run.summary_json
    if not path.is_file():
        raise ConfigError(
            f"{run.path} has no summary.json: the run was not finished",
            advice=f"`bench resume {run.path}`, or `bench report {run.path}` for what there is",
        )
    again = f"`bench report {run.path}` makes it anew from the samples"
    try:
        data = guarded.read(path)
        found = msgspec.json.decode(data, type=_Formatted).format
        if found != FORMAT:
            raise StoreError(
                f"{path}: format {found}, and this version reads format {FORMAT}",
                advice="use the version of podbench that wrote it, or " + again,
            )
        return msgspec.json.decode(data, type=Summary)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"{path}: damaged: {error}", advice=again) from error


def same_run(one: RunDir, other: RunDir) -> bool:
    """Whether two directories hold one run: the same place, or a copy of it."""
    if one.path.resolve() == other.path.resolve():
        return True
    return same_results(summary(one), summary(other))


def same_results(a: Summary, b: Summary) -> bool:
    """Whether two results are of one run: figures may differ, as they can be made anew."""
    return (a.run_id, a.started, a.seed) == (b.run_id, b.started, b.seed)


def files(run: RunDir) -> frozenset[Path] | None:
    """The sample files that count (campaign/inventory.py); null where a run has no plan: all."""
    if not run.plan_json.is_file():
        return None
    entries = latest(Journal(run.journal).entries())
    held = inventory.take(run, plausible.read_plan(run), entries)
    return frozenset(run.path / name for name in held.files)


def histograms(run: RunDir) -> tuple[tuple[Histogram, ...], tuple[Damage, ...]]:
    """Latency histograms from a run's samples, and what of them could not be read."""
    held = Visits(run, files(run))
    found = collect(held.latency(place) for place in held.places())
    return found, _damages(held)


def _damages(held: Visits) -> tuple[Damage, ...]:
    return tuple(Damage(file=file, reason=reason) for file, reason in held.damaged)


class Points(msgspec.Struct, frozen=True, kw_only=True):
    """Block statistics of a run, and what of its samples could not be read."""

    points: GroupPoints
    damages: tuple[Damage, ...]
    any_samples: bool


def points(
    run: RunDir,
    groups: Groups,
    metrics: tuple[Metric, ...] = METRICS,
    tails: tuple[str, ...] = (),
    *,
    samples: bool = False,
) -> Points:
    """Block statistics of groups of pairs; distributions of `tails`; on request pairs' samples."""
    held = Visits(run, files(run))
    found = group_points.collect(held.tables(), groups, metrics, tails, samples=samples)
    return Points(
        points=found,
        damages=_damages(held),
        any_samples=bool(held.places()),
    )
