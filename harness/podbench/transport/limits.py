"""Time limits that stand still while nobody could keep them: the way to the broker is broken."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Limits:
    """The limits of all that is asked now."""

    def __init__(self) -> None:
        self._left_s: dict[asyncio.Timeout, float] = {}
        """What each has left, while they stand still."""
        self._running: set[asyncio.Timeout] = set()
        self._still = False

    @contextlib.asynccontextmanager
    async def within(self, timeout_s: float) -> AsyncIterator[None]:
        """Ends what runs in the context after so much time in which the limits moved.

        Raises:
            TimeoutError: It did.
        """
        async with asyncio.timeout(timeout_s) as limit:
            self._running.add(limit)
            if self._still:
                self._hold(limit)
            try:
                yield
            finally:
                self._running.discard(limit)
                self._left_s.pop(limit, None)

    def stand_still(self) -> None:
        """From now on no limit comes nearer."""
        self._still = True
        for limit in self._running:
            self._hold(limit)

    def go_on(self) -> None:
        """Each has what it had left."""
        self._still = False
        now = asyncio.get_running_loop().time()
        for limit, left_s in self._left_s.items():
            limit.reschedule(now + left_s)
        self._left_s.clear()

    def _hold(self, limit: asyncio.Timeout) -> None:
        end = limit.when()
        if end is not None and not limit.expired():
            self._left_s[limit] = end - asyncio.get_running_loop().time()
            limit.reschedule(None)
