"""`bench restore`: puts a cluster back as it was before a run."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

FLAGGED = 3

Context = Annotated[str | None, typer.Option(help="kubeconfig context.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def restore(
    run: Annotated[Path | None, typer.Argument(help="The run directory, where it is here.")] = None,
    context: Context = None,
    json: Json = False,
) -> None:
    """Take away what a run made in a cluster and put back what it changed; from any machine.

    Exit code: 0 nothing is left, 3 something is, with the reason.
    """
    sys.exit(see_through(run, context, as_json=json))


def see_through(run: Path | None, context: str | None, *, as_json: bool) -> int:
    """Undoes and lists what was looked for; returns the exit code."""
    from podbench.campaign.cluster.restore import Wanted
    from podbench.campaign.cluster.restore import restore as undo
    from podbench.cli.asking import asker

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    listing = undo(Wanted(run=run, context=context), say, asker())
    if as_json:
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
