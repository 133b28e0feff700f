"""The control channel over a real broker on a Unix socket."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
from support import needs

from podbench.model.errors import ProbeError, TransportError
from podbench.model.nodes import AgentId
from podbench.transport import mqtt
from podbench.transport.base import Handler, Reply
from podbench.transport.broker import private_broker
from podbench.transport.endpoint import parse_broker
from podbench.transport.mqtt_link import Link
from podbench.wire import batches, columns, messages, topics

pytestmark = needs.programs("mosquitto")

N1 = AgentId("n1-vxlan")
RUN = "r1"


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A directory whose path fits a Unix socket; pytest's own may not."""
    with tempfile.TemporaryDirectory(prefix="pb-") as name:
        yield Path(name)


class Agent:
    """One served agent inside this process."""

    def __init__(self, socket: Path, handler: Handler, **status: object) -> None:
        fields: dict[str, object] = {"agent": N1, "online": True, "pid": 1, **status}
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(
            mqtt.serve_agent(
                f"unix://{socket}",
                run_id=RUN,
                status=messages.AgentStatus(**fields),  # type: ignore[arg-type] # test's short hand
                handler=handler,
                stop=self.stop,
            )
        )

    async def end(self) -> None:
        """Ends it as SIGTERM would."""
        self.stop.set()
        await self.task


Fleet = partial(mqtt.MqttFleet, check=lambda _command, answer, tables: (answer, tables))
"""The channel alone: whatever agents answer here comes through."""


async def done(command: messages.Command) -> Reply:
    """Answers everything with its name."""
    return Reply(messages.Done(facts={"command": type(command).__name__}), {})


def test_answer_and_tables_come_back(short_dir: Path) -> None:
    """A command reaches the agent and its answer's tables return whole, however large."""
    noise = np.random.default_rng(1).integers(0, 2**62, 200_000)

    async def handler(command: messages.Command) -> Reply:
        assert isinstance(command, messages.CollectCounters)
        return Reply(messages.Done(facts={"stop": command.stop}), {"host": {"mono_ns": noise}})

    async def scene() -> Reply:
        async with private_broker(short_dir) as socket:
            agent = Agent(socket, handler)
            async with Fleet(f"unix://{socket}", run_id=RUN) as fleet:
                await fleet.wait_ready([N1], 5)
                reply = await fleet.ask(N1, messages.CollectCounters(stop=True), 10)
            await agent.end()
            return reply

    reply = asyncio.run(scene())

    assert noise.nbytes > 4 * batches.PART_BYTES
    assert reply.answer == messages.Done(facts={"stop": True})
    np.testing.assert_array_equal(reply.tables["host"]["mono_ns"], noise)


def test_commands_to_one_agent_overlap(short_dir: Path) -> None:
    """A second command is answered while the first still runs."""
    release = asyncio.Event()

    async def handler(command: messages.Command) -> Reply:
        if isinstance(command, messages.Reflect):
            release.set()
        else:
            await release.wait()
        return await done(command)

    async def scene() -> list[Reply]:
        async with private_broker(short_dir) as socket:
            agent = Agent(socket, handler)
            async with Fleet(f"unix://{socket}", run_id=RUN) as fleet:
                replies = await asyncio.gather(
                    fleet.ask(N1, messages.CollectCounters(), 5),
                    fleet.ask(N1, messages.Reflect(session_ids=(1,)), 5),
                )
            await agent.end()
            return list(replies)

    names = [reply.answer.facts["command"] for reply in asyncio.run(scene())]  # type: ignore[union-attr]

    assert names == ["CollectCounters", "Reflect"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ProbeError("port 8620 is taken"), "port 8620 is taken"),
        (ValueError("oops"), "the agent failed: ValueError: oops"),
    ],
)
def test_what_a_handler_raises_is_an_answer(short_dir: Path, error: Exception, reason: str) -> None:
    """A failing handler gives a Failed answer with the reason, and the agent lives on."""

    async def handler(command: messages.Command) -> Reply:
        if isinstance(command, messages.Reflect):
            raise error
        return await done(command)

    async def scene() -> tuple[Reply, Reply]:
        async with private_broker(short_dir) as socket:
            agent = Agent(socket, handler)
            async with Fleet(f"unix://{socket}", run_id=RUN) as fleet:
                failed = await fleet.ask(N1, messages.Reflect(session_ids=()), 5)
                after = await fleet.ask(N1, messages.CollectCounters(), 5)
            await agent.end()
            return failed, after

    failed, after = asyncio.run(scene())

    assert failed.answer == messages.Failed(reason=reason)
    assert isinstance(after.answer, messages.Done)


