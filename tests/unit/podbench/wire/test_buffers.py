"""Receive buffers: beyond the limit where we may, else as much as is allowed."""

import socket

from podbench.wire import buffers


class _Socket:
    """A socket of a kernel that caps what is asked for, unless forced by root."""

    def __init__(self, limit: int, *, root: bool) -> None:
        self._limit, self._root, self._size = limit, root, 0

    def setsockopt(self, _level: int, option: int, value: int) -> None:
        if option == buffers.SO_RCVBUFFORCE and not self._root:
            raise PermissionError
        self._size = 2 * (value if self._root else min(value, self._limit))

    def getsockopt(self, _level: int, option: int) -> int:
        assert option == socket.SO_RCVBUF
        return self._size


def _granted(*, root: bool) -> int:
    return buffers.widen(_Socket(212_992, root=root), 4 << 20)  # type: ignore[arg-type]  # a stand-in


def test_root_gets_what_it_asks_for() -> None:
    """net.core.rmem_max binds nobody who may force it."""
    assert _granted(root=True) == 4 << 20


def test_everybody_else_gets_what_is_allowed() -> None:
    """Refused by force, the same is asked for politely, and the answer is what was granted."""
    assert _granted(root=False) == 212_992
