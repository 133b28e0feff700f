"""Samples as Parquet: written a round at a time, read as one table per probe."""

import hashlib
import io
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from podbench.model.errors import StoreError
from podbench.store import guarded, rundir, schemas
from podbench.wire.columns import Column, Table

MOST_ROWS, MOST_COLUMNS, MOST_BYTES = 1 << 24, 256, 2 << 30
"""Of one file: one round of one arm."""

DIGEST_BYTES = 16
"""Against damage and mistakes, not against forgery."""
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


class Written(msgspec.Struct, frozen=True):
    """What a file holds, to hold it against that later."""

    rows: int
    digest: str


def write(path: Path, probe: str, parts: Sequence[tuple[Table, Mapping[str, Scalar]]]) -> Written:
    """Writes one file from parts, each with the constants that name its place.

    Raises:
        StoreError: It cannot be written.
    """
    tables = [to_arrow(probe, table, constants) for table, constants in parts]
    whole = pa.concat_tables(tables) if tables else schemas.BY_PROBE[probe].empty_table()
    sink = io.BytesIO()
    pq.write_table(
        whole, sink, compression="zstd", write_statistics=False, write_page_checksum=True
    )
    data = sink.getvalue()
    rundir.write_whole(path, data)
    return Written(int(whole.num_rows), hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest())


def digest(path: Path) -> str:
    """What the octets of a file amount to.

    Raises:
        StoreError: It cannot be read.
    """
    try:
        with guarded.open_read(path, guarded.MOST_SAMPLES_BYTES) as opened:
            new = partial(hashlib.blake2b, digest_size=DIGEST_BYTES)
            return hashlib.file_digest(opened, new).hexdigest()  # type: ignore[arg-type] # a file
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror or error}") from error


_KEY = ("session_id", "src_port", "seq")


def misplaced(path: Path, probe: str, place: Mapping[str, str | int]) -> str | None:
    """What is wrong with the rows of a file for the place it has; null where nothing is.

    Rows are of one block, round and arm, and those of latency unique by session, port and sequence.

    Raises:
        StoreError: It cannot be read.
    """
    names = schemas.BY_PROBE[probe].names
    wanted = [name for name in (*place, *_KEY) if name in names]
    table = read_columns(path, probe, wanted)
    for column, value in place.items():
        if column in wanted and set(table[column].unique().to_pylist()) - {value}:
            return f"holds rows of another {column} than its place: left out"
    if set(_KEY) <= set(wanted):
        keys = np.stack([table[name].to_numpy() for name in _KEY])
        again = table.num_rows - np.unique(keys, axis=1).shape[1]
        if again:
            return f"holds {again} rows more than once: left out"
    return None


def read(
    root: Path, probe: str, files: Collection[Path] | None = None
) -> tuple[pd.DataFrame, list[tuple[Path, str]]]:
    """Reads every file of a probe below `root`; damaged ones come back with the reason.

    With `files` only those of them.

    Nullable integers stay integers (pandas' masked types), so a missing value is `<NA>`, never 0.
    """
    schema = schemas.BY_PROBE[probe]
    whole: list[pa.Table] = []
    damaged: list[tuple[Path, str]] = []
    for path in sorted(root.rglob("*.parquet")):
        if files is not None and path not in files:
            continue
        try:
            whole.append(read_columns(path, probe, schema.names).cast(schema))
        except StoreError as error:
            damaged.append((path, str(error)))
    table = pa.concat_tables(whole) if whole else schema.empty_table()
    return table.to_pandas(types_mapper=_NULLABLE.get), damaged


def read_columns(path: Path, probe: str, columns: Sequence[str]) -> pa.Table:
    """Reads some columns of one file; text comes as codes into a dictionary.

    The checksum of every page that is read is verified. A column that only later versions write
    is null.

    Raises:
        StoreError: The file is damaged or of another format; the sentence does not name it.
    """
    schema = schemas.BY_PROBE[probe]
    text = [name for name in columns if schema.field(name).type == pa.string()]
    try:
        with guarded.open_read(path, guarded.MOST_SAMPLES_BYTES) as opened:
            stated = pq.read_metadata(opened)
            _check_size(stated)
            known = stated.schema.to_arrow_schema()
            _check(known, schema)
            there = [name for name in columns if name in known.names]
            opened.seek(0)
            file = pq.ParquetFile(
                opened, metadata=stated, read_dictionary=text, page_checksum_verification=True
            )
            table = file.read(columns=there, use_threads=False)
        for name in columns:
            if name not in there:
                table = table.append_column(name, pa.nulls(table.num_rows, schema.field(name).type))
        kinds = [(n, _coded(n, schema, text)) for n in columns]
        return table.select(columns).cast(pa.schema(kinds))
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise StoreError(f"cannot be read as Parquet: {reason}") from error


def _coded(name: str, schema: pa.Schema, text: Sequence[str]) -> pa.DataType:
    return pa.dictionary(pa.int32(), pa.string()) if name in text else schema.field(name).type


def _check(found: pa.Schema, wanted: pa.Schema) -> None:
    """Whether a file is of this format and has every column, even those nobody asks for."""
    stated = (found.metadata or {}).get(b"podbench_format", b"%d" % schemas.DATA_FORMAT)
    if stated != b"%d" % schemas.DATA_FORMAT:
        raise StoreError(
            f"is of format {stated.decode(errors='replace')}, and this version reads format "
            f"{schemas.DATA_FORMAT}"
        )
    missing = set(wanted.names) - set(found.names) - schemas.ADDED
    if missing:
        raise StoreError(f"lacks the columns {', '.join(sorted(missing))}")


def _check_size(stated: pq.FileMetaData) -> None:
    """Refuses a file that asks for more memory than a round of a run takes: rows compress well."""
    columns = stated.num_columns
    if stated.num_rows > MOST_ROWS or columns > MOST_COLUMNS:
        raise StoreError(
            f"states {stated.num_rows} rows and {columns} columns; a round of a run has at most "
            f"{MOST_ROWS} and {MOST_COLUMNS}"
        )
    size = sum(stated.row_group(i).total_byte_size for i in range(stated.num_row_groups))
    if size > MOST_BYTES:
        raise StoreError(f"takes {size >> 20} MiB unpacked; a round of a run at most 2048")


def rows_of(path: Path) -> int:
    """How many rows a file states; 0 where it cannot be read."""
    try:
        with guarded.open_read(path, guarded.MOST_SAMPLES_BYTES) as opened:
            stated = pq.read_metadata(opened)
            _check_size(stated)
            return int(stated.num_rows)
    except (pa.ArrowException, OSError, StoreError):
        return 0


_NULLABLE = {
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
