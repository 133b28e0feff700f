"""`bench report RUN`: analyses the samples again and renders them."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="The run directory.")],
    json: Annotated[bool, typer.Option("--json", help="Print summary.json.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but trouble.")] = False,
) -> None:
    """Analyse a run's samples again and render the report from what there is."""
    from rich.console import Console

    from podbench.cli import campaign
    from podbench.store import rundir as store

    where = store.open_existing(run)
    sys.exit(campaign.conclude(where, Console(stderr=True), quiet=quiet, as_json=json))
