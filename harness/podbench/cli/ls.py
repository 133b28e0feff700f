"""`bench ls [DIR]`: the runs of a folder, newest first."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podbench.campaign.options.table import Options
from podbench.cli import flags

if TYPE_CHECKING:
    from podbench.results.listing import Listed

SHOWN_FLAGS = 3
"""A line stays readable on a terminal of 120 columns."""


@flags.takes("ls")
def ls(
    options: Options,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that holds run directories")
    ] = Path("runs"),
) -> None:
    """List runs, newest first: name, target, CNI, blocks, warnings.

    The word `latest` stands for the first of them wherever a command takes RUN.
    """
    import msgspec

    from podbench.results import listing

    found = listing.runs(folder)
    if options.json:
        shown = msgspec.json.format(msgspec.json.encode({"runs": found}), indent=2)
        sys.stdout.write(shown.decode() + "\n")
        return
    if not found:
        print(f"no runs in {folder}", file=sys.stderr)
    for line in _table([_row(each) for each in found]):
        print(line)


def _row(run: "Listed") -> tuple[str, ...]:
    if run.trouble is not None:
        return (run.path, "-", "-", "-", "-", "-", f"cannot be read: {run.trouble}")
    blocks = "-" if run.blocks_done is None else f"{run.blocks_done}/{run.blocks_planned}"
    more = len(run.flags) - SHOWN_FLAGS
    warnings = ", ".join(run.flags[:SHOWN_FLAGS]) + (f" and {more} more" if more > 0 else "")
    return (
        run.path,
        run.name or "-",
        run.target or "-",
        run.cni or "-",
        blocks,
        run.status or "-",
        warnings or "-",
    )


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    """Columns side by side; nothing is cut, for paths are to be copied."""
    if not rows:
        return []
    head = ("RUN", "NAME", "TARGET", "CNI", "BLOCKS", "STATUS", "WARNINGS")
    shown = [head, *(tuple(_printable(cell) for cell in row) for row in rows)]
    widths = [max(len(row[i]) for row in shown) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    ]


def _printable(text: str) -> str:
    """Names are a user's: no control character of theirs reaches the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)
