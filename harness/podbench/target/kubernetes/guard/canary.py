"""Watches over the cluster's own network while a run measures, and ends the run when it suffers.

On every node the host agent probes the next node (host path), and a pod outside the arms, on
whatever network pods get here, probes the next one's (pod path): ten probes a second each. Agents
judge by themselves and speak up only in trouble, so that next to nothing of it is on the control
channel meanwhile; what counts as trouble is in the order they get. They end by themselves an hour
after they last heard that the run lives, which it says three times an hour. An agent that is gone
says nothing about the network: its paths are out of watch until it is back. A kind of path without
any watch left is trouble, too.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import msgspec

from podbench.model.errors import ClusterError, PodbenchError
from podbench.model.nodes import AgentId
from podbench.store import rundir
from podbench.transport.base import Fleet, Reply
from podbench.wire import messages

FILE = Path("evidence", "canary.json")
SSID = 65_535
"""Of every watch; a run's measurements stay below (`campaign.agents`)."""
START_S = 20.0
ANSWER_S = 10.0
END_S = 3.0
RUN_S = 30 * 86_400.0
"""Longer than any run: a watch is answered when it ends."""
LEASE_S = 3600.0
RENEW_S = LEASE_S / 3
"""Two of these words may be lost. A watch that ends all the same is begun anew."""
LOOK_S = 0.5
"""How often it is seen to that both ends of a path are there; takes no message."""
BLIND_S = 4.0
HOLD_S = 60.0
"""Longer than any proof window; a watch goes on by itself then, should nobody tell it to."""
STARVED_NS = 50_000_000
"""An answer that waited so long for a node's CPU is worth a line."""
SATURATED_LOST_RATIO = 0.9
"""Under `--saturate` our own transfers fill queues: what is lost in them is no trouble."""

Gone = Callable[[AgentId], bool]
"""Whether an agent said goodbye or its connection broke."""


class Perch(msgspec.Struct, frozen=True, kw_only=True):
    """Where the canary sits on one node: the host agent, and a pod outside the arms."""

    node: str
    host: AgentId
    host_address: str
    pod: AgentId
    pod_address: str


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """One watched path. `path` is `host` or `pod`."""

    path: str
    src: str
    dst: str
    sender: AgentId
    reflector: AgentId
    address: str

    def __str__(self) -> str:
        """`pod path n1 > n2`."""
        return f"{self.path} path {self.src} > {self.dst}"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What one watch of a path saw; `ended` says why it is over."""

    way: Way
    ended: str
    watched: messages.Watched | None


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment's watch, as `evidence/canary.json` has it."""

    started_wall_ns: int
    ended_wall_ns: int
    lost_ratio: float
    delay_s: float | None
    trouble: str | None
    accounts: tuple[Account, ...]


def ring(perches: Sequence[Perch], *, pods: bool) -> tuple[Way, ...]:
    """Each node's paths to the next one: every node is an end of each kind twice."""
    following = [*perches[1:], perches[0]]
    host = [
        Way(
            path="host",
            src=near.node,
            dst=far.node,
            sender=near.host,
            reflector=far.host,
            address=far.host_address,
        )
        for near, far in zip(perches, following, strict=True)
    ]
    pod = [
        Way(
            path="pod",
            src=near.node,
            dst=far.node,
            sender=near.pod,
            reflector=far.pod,
            address=far.pod_address,
        )
        for near, far in zip(perches, following, strict=True)
    ]
    return (*host, *(pod if pods else ()))


