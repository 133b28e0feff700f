"""Where latency rows come from, a piece at a time: a round's file, or a table in memory.

Pieces that share a unit (an arm's folders, in a run directory) are read by one process, because an
arm's figures need all its blocks. `podbench.store.latency_files` reads files; nothing is computed.
"""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import msgspec
import pandas as pd
import pyarrow as pa

Table: TypeAlias = pd.DataFrame | pa.Table
"""Columns of `podbench.store.schemas.LATENCY`."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A table that is read at once. `rows` may be 0 where they are not known before reading."""

    unit: str
    name: str
    rows: int


class Source(Protocol):
    """Pieces and a way to read them; goes to other processes, so it must pickle."""

    def pieces(self) -> Sequence[Piece]:
        """All pieces, in the order of measuring within a unit."""

    def read(self, piece: Piece, columns: Sequence[str]) -> Table:
        """At least these columns of one piece.

        Raises:
            StoreError: The piece is damaged; the sentence names no file.
        """


class Held:
    """A table in memory as a source of one piece."""

    def __init__(self, table: pd.DataFrame | None) -> None:
        self._table = pd.DataFrame() if table is None else table

    def pieces(self) -> Sequence[Piece]:
        """The one piece; none where there are no rows."""
        rows = len(self._table)
        return [Piece(unit="", name="", rows=rows)] if rows else []

    def read(self, piece: Piece, columns: Sequence[str]) -> Table:
        """The table; more columns than these do no harm."""
        del piece, columns
        return self._table
