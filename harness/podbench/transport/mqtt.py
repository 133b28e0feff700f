"""The control channel over MQTT: `MqttFleet` for the orchestrator, `serve_agent` for agents.

Both keep one connection (`mqtt_link`) and begin again when it breaks. A command is carried out
once: agents know a repeated request. An answer is published until the broker has it; what the
orchestrator missed while its own connection was broken, or the broker lost with its life, it asks
for again by the numbers of the parts that did come.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Collection, Coroutine, Iterator
from types import TracebackType
from typing import Self

import msgspec

from podbench.model import plain
from podbench.model.errors import PodbenchError, RemoteProtocolError, TransportError
from podbench.model.nodes import AgentId
from podbench.transport.asks import Ask, Check, check_format, same_process
from podbench.transport.base import Handler, Refused, Reply
from podbench.transport.endpoint import Endpoint, parse_broker
from podbench.transport.limits import Limits
from podbench.transport.mqtt_link import PAUSE_MIN_S, REACH_S, STATUS_EXPIRY_S, Greeting, Link
from podbench.wire import answers, batches, messages, topics

logger = logging.getLogger(__name__)

REMEMBERED_REQUESTS = 4096
REFUSED_AGENTS = 4096
"""A broker without access rules lets anybody make names up: so many are counted apart."""
RESUME_S = 60.0
"""How long what was asked waits for a broken connection: a control plane that is upgraded, and with
it the way through it, is away for half a minute; a broker's pod is replaced in less."""
LAST_WORDS_S = 0.3
"""A broker that ends tells every agent's last will first: wait whether it goes itself."""
KEPT_ANSWERS = 8
KEPT_BYTES = 16 * 1024 * 1024
"""What an agent keeps of its last answers, should they be asked for again; the last one whatever
its size, and what the broker has not had yet."""


