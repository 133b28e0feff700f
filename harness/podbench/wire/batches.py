"""Splits an answer into numbered parts and reassembles them.

Bytes in, bytes out: packed tables are split regardless of rows, so that no part exceeds the
broker's packet limit. Duplicate parts (QoS 1) are harmless; a missing part is detected. The total
size is bounded as parts arrive: an answer that exceeds it is dropped.
"""

from collections.abc import Iterator, Mapping

import msgspec

from podbench.model.errors import RemoteProtocolError
from podbench.wire import columns, messages

PART_BYTES = 256 * 1024
"""Maximum table bytes of one part: below any broker's packet limit, few parts per round."""

MOST_PARTS = 1024
MOST_BYTES = 64 << 20
"""Maximum size of an answer's tables: far above any round, far below a machine's memory."""
MOST_TABLES = 256
MOST_UNPACKED_BYTES = 256 << 20
"""Maximum size of all tables of an answer, as arrays."""


def _pieces(tables: Mapping[str, columns.Table]) -> Iterator[tuple[str, bytes]]:
    for name, table in tables.items():
        packed = columns.pack(table)
        for start in range(0, len(packed), PART_BYTES):
            yield name, packed[start : start + PART_BYTES]


def cut(
    request_id: int, answer: messages.Answer, tables: Mapping[str, columns.Table]
) -> list[messages.Response]:
    """Returns the parts of one answer, in order; small tables share a part."""
    loads: list[dict[str, bytes]] = [{}]
    for name, piece in _pieces(tables):
        held = sum(len(data) for data in loads[-1].values())
        if loads[-1] and (name in loads[-1] or held + len(piece) > PART_BYTES):
            loads.append({})
        loads[-1][name] = piece
    last = len(loads) - 1
    return [
        messages.Response(
            id=request_id,
            number=number,
            last=number == last,
            answer=answer if number == last else None,
            tables=load,
        )
        for number, load in enumerate(loads)
    ]


class Assembly:
    """Collects the parts of one answer, in any order."""

    def __init__(self) -> None:
        self._parts: dict[int, messages.Response] = {}
        self._last: int | None = None
        self._bytes = 0

    def add(self, part: messages.Response) -> bool:
        """Adds one part; returns true once all are present.

        A failure is whole by itself: of an answer of which parts came, the others cannot be had.

        Raises:
            RemoteProtocolError: No answer can have this part.
        """
        if isinstance(part.answer, messages.Failed):
            self._parts = {0: msgspec.structs.replace(part, number=0, tables={})}
            self._last = 0
            return True
        self._check(part)
        if part.number not in self._parts:
            self._bytes += sum(len(data) for data in part.tables.values())
        self._parts[part.number] = part
        if part.last:
            self._last = part.number
        return self._last is not None and len(self._parts) == self._last + 1

    def _check(self, part: messages.Response) -> None:
        """Rejects an invalid part before storing it."""
        size = sum(len(data) for data in part.tables.values())
        if not 0 <= part.number < MOST_PARTS:
            raise RemoteProtocolError(f"a part with the number {part.number}")
        if self._last is not None and part.last and part.number != self._last:
            raise RemoteProtocolError("an answer with two ends")
        end = part.number if part.last else self._last
        if end is not None and max((*self._parts, part.number)) > end:
            raise RemoteProtocolError("an answer that goes on after its end")
        if part.number not in self._parts and self._bytes + size > MOST_BYTES:
            raise RemoteProtocolError(f"an answer of more than {MOST_BYTES >> 20} MiB")
        if len(part.tables) > MOST_TABLES:
            raise RemoteProtocolError(f"an answer with {len(part.tables)} tables in one part")

    @property
    def numbers(self) -> tuple[int, ...]:
        """Returns the present parts, in order."""
        return tuple(sorted(self._parts))

    def whole(self) -> tuple[messages.Answer, dict[str, columns.Table]]:
        """Returns the answer and its tables.

        Raises:
            RemoteProtocolError: Parts or the answer are missing, or a table is damaged or too
                large.
        """
        if self._last is None or set(self._parts) != set(range(self._last + 1)):
            raise RemoteProtocolError("an answer has parts missing")
        answer = self._parts[self._last].answer
        if answer is None:
            raise RemoteProtocolError("the last part of an answer carries no answer")
        packed: dict[str, bytearray] = {}
        for number in range(self._last + 1):
            for name, piece in self._parts[number].tables.items():
                packed.setdefault(name, bytearray()).extend(piece)
        if len(packed) > MOST_TABLES:
            raise RemoteProtocolError(f"an answer with {len(packed)} tables")
        return answer, _unpacked(packed)


def _unpacked(packed: Mapping[str, bytearray]) -> dict[str, columns.Table]:
    tables, left = {}, MOST_UNPACKED_BYTES
    for name, data in packed.items():
        table = tables[name] = columns.unpack(bytes(data))
        left -= sum(column.nbytes for column in table.values())
        if left < 0:
            raise RemoteProtocolError(
                f"an answer whose tables take more than {MOST_UNPACKED_BYTES >> 20} MiB"
            )
    return tables