def test_agent_going_away_fails_what_was_asked(short_dir: Path) -> None:
    """A pending ask ends at once, naming agent and command, when the agent says goodbye."""

    async def handler(command: messages.Command) -> Reply:
        await asyncio.sleep(60)
        return await done(command)

    async def scene() -> None:
        async with private_broker(short_dir) as socket:
            agent = Agent(socket, handler)
            async with Fleet(f"unix://{socket}", run_id=RUN) as fleet:
                asked = asyncio.create_task(fleet.ask(N1, messages.CollectCounters(), 50))
                await fleet.wait_ready([N1], 5)
                await asyncio.gather(agent.end())
                with pytest.raises(TransportError, match=r"CollectCounters to n1-vxlan.*went away"):
                    await asked
                assert not fleet.agents[N1].online
                with pytest.raises(TransportError, match="offline"):
                    await fleet.ask(N1, messages.CollectCounters(), 50)

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_leaving_the_fleet_fails_what_was_asked(short_dir: Path) -> None:
    """Nobody waits for a connection that was closed on purpose to be back."""

    async def handler(command: messages.Command) -> Reply:
        await asyncio.sleep(60)
        return await done(command)

    async def scene() -> None:
        async with private_broker(short_dir) as socket:
            agent = Agent(socket, handler)
            async with Fleet(f"unix://{socket}", run_id=RUN, away_s=20.0) as fleet:
                await fleet.wait_ready([N1], 5)
                asked = asyncio.create_task(fleet.ask(N1, messages.CollectCounters(), 50))
                await asyncio.sleep(0)
            with pytest.raises(TransportError, match="closed"):
                await asked
            await agent.end()

    asyncio.run(asyncio.wait_for(scene(), 30))


