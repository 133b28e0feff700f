"""`bench restore`: puts a cluster back as it was before a run."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from podbench.campaign.options.table import Options
from podbench.cli import flags

FLAGGED = 3


@flags.takes("restore")
def restore(
    options: Options,
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="Run directory, if it is on this machine")
    ] = None,
) -> None:
    """Undo what a run did to a cluster, from any machine.

    Removes what the run created and puts back what it changed.

    Exit code: 0 nothing is left, 3 something is, with the reason.
    """
    sys.exit(see_through(run, options))


def see_through(run: Path | None, options: Options) -> int:
    """Restores, prints what was removed and what is left; returns the exit code."""
    from podbench.campaign.cluster.restore import Wanted
    from podbench.campaign.cluster.restore import restore as undo
    from podbench.cli.asking import asker

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    wanted = Wanted(run=run, context=options.context, kubeconfig=options.kubeconfig)
    listing = undo(wanted, say, asker())
    if options.json:
        print(msgspec.json.encode(listing).decode())
    else:
        print(f"runs found: {', '.join(listing.runs) or 'none'}")
        for each in listing.restored:
            print(f"as it was: {each}")
        for each in listing.gone:
            print(f"gone: {each}")
        for left in listing.left:
            print(f"left: {left.ref}: {left.why}")
    return FLAGGED if listing.left else 0
