"""An answer cut into numbered parts, and the parts put together again.

Bytes in, bytes out: the packed tables are cut without regard to rows, so that no part is larger
than a broker likes. Parts may arrive twice (QoS 1), which is harmless; a missing one is noticed.
"""

from collections.abc import Iterator, Mapping

from podbench.model.errors import RemoteProtocolError
from podbench.wire import columns, messages

PART_BYTES = 256 * 1024
"""One part's table bytes at most: below any broker's packet limit, few parts per round."""


def _pieces(tables: Mapping[str, columns.Table]) -> Iterator[tuple[str, bytes]]:
    for name, table in tables.items():
        packed = columns.pack(table)
        for start in range(0, len(packed), PART_BYTES):
            yield name, packed[start : start + PART_BYTES]


def cut(
    request_id: int, answer: messages.Answer, tables: Mapping[str, columns.Table]
) -> list[messages.Response]:
    """The parts of one answer, in order; small tables share a part."""
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
    """Collects the parts of one answer, whatever their order."""

    def __init__(self) -> None:
        self._parts: dict[int, messages.Response] = {}
        self._last: int | None = None

    def add(self, part: messages.Response) -> bool:
        """Takes one part; true once all are there.

        A failure is whole by itself: of an answer of which parts came, the others cannot be had.
        """
        if isinstance(part.answer, messages.Failed):
            self._parts.clear()
        self._parts[part.number] = part
        if part.last:
            self._last = part.number
        return self._last is not None and len(self._parts) == self._last + 1

    @property
    def numbers(self) -> tuple[int, ...]:
        """The parts that are there, in order."""
        return tuple(sorted(self._parts))

    def whole(self) -> tuple[messages.Answer, dict[str, columns.Table]]:
        """The answer and its tables.

        Raises:
            RemoteProtocolError: Parts or the answer are missing, or a table is damaged.
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
        return answer, {name: columns.unpack(bytes(data)) for name, data in packed.items()}
