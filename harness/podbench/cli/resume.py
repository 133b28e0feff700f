"""`bench resume RUN`: goes on after the last whole round."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def resume(
    run: Annotated[Path, typer.Argument(help="The run directory.")],
    context: Annotated[
        str | None, typer.Option(help="The run's kubeconfig context, for programs.")
    ] = None,
    disrupt: Annotated[
        str | None, typer.Option(help="The same name again, for a run that switches modes.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
) -> None:
    """Go on with a run that was interrupted, after its last whole round."""
    from rich.console import Console

    from podbench.campaign import prerequisites, record
    from podbench.cli import campaign
    from podbench.results import conclude as results
    from podbench.store import rundir as store

    where = store.open_existing(run)
    begun = where.read_json(where.run_json, record.RunRecord)
    prerequisites.require(prerequisites.needed(begun.spec))
    console = Console(stderr=True)
    if results.measured(where, begun):
        campaign.tell(console, "every round is on disk already: nothing is measured again")
        sys.exit(campaign.conclude(where, console, quiet=quiet, as_json=json))
    if begun.spec.cluster is not None:
        from podbench.campaign.cluster import survey
        from podbench.cli.asking import asker

        survey.consented_again(begun.spec, asker(), context=context, yes=yes, disrupt=disrupt)
    sys.exit(campaign.see_through(where, console, quiet=quiet, as_json=json))
