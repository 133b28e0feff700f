"""The latency probe's sender as the agent sees it: a process that runs STAMP sessions on demand.

`ProbeWorker` is the agent's side, `serve` the child's; the loop itself is latency/loop.py.
"""

import socket
import sys
from collections.abc import Sequence

import msgspec

from podbench.model.errors import ProbeError
from podbench.wire import columns
from podbench.wire.messages import LatencySession
from podbench.wire.replies import STAMP_SOURCES
from podbench_agent import timestamping
from podbench_agent.probes import child
from podbench_agent.probes.latency.loop import Sender

ANSWER_SLACK_S = 10.0
"""What set-up and handing over may take beyond schedule, drain and flush."""


class _Setup(msgspec.Struct, frozen=True):
    key: bytes | None = None


_encode = msgspec.msgpack.encode
_decode_sessions = msgspec.msgpack.Decoder(tuple[LatencySession, ...]).decode


def serve(channel: socket.socket) -> None:
    """The child: set up once, then one measurement per request."""
    body = child.read_frame(channel)
    if body is None:
        return
    setup = msgspec.msgpack.decode(body, type=_Setup)
    timestamping.sharpen_timers()
    timestamping.shorten_slice()
    # Held open for good: it keeps the kernel's receive stamps switched on between measurements, so
    # that the first packets of the next one have theirs.
    keeper = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    timestamping.enable(keeper, stamp_code=None, receive=True)
    stamp_code = timestamping.choose_source()
    ready = child.Result(facts={"stamp_source": STAMP_SOURCES[stamp_code]})
    channel.sendall(child.frame(_encode(ready)))
    sender = Sender(setup.key, stamp_code)

    def measure(request: bytes) -> child.Result:
        tables = sender.run(_decode_sessions(request))
        return child.Result(
            tables={str(name): columns.pack(table) for name, table in tables.items()},
            facts=dict(sender.facts),
        )

    child.answer(channel, measure)


class ProbeWorker:
    """Runs latency sessions in a process of its own.

    `start` it before other threads exist, so that it can be forked. A worker that dies is replaced
    at the next request.

    Args:
        key: HMAC key: with it all packets are authenticated.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self._child = child.Child(__name__, serve, _encode(_Setup(key)))
        self.stamp_source = "unknown"
        """Where this machine stamps what it sends: `kernel`, `sched` or `user`."""
        self.facts: dict[str, int | float | str] = {}
        """Of the last measurement: `cpu_us_per_probe`, `send_errors`, `refused` (ICMP errors),
        `csum_errors` (of the whole network namespace), `rx_drops` (own receive buffers), `replies`
        (every datagram that came back), `strange_replies` (of these, no STAMP reply to a probe)."""

    @property
    def pid(self) -> int | None:
        """The worker's process id."""
        return self._child.pid

    def start(self) -> None:
        """Starts the process and tries the stamp sources.

        Raises:
            ProbeError: It cannot be started.
        """
        self.stamp_source = str(self._child.start().facts["stamp_source"])

    async def measure(self, sessions: Sequence[LatencySession]) -> dict[int, columns.Table]:
        """Runs these sessions at the same time, from the first probe to the end of the drain.

        Returns:
            Each session's sender table (wire/replies.py), by its `session_id`.

        Raises:
            ProbeError: A session cannot be carried out, or the worker died or hung.
        """
        if not sessions:
            raise ProbeError("no sessions to measure")
        longest_s = max(s.duration_s + 2 * s.timeout_s for s in sessions)
        result = await self._child.ask(_encode(tuple(sessions)), longest_s + ANSWER_SLACK_S)
        self.facts = result.facts
        return {int(name): table for name, table in child.unpack_tables(result).items()}

    def stop(self) -> None:
        """Ends the process."""
        self._child.stop()


if __name__ == "__main__":
    child.run_child(serve, socket.socket(fileno=int(sys.argv[1])))
