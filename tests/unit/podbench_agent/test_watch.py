"""What counts as trouble on a watched path, and what must not."""

import asyncio
import socket
import time

import pytest

from podbench.model.errors import ProbeError
from podbench.wire import messages, stamp
from podbench_agent import canary
from podbench_agent.canary import Canary
from podbench_agent.watch import Shares, Watch

MS = 1_000_000
STEP_NS = 100 * MS
ORDER = messages.WatchPath(session_id=65529, peer_address="127.0.0.1", peer_port=8620)


class Path:
    """A path on a clock of its own: ten probes a second, each answered after so long, or never."""

    def __init__(self, order: messages.WatchPath = ORDER) -> None:
        self.watch = Watch(order)
        self.now_ns = 0
        self.number = 0
        self._coming: list[tuple[int, int]] = []

    def run(self, seconds: float, rtt_ms: float | None, every: int = 1) -> str | None:
        """Goes on for a while; of every so many probes one is lost where `every` is above 1."""
        for _ in range(round(seconds * 10)):
            for due_ns, number in [each for each in self._coming if each[0] <= self.now_ns]:
                self.watch.answered(number, due_ns)
                self._coming.remove((due_ns, number))
            self.watch.sent(self.number, self.now_ns)
            if rtt_ms is not None and (every == 1 or self.number % every):
                self._coming.append((self.now_ns + int(rtt_ms * MS), self.number))
            self.number += 1
            if (trouble := self.watch.trouble(self.now_ns)) is not None:
                return trouble
            self.now_ns += STEP_NS
        return None


def test_a_quiet_path_is_no_trouble() -> None:
    """However long it lasts; the account is whole."""
    path = Path()
    assert path.run(60, 1.0) is None
    report = path.watch.report(None)
    assert (report.sent, report.lost, report.baseline_ns) == (600, 0, MS)
    assert (report.p50_ns, report.max_ns) == (MS, MS)