class Wire:
    """Between an agent and its broker; can be cut."""

    def __init__(self, broker: Path, place: Path) -> None:
        self._broker, self.place = broker, place
        self.again = asyncio.Event()
        """Set once somebody came back after a cut."""
        self._cuts = 0
        self._open: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries one connection."""
        there, back = await asyncio.open_unix_connection(self._broker)
        self._open += [writer, back]
        if self._cuts:
            self.again.set()
        for one, other in ((reader, back), (there, writer)):
            self._tasks.add(asyncio.create_task(self._carry(one, other)))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def cut(self) -> None:
        """Ends what is open, without a word."""
        self._cuts += 1
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()
        await asyncio.gather(*self._tasks)
        self._tasks.clear()


@pytest.mark.parametrize("anew", [False, True])
def test_agent_whose_connection_breaks_answers_all_the_same(short_dir: Path, anew: bool) -> None:
    """Cut in mid-command: its answer comes once it is back; one started anew knows of nothing."""

    async def scene() -> Reply:
        release, begun = asyncio.Event(), asyncio.Event()

        async def handler(command: messages.Command) -> Reply:
            begun.set()
            await release.wait()
            return await done(command)

        async with private_broker(short_dir) as socket:
            wire = Wire(socket, short_dir / "w")
            server = await asyncio.start_unix_server(wire.accept, wire.place)
            agent = Agent(wire.place, handler, capabilities={"started": "1"})
            async with Fleet(f"unix://{socket}", run_id=RUN, away_s=20) as fleet:
                asked = asyncio.create_task(fleet.ask(N1, messages.CollectCounters(), 20))
                await begun.wait()
                if anew:
                    agent.task.cancel()
                    await asyncio.gather(agent.task, return_exceptions=True)
                    agent = Agent(wire.place, handler, capabilities={"started": "2"})
                else:
                    await wire.cut()
                    async with asyncio.timeout(20):
                        await wire.again.wait()
                    release.set()
                try:
                    return await asked
                finally:
                    server.close()
                    await agent.end()
                    await wire.cut()

    if anew:
        with pytest.raises(TransportError, match="started anew"):
            asyncio.run(asyncio.wait_for(scene(), 30))
    else:
        reply = asyncio.run(asyncio.wait_for(scene(), 30))
        assert reply.answer == messages.Done(facts={"command": "CollectCounters"})


@pytest.mark.parametrize(("more", "size"), [(mqtt.KEPT_ANSWERS, 0), (1, mqtt.KEPT_BYTES)])
def test_an_answer_that_is_kept_no_more_is_a_failure(short_dir: Path, more: int, size: int) -> None:
    """Lost on a broken connection and followed by too much: its asker is told, and of the limit."""
    filling: columns.Table = {"x": np.random.default_rng(1).integers(0, 2**62, size // 8)}

    async def scene() -> Reply:
        begun, release = asyncio.Event(), asyncio.Event()

        async def handler(command: messages.Command) -> Reply:
            if isinstance(command, messages.ReadFacts):
                begun.set()
                await release.wait()
            tables = {"t": filling} if isinstance(command, messages.Reflect) else {}
            return Reply(messages.Done(), tables)

        async with private_broker(short_dir) as socket:
            wire = Wire(socket, short_dir / "w")
            server = await asyncio.start_unix_server(wire.accept, wire.place)
            agent = Agent(socket, handler)
            async with (
                Fleet(f"unix://{wire.place}", run_id=RUN) as cut_off,
                Fleet(f"unix://{socket}", run_id=RUN) as other,
            ):
                asked = asyncio.create_task(cut_off.ask(N1, messages.ReadFacts(node="n1"), 15))
                await begun.wait()
                server.close()
                await wire.cut()
                release.set()
                for _ in range(more):
                    await other.ask(N1, messages.Reflect(session_ids=()), 15)
                # This one is asked once the broker's last receipt is with the agent.
                await other.ask(N1, messages.CollectCounters(), 15)
                server = await asyncio.start_unix_server(wire.accept, wire.place)
                reply = await asked
            server.close()
            await agent.end()
            await wire.cut()
        return reply

    answer = asyncio.run(asyncio.wait_for(scene(), 50)).answer
    assert isinstance(answer, messages.Failed)
    assert "an agent keeps the last 8 and at most 16 MiB" in answer.reason


def test_silent_agent_times_out_by_name(short_dir: Path) -> None:
    """An answer that does not come in time is an error that names agent and command."""

    async def handler(command: messages.Command) -> Reply:
        await asyncio.sleep(60)
        return await done(command)

    async def scene() -> None:
        async with private_broker(short_dir) as socket:
            agent = Agent(socket, handler)
            async with Fleet(f"unix://{socket}", run_id=RUN) as fleet:
                await fleet.wait_ready([N1], 5)
                with pytest.raises(TransportError, match="n1-vxlan did not answer CollectCounters"):
                    await fleet.ask(N1, messages.CollectCounters(), 0.2)
                with pytest.raises(TransportError, match="n9 has not announced itself"):
                    await fleet.ask(AgentId("n9"), messages.CollectCounters(), 0.1)
                with pytest.raises(TransportError, match=r"not online after 0\.1 s: n9"):
                    await fleet.wait_ready([N1, AgentId("n9")], 0.1)
            await agent.end()

    asyncio.run(scene())


def test_other_message_format_is_refused(short_dir: Path) -> None:
    """Agents of another format number are refused by name before anything is asked of them."""

    async def scene() -> None:
        async with private_broker(short_dir) as socket:
            agent = Agent(socket, done, format=99, version="9.9")
            async with Fleet(f"unix://{socket}", run_id=RUN) as fleet:
                with pytest.raises(TransportError, match=r"n1-vxlan \(podbench 9.9\).*format 99"):
                    await fleet.wait_ready([N1], 5)
                with pytest.raises(TransportError, match="format 99"):
                    await fleet.ask(N1, messages.Stop(), 5)
            await agent.end()

    asyncio.run(scene())


def test_garbage_is_ignored_and_other_formats_are_answered(short_dir: Path) -> None:
    """Garbage changes nothing, a foreign format is told so, a repeated request is done once."""
    asked: list[messages.Command] = []

    async def handler(command: messages.Command) -> Reply:
        asked.append(command)
        return await done(command)

    async def scene() -> list[messages.Response]:
        responses: list[messages.Response] = []
        async with private_broker(short_dir) as socket:
            agent = Agent(socket, handler)
            stranger = Link(
                parse_broker(f"unix://{socket}"),
                "stranger",
                [topics.all_answers(RUN)],
                lambda _, payload: responses.append(messages.decode_response(payload)),
            )
            running = asyncio.create_task(stranger.run())
            async with Fleet(f"unix://{socket}", run_id=RUN) as fleet:
                await fleet.wait_ready([N1], 5)
                await stranger.up.wait()
                once = messages.encode(messages.Request(id=5, command=messages.Stop()))
                foreign = msgspec.msgpack.encode({"id": 6, "format": 99})
                for payload in (b"", b"garbage", foreign, once, once):
                    await stranger.publish(topics.command(RUN, N1), payload)
                    await stranger.publish(topics.status(RUN, N1), b"garbage")
                await fleet.ask(N1, messages.CollectCounters(), 5)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await agent.end()
        return responses

    by_id = {response.id: response for response in asyncio.run(scene())}

    assert asked == [messages.Stop(), messages.CollectCounters()]
    assert isinstance(by_id[6].answer, messages.Failed)
    assert "format 99" in by_id[6].answer.reason
    assert by_id[5].answer == messages.Done(facts={"command": "Stop"})


def test_both_sides_survive_the_broker(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that stays away fails pending asks; once it is back later ones are answered."""
    monkeypatch.setattr(mqtt, "RESUME_S", 0.2)

    async def handler(command: messages.Command) -> Reply:
        if isinstance(command, messages.Reflect):
            await asyncio.sleep(60)
        return await done(command)

    async def scene() -> Reply:
        async with private_broker(short_dir) as socket:
            agent = Agent(socket, handler)
            fleet = Fleet(f"unix://{socket}", run_id=RUN)
            await fleet.__aenter__()
            await fleet.wait_ready([N1], 5)
            asked = asyncio.create_task(fleet.ask(N1, messages.Reflect(session_ids=()), 50))
            await asyncio.sleep(0)
        with pytest.raises(TransportError, match="Reflect to n1-vxlan"):
            await asked
        async with private_broker(short_dir):
            reply = await fleet.ask(N1, messages.CollectCounters(), 20)
            await agent.end()
            await fleet.__aexit__(None, None, None)
        return reply

    assert asyncio.run(scene()).answer == messages.Done(facts={"command": "CollectCounters"})


