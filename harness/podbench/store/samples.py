"""Samples as Parquet: written a round at a time, read as one table per probe."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from podbench.store import rundir, schemas
from podbench.wire.columns import Column, Table

Scalar = str | int | float | None
"""A value that is the same in every row, such as the arm."""


def _to_array(column: Column | Scalar, kind: pa.DataType, rows: int) -> pa.Array:
    if column is None:
        return pa.nulls(rows, kind)
    if isinstance(column, str | int | float):
        return pa.array([column] * rows, kind)
    values = np.ma.getdata(column)
    mask = np.ma.getmaskarray(column) if np.ma.isMaskedArray(column) else None
    if values.dtype.kind == "U":
        values = values.astype(object)
    elif values.dtype.kind == "f" and mask is None:
        mask = np.isnan(values)
    return pa.array(values, type=kind, mask=mask, from_pandas=False)


def to_arrow(probe: str, table: Table, constants: Mapping[str, Scalar]) -> pa.Table:
    """Puts columns and constants into the probe's schema; what neither gives is null.

    Raises:
        ValueError: A column is not in the schema.
    """
    schema = schemas.BY_PROBE[probe]
    unknown = (set(table) | set(constants)) - set(schema.names)
    if unknown:
        raise ValueError(f"{probe} has no column {', '.join(sorted(unknown))}")
    rows = len(next(iter(table.values()))) if table else 0
    given = {**constants, **table}
    arrays = [_to_array(given.get(f.name), f.type, rows) for f in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def write(path: Path, probe: str, parts: list[tuple[Table, Mapping[str, Scalar]]]) -> int:
    """Writes one file from parts, each with the constants that name its place; returns the rows.

    Raises:
        StoreError: It cannot be written.
    """
    tables = [to_arrow(probe, table, constants) for table, constants in parts]
    whole = pa.concat_tables(tables) if tables else schemas.BY_PROBE[probe].empty_table()
    sink = io.BytesIO()
    pq.write_table(whole, sink, compression="zstd", write_statistics=False)
    rundir.write_whole(path, sink.getvalue())
    return int(whole.num_rows)


def read(root: Path, probe: str) -> tuple[pd.DataFrame, list[tuple[Path, str]]]:
    """Reads every file of a probe below `root`; damaged ones come back with the reason.

    Nullable integers stay integers (pandas' masked types), so a missing value is `<NA>`, never 0.
    """
    schema = schemas.BY_PROBE[probe]
    whole: list[pa.Table] = []
    damaged: list[tuple[Path, str]] = []
    for path in sorted(root.rglob("*.parquet")):
        try:
            table = pq.read_table(path)
            missing = set(schema.names) - set(table.column_names)
            if missing:
                damaged.append((path, f"lacks the columns {', '.join(sorted(missing))}"))
                continue
            whole.append(table.select(schema.names).cast(schema))
        except (pa.ArrowException, OSError, ValueError) as error:
            damaged.append((path, f"cannot be read as Parquet: {str(error).splitlines()[0]}"))
    table = pa.concat_tables(whole) if whole else schema.empty_table()
    return table.to_pandas(types_mapper=_NULLABLE.get), damaged


_NULLABLE = {
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