@pytest.mark.parametrize(("whose", "field"), [("own", 2), ("reflector", 1)])
def test_a_starved_cpu_is_never_the_network(whose: str, field: int) -> None:
    """Round trips of 171 ms and of seconds, of which the network took a third of a millisecond."""
    watch = Watch(ORDER)
    now_ns = number = 0
    for wait_ms in [0.1] * 50 + [171.0] * 100 + [1800.0] * 100:
        watch.sent(number, now_ns)
        shares = [MS // 3, 0, 0]
        shares[field] = int(wait_ms * MS)
        due_ns = now_ns + sum(shares)
        # What is read late was given up for lost before.
        assert watch.trouble(min(due_ns, now_ns + STEP_NS)) is None
        watch.answered(number, due_ns, Shares(*shares))
        number, now_ns = number + 1, now_ns + STEP_NS
    report = watch.report(None)
    assert report.lost == 0
    assert report.network_p50_ns == MS // 3
    waits = {"own": report.own_wait_max_ns, "reflector": report.reflector_wait_max_ns}
    assert waits.pop(whose) == 1800 * MS
    assert list(waits.values()) == [0]


def test_a_slow_network_is_trouble_on_a_starved_machine_too() -> None:
    """The kernel's stamps tell the one from the other."""
    watch = Watch(ORDER)
    found = None
    for number in range(100):
        now_ns = number * STEP_NS
        watch.sent(number, now_ns)
        network_ms = 0.3 if number < 50 else 150.0
        shares = Shares(int(network_ms * MS), 30 * MS, 30 * MS)
        watch.answered(number, now_ns + sum(shares), shares)
        found = found or watch.trouble(now_ns + STEP_NS)
    assert found == "round trips take 150 ms, at first 0.30 ms"


def test_a_window_holds_what_was_sent_in_it() -> None:
    """A third lost is below two fifths, though the lost are known of later than the answered."""
    order = messages.WatchPath(
        session_id=65529, peer_address="127.0.0.1", peer_port=8620, lost_ratio=0.4
    )
    assert Path(order).run(60, 1.0, every=3) is None


def test_a_dead_path_is_seen_within_five_seconds() -> None:
    """With room for what follows: about three seconds after the last answer."""
    path = Path()
    path.run(10, 1.0)
    begun_ns = path.now_ns
    trouble = path.run(10, None)
    assert trouble is not None
    assert "lost" in trouble
    assert path.now_ns - begun_ns < 3.5e9


def test_a_path_that_never_worked_is_seen_too() -> None:
    """There is no baseline for loss to wait for."""
    assert "was ever answered" in (Path().run(10, None) or "")


@pytest.mark.parametrize("every", [3, 10])
def test_a_lossy_path_is_the_measurement_s_business(every: int) -> None:
    """A third of the probes may be lost in a queue that a transfer fills."""
    path = Path()
    path.run(5, 1.0)
    assert path.run(60, 1.0, every=every) is None


def test_a_break_of_a_second_passes() -> None:
    """As when a route is replaced."""
    path = Path()
    path.run(5, 1.0)
    assert path.run(1.5, None) is None
    assert path.run(20, 1.0) is None


@pytest.mark.parametrize(
    ("before_ms", "after_ms", "trouble"),
    [(1, 90, False), (1, 150, True), (40, 300, False), (40, 500, True)],
)
def test_delay_is_trouble_far_beyond_the_baseline(
    before_ms: float, after_ms: float, trouble: bool
) -> None:
    """Above 100 ms, and above ten times what the path had at first."""
    path = Path()
    path.run(5, before_ms)
    assert (path.run(5, after_ms) is not None) is trouble


def test_delay_is_not_judged_where_the_run_saturates() -> None:
    """A full queue is then what was asked for."""
    order = messages.WatchPath(
        session_id=1, peer_address="127.0.0.1", peer_port=1, delay_s=None, lost_ratio=0.9
    )
    path = Path(order)
    path.run(5, 1.0)
    assert path.run(10, 800.0) is None
    assert path.run(30, 800.0, every=2) is None
    assert path.run(10, None) is not None


def test_what_the_sender_missed_is_not_the_path_s() -> None:
    """Probes from before a stall or a hold are neither lost nor answered."""
    path = Path()
    path.run(5, 1.0)
    path.run(1.8, None)
    path.watch.stalled()
    assert path.run(1.8, None) is None
    report = path.watch.report(None)
    assert report.stalls == 1
    assert report.lost <= 18


def _reflector(sock: socket.socket, key: bytes | None) -> None:
    data, peer = sock.recvfrom(512)
    asked = stamp.decode_sender(data, key)
    reply = stamp.ReflectorPacket(
        sequence=asked.sequence,
        timestamp=asked.timestamp,
        receive_timestamp=asked.timestamp,
        sender_sequence=asked.sequence,
        sender_timestamp=asked.timestamp,
        session_id=asked.session_id,
    )
    sock.sendto(stamp.encode_reflector(reply, key), peer)


@pytest.mark.parametrize("key", [None, b"k" * 16])
def test_it_probes_a_reflector_and_holds_when_told(key: bytes | None) -> None:
    """Real packets on loopback; held, none leaves; ended, the account comes back."""

    async def scene() -> tuple[messages.Watched, int]:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            loop.add_reader(sock, _reflector, sock, key)
            watcher = Canary(key)
            order = messages.WatchPath(
                session_id=65529,
                peer_address="127.0.0.1",
                peer_port=sock.getsockname()[1],
                rate_pps=50,
            )
            watching = asyncio.create_task(watcher.watch(order))
            await asyncio.sleep(0.3)
            with pytest.raises(ProbeError, match="already"):
                await watcher.watch(order)
            watcher.hold(60)
            held = watcher._watch.report(None).sent if watcher._watch else 0
            await asyncio.sleep(0.2)
            watcher.end()
            ended = await watching
            loop.remove_reader(sock)
            return ended, held

    ended, held = asyncio.run(asyncio.wait_for(scene(), 20))
    assert ended.trouble is None
    assert ended.sent == held > 0
    assert ended.lost == 0
    assert ended.max_ns is not None


def test_nothing_to_hold_or_to_keep_is_said() -> None:
    """A hold without a watch would be believed."""
    with pytest.raises(ProbeError, match="watches no path"):
        Canary().hold(1)
    with pytest.raises(ProbeError, match="watches no path"):
        Canary().keep()


class Clock:
    """The machine's clocks, of which one can be moved on."""

    def __init__(self) -> None:
        self.passed_s = 0

    def monotonic_ns(self) -> int:
        """With what has passed since."""
        return time.monotonic_ns() + self.passed_s * 10**9

    def time_ns(self) -> int:
        """As it is."""
        return time.time_ns()


def test_it_goes_on_for_as_long_as_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real packets; kept it outlives its lease, and an hour after the last time it ends."""
    clock = Clock()
    monkeypatch.setattr(canary, "time", clock)

    async def scene() -> messages.Watched:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            loop = asyncio.get_running_loop()
            order = messages.WatchPath(
                session_id=65529,
                peer_address="127.0.0.1",
                peer_port=sock.getsockname()[1],
                rate_pps=100,
            )
            watcher = Canary()
            watching = asyncio.create_task(watcher.watch(order))
            for _ in range(3):
                await loop.sock_recv(sock, 1024)
                clock.passed_s += 3000
                watcher.keep()
                await loop.sock_recv(sock, 1024)
            assert not watching.done()
            clock.passed_s += 3700
            return await watching

    ended = asyncio.run(asyncio.wait_for(scene(), 20))
    assert ended.trouble is None
    assert ended.sent >= 3
