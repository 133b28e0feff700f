"""What the reflector's control thread tells of each session, whatever other sessions begin."""

from collections.abc import Iterator

import msgspec
import pytest

from podbench.wire import columns
from podbench_agent.probes.reflector.loop import Reflector
from podbench_agent.probes.reflector.process import _Control, _Request, open_socket
from podbench_agent.probes.reflector.rules import Rules
from podbench_agent.probes.reflector.sessions import LOG_ROW, Session

PEER = ("127.0.0.1", 40_000)


class Bench:
    """A reflector without its answering thread, and its control."""

    def __init__(self) -> None:
        self.sock = open_socket("127.0.0.1", 0)
        self.reflector = Reflector(self.sock, Rules(), 0)
        self._control = _Control(self.reflector, self.sock)
        self.tables: dict[str, bytes] = {}

    def ask(self, **request: tuple[int, ...]) -> dict[str, object]:
        """Carries out one request; its facts."""
        body = msgspec.msgpack.encode(_Request(**request))
        result = self._control.handle(body)
        self.tables = result.tables
        return dict(result.facts)


@pytest.fixture
def bench() -> Iterator[Bench]:
    """One on the loopback."""
    made = Bench()
    yield made
    made.sock.close()


def test_counters_begin_with_the_session_that_is_collected(bench: Bench) -> None:
    """A session admitted in another's middle (the canary's) does not hide what came before."""
    bench.ask(admit=(7,))
    bench.reflector.counters.answered += 3
    bench.ask(admit=(8,))
    bench.reflector.counters.answered += 2

    assert bench.ask()["answered"] == 2
    assert bench.ask(collect=(7,))["answered"] == 5
    assert bench.ask(collect=(8,))["answered"] == 2


def test_of_the_clock_is_kept_what_an_open_session_needs(bench: Bench) -> None:
    """However many come and go beside it, and no longer than it stays open."""
    readings = bench.reflector.clock._mono_ns
    bench.ask(admit=(7,))
    first = readings[0]
    for _ in range(3):
        bench.ask(admit=(8,))
        bench.ask(collect=(8,))
    assert readings[0] == first
    bench.ask(collect=(7,))
    bench.ask(admit=(8,))
    assert len(readings) == 1


@pytest.mark.parametrize(("ssid", "stepped"), [(7, True), (8, False)])
def test_steps_of_the_clock_are_the_sessions_that_were_open(
    bench: Bench, ssid: int, stepped: bool
) -> None:
    """One that begins after the step has nothing to do with it."""
    bench.ask(admit=(7,))
    clock = bench.reflector.clock
    clock._offset_ns[:] = [each - 10**9 for each in clock._offset_ns]
    bench.ask(admit=(8,))
    session = Session(PEER, ssid, logged=True)
    session.log += LOG_ROW.pack(0, 1, 2, 64)
    bench.reflector.sessions[PEER, ssid] = session

    bench.ask(collect=(ssid,))

    assert columns.unpack(bench.tables["reflections"])["clock_step"].tolist() == [stepped]
