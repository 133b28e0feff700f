"""`bench export RUN --format ...`: a run's figures for other programs."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podbench.campaign.options.table import Options
from podbench.cli import flags

if TYPE_CHECKING:
    from podbench.store.rundir import RunDir

FORMATS = ("csv", "prometheus", "markdown", "junit")
FLAGGED = 3


@flags.takes("export")
def export(
    options: Options,
    run: flags.RunDirectory,
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help=", ".join(FORMATS))],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write to this file instead of stdout")
    ] = None,
) -> None:
    """Write a run's figures as CSV, OpenMetrics, Markdown or JUnit."""
    from podbench.model import words
    from podbench.results import saved
    from podbench.store import rundir

    words.check(form, FORMATS, "--format")
    opened = saved.open_run(run)
    damaged: list[str] = []
    text = _rendered(opened, form, damaged, redacted=options.redact)
    if out is None:
        sys.stdout.write(text)
    else:
        said = "replaced" if out.exists() else "wrote"
        rundir.write_whole(out, text.encode())
        print(f"{said} {out}", file=sys.stderr)
    for line in damaged:
        print(f"damaged: {line}", file=sys.stderr)
    if damaged:
        sys.exit(FLAGGED)


def _rendered(run: "RunDir", form: str, damaged: list[str], *, redacted: bool) -> str:
    from podbench.export import csv, junit, openmetrics
    from podbench.results import saved

    summary = saved.summary(run)
    if redacted:
        from podbench.results import redact

        summary = redact.redacted(summary, [summary])
    if form == "csv":
        return csv.render(summary)
    if form == "junit":
        return junit.render(summary)
    if form == "prometheus":
        histograms, damages = saved.histograms(run)
        damaged += [f"{damage.file}: {damage.reason}" for damage in damages]
        return openmetrics.render(summary, histograms)
    from podbench_report import markdown

    return markdown.render(summary)
