"""Markdown (GitHub's dialect) that its content cannot break: tables, code, plain text.

Names come from clusters and users; here they can neither end a cell nor turn into markup.
"""

from collections.abc import Sequence

from podbench.model import plain

_SPECIAL = set("\\`*[]|")


def text(content: str) -> str:
    """Content as plain text on one line. Underscores stay: inside words they mean nothing."""
    shown = plain.lines(content)
    escaped = "".join(f"\\{char}" if char in _SPECIAL else char for char in shown)
    return " ".join(escaped.replace("&", "&amp;").replace("<", "&lt;").split())


def code(content: str) -> str:
    """Content as code on one line."""
    return f"`{' '.join(plain.lines(content).replace('`', chr(39)).split())}`"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table; cells are escaped here."""
    return [
        f"| {' | '.join(heads)} |",
        f"|{'---|' * len(heads)}",
        *(f"| {' | '.join(text(cell) for cell in row)} |" for row in rows),
    ]
