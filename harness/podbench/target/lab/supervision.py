"""Watches the lab's broker, agents and routing daemons while a run measures, and mends each once.

A process that has ended, or that somebody has stopped, is lost: it is started anew, and whoever
measures learns from `losses` that what was under way has to be measured again. One that is lost a
second time, or that does not come back, ends the run with the reason. What the processes are is
`target`'s and `mesh`'s matter.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable

from podbench.model.errors import LabError, PodbenchError

LOOK_S = 0.5
STOPPED_LOOKS = 2
"""A debugger stops a process for a moment; one that stays stopped for a second answers nobody."""
BACK_S = 20.0
"""What a part may take to work again: with looking and ending, a run ends within 30 s."""


class Part:
    """One process of the instrument.

    Args:
        name: For people: `the broker`, `agent n1-vxlan`, `BIRD on n1`.
        pid: Its process id; null once it has ended.
        renew: Ends what is left of it, starts it anew and returns once it works again.
    """

    def __init__(
        self, name: str, pid: Callable[[], int | None], renew: Callable[[], Awaitable[None]]
    ) -> None:
        self.name = name
        self.pid = pid
        self.renew = renew
        self.stopped_looks = 0
        self.losses = 0


class Supervisor:
    """Looks after parts; `losses` is what a measurement is judged by."""

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        self._parts: list[Part] = []
        self._turn = asyncio.Lock()
        self._say = say
        self._losses = 0

    def watch(self, part: Part) -> None:
        """Looks after one more part."""
        self._parts.append(part)

    async def losses(self) -> int:
        """How many parts were lost so far; returns once each of them works again.

        Raises:
            LabError: One was lost twice, or does not come back.
        """
        async with self._turn:
            for part in self._parts:
                why = _lost(part)
                if why is not None:
                    self._losses += 1
                    await self._mend(part, why)
            return self._losses

    async def _mend(self, part: Part, why: str) -> None:
        part.losses += 1
        if part.losses > 1:
            raise LabError(
                f"{part.name} {why} a second time, so the run ends",
                advice="find out who ends it; `bench resume` goes on after the last whole round",
            )
        self._say(f"{part.name} {why}: it is started anew")
        try:
            async with asyncio.timeout(BACK_S):
                await part.renew()
        except (TimeoutError, PodbenchError) as error:
            reason = str(error) or f"it did not work again within {BACK_S:g} s"
            raise LabError(
                f"{part.name} {why} and could not be started anew: {reason}",
                advice="`bench doctor` looks for what is missing; `bench resume` goes on after the"
                " last whole round",
            ) from error
        part.stopped_looks = 0

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self.losses()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Looks every half second while the context lasts; cancels what runs in it in the end.

        Raises:
            LabError: A part was lost twice, or does not come back.
        """
        inside = asyncio.current_task()
        assert inside is not None
        looking = asyncio.create_task(self._look_on())
        failed = False

        def on_end(task: asyncio.Task[None]) -> None:
            nonlocal failed
            if not task.cancelled() and task.exception() is not None:
                failed = True
                inside.cancel()

        looking.add_done_callback(on_end)
        try:
            yield
        except asyncio.CancelledError:
            if not failed:
                raise
            inside.uncancel()
            error = looking.exception()
            assert error is not None
            raise error from None
        finally:
            looking.remove_done_callback(on_end)
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)


def _lost(part: Part) -> str | None:
    """What has become of a part; null while it lives."""
    pid = part.pid()
    if pid is None:
        return "has ended"
    try:
        # WNOWAIT: whoever started it still learns of its end.
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return "has ended"
    if found is None:
        part.stopped_looks = 0
        return None
    if found.si_code != os.CLD_STOPPED:
        return "has ended"
    part.stopped_looks += 1
    return "was stopped" if part.stopped_looks >= STOPPED_LOOKS else None
