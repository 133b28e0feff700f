"""Tables of columns on the wire."""

import contextlib
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from podbench.model.errors import RemoteProtocolError
from podbench.wire import columns

DTYPES = [np.bool_, np.uint8, np.int16, np.int32, np.int64, np.float64]
LENGTHS = st.integers(min_value=0, max_value=40)


@st.composite
def numbers(draw: st.DrawFn) -> columns.Column:
    """A numeric column, masked or not."""
    length = draw(LENGTHS)
    plain = draw(hnp.arrays(draw(st.sampled_from(DTYPES)), length))
    if draw(st.booleans()):
        return plain
    return np.ma.MaskedArray(plain, mask=draw(hnp.arrays(np.bool_, length)))


@st.composite
def texts(draw: st.DrawFn) -> columns.Column:
    """A text column, masked or not."""
    values = draw(st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8"))))
    mask = draw(hnp.arrays(np.bool_, len(values)))
    return np.ma.MaskedArray(np.array(values, dtype=np.str_), mask=mask)


@given(table=st.dictionaries(st.text(max_size=8), numbers() | texts(), max_size=4))
def test_tables_come_back(table: dict[str, columns.Column]) -> None:
    """Names, types, values and masks survive the wire; values under a mask do not matter."""
    back = columns.unpack(columns.pack(table))

    assert list(back) == list(table)
    for name, column in table.items():
        assert back[name].dtype.kind == column.dtype.kind
        missing = np.ma.getmaskarray(column)
        np.testing.assert_array_equal(np.ma.getmaskarray(back[name]), missing)
        np.testing.assert_array_equal(
            np.ma.getdata(back[name])[~missing], np.ma.getdata(column)[~missing]
        )
        if column.dtype.kind != "U":
            assert back[name].dtype == column.dtype


def test_strided_and_big_endian_columns_travel() -> None:
    """A view with a stride and foreign byte order arrives as plain native values."""
    column = np.arange(10, dtype=">i8")[::3]

    back = columns.unpack(columns.pack({"x": column}))["x"]

    assert list(back) == [0, 3, 6, 9]
    assert back.dtype == np.dtype(np.int64)


@pytest.mark.parametrize("dtype", [object, complex, "M8[ns]"])
def test_other_types_are_refused_by_the_sender(dtype: object) -> None:
    """What the wire has no form for is the sender's error, before anything is sent."""
    with pytest.raises(TypeError, match="cannot travel"):
        columns.pack({"x": np.zeros(2, dtype=dtype)})  # type: ignore[call-overload] # on purpose


@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(data: bytes) -> None:
    """Arbitrary bytes, compressed or not, raise nothing but the protocol's own error."""
    for body in (data, zlib.compress(data)):
        try:
            columns.unpack(body)
        except RemoteProtocolError:
            continue


@given(position=st.integers(min_value=0), value=st.integers(min_value=0, max_value=255))
def test_damaged_tables_are_refused_or_read(position: int, value: int) -> None:
    """One wrong byte inside the packed map never escapes as a foreign exception."""
    masked = np.ma.MaskedArray([1, 2, 3], mask=[False, True, False])
    body = bytearray(zlib.decompress(columns.pack({"a": masked, "b": np.array(["x", "yz", ""])})))
    body[position % len(body)] = value
    with contextlib.suppress(RemoteProtocolError):
        columns.unpack(zlib.compress(bytes(body)))