def test_what_was_asked_outlives_the_broker(short_dir: Path) -> None:
    """A new broker knows nothing; the command is done once all the same, and answered."""
    asked: list[messages.Command] = []

    async def scene() -> Reply:
        begun, release = asyncio.Event(), asyncio.Event()

        async def handler(command: messages.Command) -> Reply:
            asked.append(command)
            begun.set()
            await release.wait()
            return await done(command)

        async with private_broker(short_dir) as socket:
            agent = Agent(socket, handler)
            fleet = Fleet(f"unix://{socket}", run_id=RUN)
            await fleet.__aenter__()
            await fleet.wait_ready([N1], 5)
            pending = asyncio.create_task(fleet.ask(N1, messages.CollectCounters(), 50))
            await begun.wait()
        release.set()
        async with private_broker(short_dir):
            reply = await pending
            await agent.end()
            await fleet.__aexit__(None, None, None)
        return reply

    reply = asyncio.run(asyncio.wait_for(scene(), 60))
    assert reply.answer == messages.Done(facts={"command": "CollectCounters"})
    assert asked == [messages.CollectCounters()]


def test_unreachable_broker_is_an_error(short_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is not there is told by its address."""
    monkeypatch.setattr(mqtt, "REACH_S", 0.3)

    async def scene() -> None:
        async with Fleet(f"unix://{short_dir}/none.sock", run_id=RUN):
            pass

    with pytest.raises(TransportError, match=r"none\.sock cannot be reached"):
        asyncio.run(scene())


def test_agent_ends_though_no_broker_ever_came(short_dir: Path) -> None:
    """An agent that never reached its broker still ends when told to."""

    async def scene() -> None:
        agent = Agent(short_dir / "none.sock", done)
        await asyncio.sleep(0.05)
        await asyncio.wait_for(agent.end(), 5)

    asyncio.run(scene())
