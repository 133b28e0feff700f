"""Time limits that stand still."""

import asyncio

import pytest

from podbench.transport.limits import Limits


def test_a_limit_ends_what_takes_longer() -> None:
    """As any limit does."""

    async def run() -> None:
        async with Limits().within(0.01):
            await asyncio.sleep(10)

    with pytest.raises(TimeoutError):
        asyncio.run(run())


@pytest.mark.parametrize("begun", ["before", "meanwhile"])
def test_no_limit_comes_nearer_while_they_stand_still(begun: str) -> None:
    """Those that run and those that begin then go on with what they had left."""

    async def run() -> str:
        limits, done = Limits(), asyncio.Event()

        async def work() -> str:
            async with limits.within(0.2):
                await done.wait()
                return "done"

        if begun == "meanwhile":
            limits.stand_still()
        working = asyncio.create_task(work())
        await asyncio.sleep(0)
        limits.stand_still()
        await asyncio.sleep(0.5)
        limits.go_on()
        done.set()
        return await working

    assert asyncio.run(run()) == "done"


def test_limits_that_go_on_end_what_takes_longer() -> None:
    """Standing still is no end of it."""

    async def run() -> None:
        limits = Limits()
        limits.stand_still()
        async with limits.within(0.01):
            await asyncio.sleep(0.05)
            limits.go_on()
            await asyncio.sleep(10)

    with pytest.raises(TimeoutError):
        asyncio.run(run())