class MqttFleet:
    """The orchestrator's side: every agent of one run on one broker (`transport.base.Fleet`).

    An async context manager; entering it raises TransportError when the broker cannot be reached.

    Args:
        broker: Where it is.
        run_id: Whose agents.
        away_s: How long an agent whose connection ended may take to be back before what was asked
            of it fails. For brokers behind a network, which ends connections of those that live
            on: there the time limits of what is asked stand still as long as our own is broken.
        check: Holds each answer to its command; tests of the channel alone take any.
    """

    def __init__(
        self,
        broker: str | Endpoint,
        *,
        run_id: str,
        away_s: float = 0.0,
        check: Check = answers.checked,
    ) -> None:
        self._check = check
        self._endpoint = parse_broker(broker) if isinstance(broker, str) else broker
        self._run_id = run_id
        self._agents: dict[AgentId, messages.AgentStatus] = {}
        self._stale: set[AgentId] = set()
        self._limits = Limits()
        self._networked = away_s > 0
        self._away_s = max(away_s, LAST_WORDS_S)
        self._away: dict[AgentId, asyncio.TimerHandle] = {}
        self._repeating: set[asyncio.Task[None]] = set()
        self._asks: dict[int, Ask] = {}
        self.refused: dict[AgentId, Refused] = {}
        """Messages that were dropped, by the agent whose topic they came by."""
        # Ids go on where another orchestrator of the same run left off: agents drop repeated ones.
        self._ids: Iterator[int] = itertools.count(time.time_ns() // 1_000_000)
        self._news = asyncio.Event()
        self._link = Link(
            self._endpoint,
            f"{topics.ROOT}-{run_id}-orchestrator-{os.getpid()}-{time.monotonic_ns():x}",
            (topics.all_statuses(run_id), topics.all_answers(run_id)),
            self._receive,
        )
        self._link.when_down = self._lost_broker
        self._link.when_up = self._found_broker
        self._giving_up: asyncio.TimerHandle | None = None
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._link.run())
        try:
            await asyncio.wait_for(self._link.up.wait(), REACH_S)
        except TimeoutError:
            await self._close()
            raise TransportError(
                f"the broker at {self._endpoint} cannot be reached: {self._link.trouble}",
                advice="check that it runs and that its address is right",
            ) from None
        except asyncio.CancelledError:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        for timer in self._away.values():
            timer.cancel()
        for task in self._repeating:
            task.cancel()
        await asyncio.gather(*self._repeating, return_exceptions=True)
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
        # Ending the connection looks like losing it: nobody is to wait for it to be back.
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None
        self._limits.go_on()
        self._fail_asks("the connection to the broker was closed")

    @property
    def agents(self) -> dict[AgentId, messages.AgentStatus]:
        """The agents known so far, by id; one that died stays, with `online` false."""
        return {
            agent: msgspec.structs.replace(status, online=False) if agent in self._stale else status
            for agent, status in self._agents.items()
        }

    def gone(self, agent: AgentId) -> bool:
        """Whether an agent said goodbye or the broker lost it, be it for a moment.

        False for one not heard of since the broker itself went away: it may be well.
        """
        if agent in self._away:
            return True
        status = self._agents.get(agent)
        return status is not None and not status.online and agent not in self._stale

    async def wait_ready(self, agents: Collection[AgentId], timeout_s: float) -> None:
        """Returns once all are online.

        Raises:
            TransportError: Some are not, in time, or speak another message format; names them.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while missing := self._not_ready(agents):
                    await self._news.wait()
        except TimeoutError:
            raise TransportError(
                f"agents not online after {timeout_s:g} s: {', '.join(missing)}",
                advice="look at their logs; they connect to the broker by themselves",
            ) from None

    async def wait_renewed(self, agent: AgentId, pid: int, timeout_s: float) -> None:
        """Returns once an agent that was started anew, as process `pid`, is online.

        Raises:
            TransportError: It is not, in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while self._not_ready([agent]) or self._agents[agent].pid != pid:
                    await self._news.wait()
        except TimeoutError:
            raise TransportError(f"{agent} is not online after {timeout_s:g} s") from None

    def _not_ready(self, agents: Collection[AgentId]) -> list[AgentId]:
        known = self.agents
        for agent in agents:
            if agent in known:
                check_format(known[agent])
        return [agent for agent in agents if agent not in known or not known[agent].online]

    async def ask(self, agent: AgentId, command: messages.Command, timeout_s: float) -> Reply:
        """Sends one command and returns the whole answer.

        Raises:
            TransportError: The agent is gone or did not answer in time; names it and the command.
            RemoteProtocolError: Its answer cannot be read.
        """
        name = type(command).__name__
        try:
            async with self._limits.within(timeout_s):
                await self._until_announced(agent)
                return await self._exchange(agent, command)
        except TimeoutError:
            known = agent in self._agents and agent not in self._stale
            why = "did not answer" if known else "has not announced itself, so could not be asked"
            raise TransportError(f"{agent} {why} {name} within {timeout_s:g} s") from None
        except TransportError as error:
            raise TransportError(f"{name} to {agent}: {error}", advice=error.advice) from error

    async def _until_announced(self, agent: AgentId) -> None:
        while agent not in self._agents or agent in self._stale or not self._link.up.is_set():
            await self._news.wait()
        status = self._agents[agent]
        check_format(status)
        if not status.online:
            raise TransportError("the agent is offline")

    async def _exchange(self, agent: AgentId, command: messages.Command) -> Reply:
        request = messages.Request(id=next(self._ids), command=command)
        ask = Ask(agent, request, self._check)
        self._asks[request.id] = ask
        try:
            await self._send(ask, request)
            return await ask.reply
        finally:
            del self._asks[request.id]
            if ask.reply.done() and not ask.reply.cancelled():
                ask.reply.exception()  # else asyncio complains of an error that nobody looked at

    def _receive(self, topic: str, payload: bytes) -> None:
        try:
            place = topics.parse(topic, self._run_id)
        except RemoteProtocolError as error:
            logger.warning("message refused", extra={"topic": topic[:256], "why": str(error)})
            return
        try:
            if place.kind == "status":
                self._note_status(_status_of(place.agent, payload))
            elif place.kind == "answer":
                self._note_answer(place.agent, messages.decode_response(payload))
        except RemoteProtocolError as error:
            self._refuse(place.agent, str(error))

    def _note_answer(self, agent: AgentId, part: messages.Response) -> None:
        """Takes a part where it was asked for; one that comes too late belongs to nobody."""
        ask = self._asks.get(part.id)
        if ask is None:
            return
        if ask.agent != agent:
            raise RemoteProtocolError(f"answers what {ask.agent} was asked")
        ask.add(part)

    def _refuse(self, agent: AgentId, why: str) -> None:
        """Drops a message; whose topic it came by has sent it, whatever it says of itself."""
        if agent in self.refused or len(self.refused) < REFUSED_AGENTS:
            before = self.refused.get(agent, Refused(0, why))
            self.refused[agent] = Refused(before.count + 1, before.why)
            if before.count:
                return
        logger.warning("message refused", extra={"agent": agent[:256], "why": why})

    def _note_status(self, status: messages.AgentStatus) -> None:
        before = self._agents.get(status.agent)
        waiting = self._away.pop(status.agent, None)
        if waiting is not None:
            waiting.cancel()
        was_stale = status.agent in self._stale
        if before is not None and before.online and not status.online:
            self._stale.add(status.agent)
            later = asyncio.get_running_loop().call_later
            self._away[status.agent] = later(self._away_s, self._gone, status)
        elif not status.online:
            self._gone(status)
        else:
            self._agents[status.agent] = status
            self._stale.discard(status.agent)
            if before is not None and not same_process(before, status):
                self._fail_asks("the agent was started anew", status.agent)
            elif was_stale:
                self._ask_again(status.agent)
        self._tell()

    def _gone(self, status: messages.AgentStatus) -> None:
        self._away.pop(status.agent, None)
        self._agents[status.agent] = status
        self._stale.discard(status.agent)
        self._fail_asks("the agent went away", status.agent)
        self._tell()

    def _ask_again(self, agent: AgentId) -> None:
        """Sends again what an agent may not have got, or what came of it may not have come here.

        It carries nothing out twice, and sends the parts of its answer that are missing.
        """
        for ask in self._asks.values():
            if ask.agent == agent:
                again = msgspec.structs.replace(ask.request, have=ask.assembly.numbers)
                task = asyncio.create_task(self._send(ask, again))
                self._repeating.add(task)
                task.add_done_callback(self._repeating.discard)

    async def _send(self, ask: Ask, request: messages.Request) -> None:
        # Broken in between, it is sent again once the agent is heard of (`_ask_again`).
        with contextlib.suppress(TransportError):
            await self._link.publish(
                topics.command(self._run_id, ask.agent), messages.encode(request)
            )

    def _lost_broker(self) -> None:
        self._stale.update(self._agents)
        for waiting in self._away.values():
            waiting.cancel()
        self._away.clear()
        if self._giving_up is None:
            loop = asyncio.get_running_loop()
            self._giving_up = loop.call_later(RESUME_S, self._give_up)
            if self._networked:
                self._limits.stand_still()
        self._tell()

    def _found_broker(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None
            self._limits.go_on()
        self._tell()

    def _give_up(self) -> None:
        self._giving_up = None
        self._limits.go_on()
        self._fail_asks(f"the broker at {self._endpoint} went away")

    def _fail_asks(self, why: str, agent: AgentId | None = None) -> None:
        for ask in self._asks.values():
            if agent is None or ask.agent == agent:
                ask.fail(TransportError(why))

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


def _status_of(agent: AgentId, payload: bytes) -> messages.AgentStatus:
    """A status, which only its own agent may announce.

    Raises:
        RemoteProtocolError: It is another's, or none.
    """
    status = messages.decode_status(payload)
    if status.agent != agent:
        raise RemoteProtocolError(f"announces itself as {plain.line(status.agent, 80)}")
    answers.check_status(status)
    return status


class _Kept(msgspec.Struct):
    """One answer's encoded parts, and how many of them the broker has had."""

    parts: list[bytes]
    delivered: int = 0


def _forgotten(request_id: int) -> messages.Response:
    """Tells that an answer cannot be sent again; said at once, for its asker waits for it."""
    reason = (
        "the answer was lost with a broken connection and is not kept any more: an agent keeps the "
        f"last {KEPT_ANSWERS} and at most {KEPT_BYTES >> 20} MiB of them"
    )
    (only,) = batches.cut(request_id, messages.Failed(reason=reason), {})
    return only


class _AgentSide:
    """Takes requests, runs the handler for each at the same time, delivers every answer."""

    def __init__(
        self, endpoint: Endpoint, run_id: str, status: messages.AgentStatus, handler: Handler
    ) -> None:
        self._handler = handler
        self._answers = topics.answer(run_id, status.agent)
        self._status_topic = topics.status(run_id, status.agent)
        self._offline = messages.encode(msgspec.structs.replace(status, online=False))
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._kept: OrderedDict[int, _Kept] = OrderedDict()
        self._at_work: set[int] = set()
        """Requests whose answer is not with the broker as a whole."""
        self.tasks: set[asyncio.Task[None]] = set()
        self.link = Link(
            endpoint,
            f"{topics.ROOT}-{run_id}-{status.agent}",
            (topics.command(run_id, status.agent),),
            self._receive,
            Greeting(self._status_topic, messages.encode(status), self._offline),
        )

    def _receive(self, topic: str, payload: bytes) -> None:
        del topic  # only our own command topic is subscribed
        request_id = messages.request_id(payload)
        if request_id is None:
            return
        if request_id in self._seen or request_id in self._at_work:
            self._work(self._again(request_id, payload))
            return
        self._seen[request_id] = None
        self._at_work.add(request_id)
        if len(self._seen) > REMEMBERED_REQUESTS:
            self._seen.popitem(last=False)
        self._work(self._answer(request_id, payload))

    def _work(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer(self, request_id: int, payload: bytes) -> None:
        try:
            parts = await self._parts(request_id, payload)
            kept = self._kept[request_id] = _Kept([messages.encode(part) for part in parts])
            for part in kept.parts:
                await self._deliver(part)
                kept.delivered += 1
        finally:
            self._at_work.discard(request_id)
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        for request_id in [each for each in self._kept if each not in self._at_work]:
            if len(self._kept) <= KEPT_ANSWERS and self._kept_bytes() <= KEPT_BYTES:
                return
            if len(self._kept) > 1:
                del self._kept[request_id]

    def _kept_bytes(self) -> int:
        return sum(len(part) for kept in self._kept.values() for part in kept.parts)

    async def _again(self, request_id: int, payload: bytes) -> None:
        """Delivers what the broker had already and the orchestrator did not get."""
        have: tuple[int, ...] | None = None
        with contextlib.suppress(RemoteProtocolError):
            have = messages.decode_request(payload).have
        if have is None:
            return
        kept = self._kept.get(request_id)
        if kept is not None:
            for number in range(kept.delivered):
                if number not in have:
                    await self._deliver(kept.parts[number])
        elif request_id not in self._at_work:
            await self._deliver(messages.encode(_forgotten(request_id)))

    async def _parts(self, request_id: int, payload: bytes) -> list[messages.Response]:
        try:
            request = messages.decode_request(payload)
            reply = await self._handler(request.command)
            return batches.cut(request_id, reply.answer, reply.tables)
        except PodbenchError as error:
            reason = str(error)
        except Exception as error:  # the process's edge: a bug is an answer, no crash
            logger.exception("command failed", extra={"request": request_id})
            reason = f"the agent failed: {type(error).__name__}: {error}"
        return batches.cut(request_id, messages.Failed(reason=reason), {})

    async def _deliver(self, payload: bytes) -> None:
        while True:
            await self.link.up.wait()
            try:
                return await self.link.publish(self._answers, payload)
            except TransportError:
                await asyncio.sleep(PAUSE_MIN_S)

    async def say_goodbye(self) -> None:
        """Tells everybody that this agent ended on purpose."""
        with contextlib.suppress(TransportError):
            await self.link.publish(
                self._status_topic, self._offline, retain=True, expiry_s=STATUS_EXPIRY_S
            )


async def serve_agent(
    broker: str | Endpoint,
    *,
    run_id: str,
    status: messages.AgentStatus,
    handler: Handler,
    stop: asyncio.Event,
    grace_s: float = 0.5,
) -> None:
    """Serves one agent's commands until `stop` is set; waits for the broker as long as it takes.

    Commands still running then have `grace_s` to finish. Each command gets exactly one answer: what
    a handler raises becomes `Failed`.

    Raises:
        ConfigError: The broker's address cannot be used.
    """
    endpoint = parse_broker(broker) if isinstance(broker, str) else broker
    side = _AgentSide(endpoint, run_id, status, handler)
    running = asyncio.create_task(side.link.run())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if side.tasks:
            await asyncio.wait(set(side.tasks), timeout=grace_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(side.say_goodbye(), grace_s / 2)
    finally:
        for task in (stopped, running, *side.tasks):
            task.cancel()
        await asyncio.gather(stopped, running, *side.tasks, return_exceptions=True)
    if not running.cancelled() and (error := running.exception()) is not None:
        raise error