class Watchman:
    """One run's canary.

    Args:
        say: Tells whoever looks on.
        saturate: The run may fill queues: what is lost in them is no trouble.
        pods: Whether the pods' own network is watched; not where the run changes that itself.
        folder: The run directory.

    Attributes:
        trouble: Fails with the reason once the network suffers.
    """

    def __init__(
        self, say: Callable[[str], None], *, saturate: bool, pods: bool, folder: Path | None
    ) -> None:
        self._say = say
        self._folder = folder
        self._saturate = saturate
        self._pods = pods
        self._fleet: Fleet | None = None
        self._gone: Gone = lambda _: False
        self._ways: tuple[Way, ...] = ()
        self._watched: set[Way] = set()
        self._holds: Counter[Way] = Counter()
        self._news = asyncio.Event()
        self._why: dict[Way, str] = {}
        self._accounts: list[Account] = []
        self._closing = False
        self.trouble: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @contextlib.asynccontextmanager
    async def watching(
        self, fleet: Fleet, gone: Gone, perches: Sequence[Perch]
    ) -> AsyncIterator[None]:
        """Watches while the context lasts; then writes down what was seen.

        Raises:
            ClusterError: A path cannot be watched, so that nothing would be noticed.
            StoreError: What was seen cannot be written.
        """
        started = time.time_ns()
        self._fleet, self._gone, self._ways = fleet, gone, ring(perches, pods=self._pods)
        keeping = [asyncio.create_task(self._keep(fleet, way)) for way in self._ways]
        keeping.append(asyncio.create_task(self._renew()))
        try:
            await self._until_all()
            keeping.append(asyncio.create_task(self._until_blind()))
            yield
        finally:
            try:
                await self._close(keeping)
            finally:
                self._write(started)

    async def _close(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Ends every watch; whoever does not answer soon keeps its account to itself."""
        self._closing = True
        ends = [asyncio.create_task(self._tell(w, messages.EndWatch())) for w in self._ways]
        ended = asyncio.create_task(self._until(lambda: not self._watched))
        # No `asyncio.timeout`: this may run in a task that is cancelled, where Python 3.11's lets
        # the cancellation through when it expires.
        await asyncio.wait([*ends, ended], timeout=END_S)
        for task in (*ends, ended, *tasks):
            task.cancel()
        await asyncio.gather(*ends, ended, *tasks, return_exceptions=True)
        self._fleet = None

    @contextlib.asynccontextmanager
    async def held(self, nodes: Sequence[str]) -> AsyncIterator[None]:
        """Nothing of the pod path's canary crosses these nodes while the context lasts.

        Windows of other pairs may overlap: a path goes on when the last one is over.
        """
        near = [way for way in self._ways if way.path == "pod" and {way.src, way.dst} & set(nodes)]
        self._holds.update(near)
        try:
            await asyncio.gather(*(self._tell(w, messages.HoldWatch(hold_s=HOLD_S)) for w in near))
            yield
        finally:
            self._holds.subtract(near)
            free = [way for way in near if not self._holds[way]]
            await asyncio.gather(*(self._tell(w, messages.HoldWatch(hold_s=0.0)) for w in free))

    async def _renew(self) -> None:
        """Lets the watches go on: without us each ends when its lease does."""
        while True:
            await asyncio.sleep(RENEW_S)
            await asyncio.gather(*(self._tell(way, messages.KeepWatch()) for way in self._ways))

    async def _tell(
        self, way: Way, command: messages.KeepWatch | messages.HoldWatch | messages.EndWatch
    ) -> None:
        """Whoever does not watch at the moment has nothing to keep, to hold or to end."""
        if self._fleet is not None and way in self._watched:
            with contextlib.suppress(PodbenchError):
                await self._fleet.ask(way.sender, command, ANSWER_S)

    def _order(self, way: Way, port: int) -> messages.WatchPath:
        order = messages.WatchPath(
            session_id=SSID, peer_address=way.address, peer_port=port, lease_s=LEASE_S
        )
        if not self._saturate:
            return order
        return msgspec.structs.replace(order, lost_ratio=SATURATED_LOST_RATIO, delay_s=None)

    async def _keep(self, fleet: Fleet, way: Way) -> None:
        """Has a path watched, again and again until there is trouble."""
        while not self._closing and not self.trouble.done():
            try:
                await self._once(fleet, way)
            except PodbenchError as error:
                self._why[way] = str(error)
            await asyncio.sleep(LOOK_S)

    async def _once(self, fleet: Fleet, way: Way) -> None:
        """One watch, from its beginning to its end."""
        if self._gone(way.reflector) or self._gone(way.sender):
            return
        status = fleet.agents[way.reflector]
        port = status.capabilities.get("reflector_port")
        if port is None:
            raise ClusterError(f"{way.reflector} has no reflector")
        admitted = await fleet.ask(way.reflector, messages.Reflect(session_ids=(SSID,)), ANSWER_S)
        if isinstance(admitted.answer, messages.Failed):
            raise ClusterError(admitted.answer.reason)
        if self._closing:
            return
        asked = asyncio.create_task(fleet.ask(way.sender, self._order(way, int(port)), RUN_S))
        self._note(way, watched=True)
        try:
            reply = await self._answer(fleet, way, asked, status.pid)
            self._take(way, reply.answer, alike=self._alike(fleet, way, status.pid))
        except PodbenchError as error:
            self._accounts.append(Account(way=way, ended=str(error), watched=None))
            raise
        finally:
            asked.cancel()
            self._note(way, watched=False)

    async def _answer(
        self, fleet: Fleet, way: Way, asked: asyncio.Task[Reply], pid: int | None
    ) -> Reply:
        """Waits for the watch's end; ends it when nobody is left to answer."""
        while not (await asyncio.wait({asked}, timeout=LOOK_S))[0]:
            if not self._alike(fleet, way, pid):
                await self._tell(way, messages.EndWatch())
                break
        return await asked

    def _alike(self, fleet: Fleet, way: Way, pid: int | None) -> bool:
        """Whether the reflector is still the one that admitted the watch."""
        return not self._gone(way.reflector) and fleet.agents[way.reflector].pid == pid

    def _take(self, way: Way, answer: messages.Answer, *, alike: bool) -> None:
        if isinstance(answer, messages.Failed):
            raise ClusterError(answer.reason)
        if not isinstance(answer, messages.Watched):
            raise ClusterError(f"{way.sender} does not know how to watch a path")
        told = self._closing or not alike
        ended = answer.trouble or ("told to end" if told else "its lease was over")
        if answer.trouble is not None and not alike:
            ended = f"{way.reflector} went away"
        self._accounts.append(Account(way=way, ended=ended, watched=answer))
        if (starved := _starved(way, answer)) is not None:
            self._say(starved)
        if answer.trouble is not None and alike:
            self._raise(f"{way}: {answer.trouble}")

    def _raise(self, why: str) -> None:
        if not self.trouble.done():
            self.trouble.set_exception(
                ClusterError(
                    f"the cluster's own network is in trouble, so the run ends: canary, {why}",
                    advice="what was measured is kept; see to the network, then `bench resume`",
                )
            )

    def _note(self, way: Way, *, watched: bool) -> None:
        if watched:
            self._watched.add(way)
            self._why.pop(way, None)
        else:
            self._watched.discard(way)
        self._news.set()
        self._news = asyncio.Event()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._news.wait()

    async def _until_all(self) -> None:
        try:
            async with asyncio.timeout(START_S):
                await self._until(lambda: self._watched == set(self._ways))
        except TimeoutError:
            missing = [way for way in self._ways if way not in self._watched]
            told = "; ".join(f"{way}: {self._why.get(way, 'no answer')}" for way in missing[:3])
            raise ClusterError(
                f"the canary cannot watch {len(missing)} of {len(self._ways)} paths: {told}",
                advice="without it nobody would notice harm; look at the agents' logs",
            ) from None

    async def _until_blind(self) -> None:
        """Ends the run when a whole kind of path is out of watch for too long."""
        since: dict[str, float] = {}
        missing: set[Way] = set()
        while not self.trouble.done():
            await asyncio.sleep(LOOK_S)
            out = set(self._ways) - self._watched
            for way in sorted(out - missing, key=str):
                if not self._closing:
                    self._say(f"canary: {way} is out of watch: {self._absent(way)}")
            missing = out
            now = time.monotonic()
            for path in {way.path for way in self._ways}:
                if any(way.path == path for way in self._watched):
                    since.pop(path, None)
                elif now - since.setdefault(path, now) > BLIND_S:
                    self._raise(f"no {path} path is watched any more: its agents are gone")

    def _absent(self, way: Way) -> str:
        """Why a path is not watched."""
        ends = {way.sender: way.src, way.reflector: way.dst}
        gone = [f"{agent} on {node}" for agent, node in ends.items() if self._gone(agent)]
        if gone:
            return f"{' and '.join(gone)} is gone; watched again once it is back"
        return self._why.get(way, "its watch ended, and is being begun again")

    def _write(self, started: int) -> None:
        if self._folder is None:
            return
        order = self._order(self._ways[0], 0)
        error = self.trouble.exception() if self.trouble.done() else None
        now = Stretch(
            started_wall_ns=started,
            ended_wall_ns=time.time_ns(),
            lost_ratio=order.lost_ratio,
            delay_s=order.delay_s,
            trouble=None if error is None else str(error),
            accounts=tuple(self._accounts),
        )
        where = self._folder / FILE
        earlier = read(self._folder)
        rundir.write_whole(where, msgspec.json.format(msgspec.json.encode([*earlier, now])))


def _starved(way: Way, watched: messages.Watched) -> str | None:
    """Whose CPU kept answers waiting, where that was long enough to be felt."""
    waits = {way.src: watched.own_wait_max_ns or 0, way.dst: watched.reflector_wait_max_ns or 0}
    node = max(waits, key=lambda name: waits[name])
    if waits[node] < STARVED_NS or watched.network_p50_ns is None:
        return None
    return (
        f"canary: {way}: answers waited up to {waits[node] / 1e6:.0f} ms for the CPU of {node};"
        f" the network took {watched.network_p50_ns / 1e6:.2g} ms (median)"
    )


def read(folder: Path) -> list[Stretch]:
    """What the canary saw so far in a run; empty where there was none or its file is damaged."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=list[Stretch])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return []
