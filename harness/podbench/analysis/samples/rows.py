"""Columns of a table of samples as NumPy arrays, whether pandas holds them or Arrow does.

Text comes as codes and names, so that a hundred thousand rows of one arm cost a number each. No
figures here; `streams` puts rows in order.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class Rows:
    """A table, column by column; a column it lacks is one of missing values."""

    def __init__(self, table: "pd.DataFrame | pa.Table") -> None:
        self._frame = table if isinstance(table, pd.DataFrame) else None
        self._arrow: Any = None if isinstance(table, pd.DataFrame) else table
        self._names = set(table.columns if isinstance(table, pd.DataFrame) else table.column_names)

    def __len__(self) -> int:
        return int(self._arrow.num_rows) if self._frame is None else len(self._frame)

    def has(self, name: str) -> bool:
        """Whether the table has this column."""
        return name in self._names

    def kept(self, keep: BoolArray) -> "Rows":
        """The rows marked true."""
        return Rows(
            self._arrow.filter(pa.array(keep)) if self._frame is None else self._frame[keep]
        )

    def missing(self, names: list[str]) -> BoolArray:
        """(rows,) whether any of these columns is null."""
        found = np.zeros(len(self), dtype=np.bool_)
        for name in names:
            if self._frame is not None:
                found |= self._frame[name].isna().to_numpy(dtype=np.bool_)
            elif self._arrow.column(name).null_count:
                found |= self._arrow.column(name).is_null().to_numpy()
        return found

    def codes(self, name: str) -> tuple[IntArray, list[str]]:
        """(rows,) places in the ascending names, -1 where null."""
        if not self.has(name):
            return np.full(len(self), -1, dtype=np.int64), []
        if self._frame is not None:
            codes, known = pd.factorize(self._frame[name], sort=True)
            return codes.astype(np.int64), [str(one) for one in known]
        column = self._arrow.column(name)
        if column.null_count == len(self):
            return np.full(len(self), -1, dtype=np.int64), []
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        whole = column.unify_dictionaries().combine_chunks()
        held = [str(one) for one in whole.dictionary.to_pylist()]
        places = pc.fill_null(whole.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        names = sorted(set(held))
        # A dictionary may hold a name twice or one that no row uses.
        return np.array([*(names.index(one) for one in held), -1], dtype=np.int64)[places], names

    def number(self, name: str) -> FloatArray:
        """(rows,) float64, NaN where null or no number."""
        if not self.has(name):
            return np.full(len(self), np.nan)
        if self._frame is None:
            return np.asarray(self._arrow.column(name).to_numpy(), dtype=np.float64)
        numbers = pd.to_numeric(self._frame[name], errors="coerce")
        return numbers.to_numpy(dtype=np.float64, na_value=np.nan)

    def whole(self, name: str) -> IntArray:
        """(rows,) int64 of a column without nulls."""
        if self._frame is None:
            return np.asarray(self._arrow.column(name).to_numpy(), dtype=np.int64)
        return self._frame[name].to_numpy(dtype=np.int64)

    def flag(self, name: str, *, missing: bool) -> BoolArray:
        """(rows,) true or false, `missing` where null."""
        if not self.has(name):
            return np.full(len(self), missing)
        if self._frame is None:
            column = self._arrow.column(name)
            column = pc.fill_null(column, missing) if column.null_count else column
            return np.asarray(column.to_numpy(), dtype=np.bool_)
        held = self._frame[name].astype("boolean").fillna(missing)
        return np.asarray(held.to_numpy(dtype=np.bool_), dtype=np.bool_)

    def one_of(self, name: str, values: Sequence[str]) -> BoolArray:
        """(rows,) whether a text column has one of these values."""
        codes, names = self.codes(name)
        wanted = [number for number, held in enumerate(names) if held in values]
        return np.isin(codes, wanted) if wanted else np.zeros(len(self), np.bool_)

    def counts(self, name: str) -> dict[str, int]:
        """How often each value occurs; nulls are not counted."""
        codes, names = self.codes(name)
        held = np.bincount(codes[codes >= 0], minlength=len(names))
        return {one: int(n) for one, n in zip(names, held, strict=True) if n}
