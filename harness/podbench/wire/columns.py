"""Tables of columns on the wire: compressed MessagePack maps of column -> array bytes.

In memory a table is a dict of equally long one-dimensional NumPy arrays; a column with missing
values is a masked array. Missing travels as a packed bit mask beside the values, never a
sentinel. What arrives is held to bounds before memory is taken for it: a few hundred octets can
ask for gigabytes, by compression or by one long text that widens a whole column.
"""

import zlib

import msgspec
import numpy as np
import numpy.typing as npt

from podbench.model.errors import RemoteProtocolError

Column = npt.NDArray[np.generic] | np.ma.MaskedArray[tuple[int], np.dtype[np.generic]]
Table = dict[str, Column]

COMPRESSION_LEVEL = 1
"""Level 1: stamps compress about as well as at 6 for a third of the time."""

MOST_UNPACKED_BYTES = 128 << 20
"""One table's octets once inflated. A minute at 10,000 probes a second takes 80 MB."""
MOST_ROWS = 1 << 21
MOST_COLUMNS = 64
MOST_NAME_CHARS = 64
MOST_TEXT_BYTES = 16 << 20
"""What NumPy takes for one text column: rows times the longest text, 4 octets a character."""

_DTYPES = frozenset(
    [f"<{kind}{size}" for kind in "iu" for size in (2, 4, 8)]
    + ["<f4", "<f8", "|i1", "|u1", "|b1", "<i1", "<u1", "<b1"]
)


class _Packed(msgspec.Struct, frozen=True):
    dtype: str
    length: int
    data: bytes
    mask: bytes | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[str, _Packed])


def _pack_column(column: Column) -> _Packed:
    if column.dtype.kind == "U":
        values = [None if v is np.ma.masked else str(v) for v in column]
        return _Packed("json", len(values), msgspec.json.encode(values))
    if column.dtype.kind not in "iufb":
        raise TypeError(f"column of dtype {column.dtype} cannot travel")
    plain = np.ma.getdata(column)
    little = np.ascontiguousarray(plain, dtype=plain.dtype.newbyteorder("<"))
    mask = (
        np.packbits(np.ma.getmaskarray(column)).tobytes() if np.ma.isMaskedArray(column) else None
    )
    return _Packed(little.dtype.str, len(little), little.tobytes(), mask)


def _unpack_text(packed: _Packed) -> Column:
    if len(packed.data) > MOST_TEXT_BYTES:
        raise RemoteProtocolError(f"a text column of {len(packed.data)} octets")
    values = msgspec.json.decode(packed.data, type=list[str | None])
    longest = max((len(v) for v in values if v is not None), default=0)
    if len(values) != packed.length:
        raise RemoteProtocolError(f"column of {packed.length} texts carries {len(values)}")
    if 4 * longest * len(values) > MOST_TEXT_BYTES:
        raise RemoteProtocolError(
            f"a text column of {len(values)} rows up to {longest} characters long"
        )
    mask = np.array([v is None for v in values], dtype=bool)
    texts = np.array(["" if v is None else v for v in values], dtype=np.str_)
    return np.ma.MaskedArray(texts, mask=mask) if mask.any() else texts


def _unpack_column(packed: _Packed) -> Column:
    if not 0 <= packed.length <= MOST_ROWS:
        raise RemoteProtocolError(f"a column of {packed.length} rows; at most {MOST_ROWS}")
    if packed.dtype == "json":
        return _unpack_text(packed)
    if packed.dtype not in _DTYPES:
        raise RemoteProtocolError(f"a column of dtype {packed.dtype[:16]!r}")
    dtype = np.dtype(packed.dtype)
    if len(packed.data) != packed.length * dtype.itemsize:
        raise RemoteProtocolError(
            f"column of {packed.length} x {packed.dtype} carries {len(packed.data)} bytes"
        )
    plain = np.frombuffer(packed.data, dtype=dtype).astype(dtype.newbyteorder("="))
    if packed.mask is None:
        return plain
    if len(packed.mask) != (packed.length + 7) // 8:
        raise RemoteProtocolError(
            f"a mask of {len(packed.mask)} octets for a column of {packed.length} rows"
        )
    bits = np.unpackbits(np.frombuffer(packed.mask, dtype=np.uint8), count=packed.length)
    return np.ma.MaskedArray(plain, mask=bits.astype(bool))


def pack(table: Table) -> bytes:
    """Encodes and compresses one table."""
    body = _encoder.encode({name: _pack_column(column) for name, column in table.items()})
    return zlib.compress(body, COMPRESSION_LEVEL)


def _inflated(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    body = stream.decompress(data, MOST_UNPACKED_BYTES)
    if stream.unconsumed_tail:
        raise RemoteProtocolError(f"a table of more than {MOST_UNPACKED_BYTES >> 20} MiB")
    if not stream.eof or stream.unused_data:
        raise RemoteProtocolError("not a table of columns: cut short, or followed by more")
    return body


def unpack(data: bytes) -> Table:
    """Decodes one table.

    Raises:
        RemoteProtocolError: The bytes are not a table, or one larger than any table may be.
    """
    try:
        packed = _decoder.decode(_inflated(data))
        if len(packed) > MOST_COLUMNS or any(len(name) > MOST_NAME_CHARS for name in packed):
            raise RemoteProtocolError(f"a table of {len(packed)} columns")
        return {name: _unpack_column(column) for name, column in packed.items()}
    except (
        *(zlib.error, msgspec.DecodeError, UnicodeDecodeError, RecursionError),
        *(TypeError, ValueError, MemoryError),
    ) as error:
        raise RemoteProtocolError(f"not a table of columns: {error}") from error
