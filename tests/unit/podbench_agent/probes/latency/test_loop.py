"""The sender's loop over loopback, in this process."""

import numpy as np
import pytest

from podbench.wire import fates
from podbench.wire.messages import LatencySession
from podbench.wire.replies import STAMP_SOURCES
from podbench_agent.errqueue import ErrorQueue
from podbench_agent.probes.latency.loop import Sender
from podbench_agent.probes.reflector.process import ReflectorWorker
from podbench_agent.probes.reflector.rules import Rules


def test_stamps_that_no_kernel_takes_are_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every probe is answered, its send call stands in for the stamp, and no queue is emptied."""

    def collect(self: ErrorQueue, fd: int) -> list[tuple[int, int]]:
        raise AssertionError("there is nothing to collect")

    reflector = ReflectorWorker("127.0.0.1", 0, Rules(provisioned_only=False))
    reflector.start()
    monkeypatch.setattr(ErrorQueue, "collect", collect)
    session = LatencySession(
        session_id=1,
        peer_address="127.0.0.1",
        peer_port=reflector.port,
        source_ports=2,
        rate_pps=1000,
        duration_s=0.4,
    )
    try:
        sender = Sender(None, STAMP_SOURCES.index("user"))
        rows = fates.resolve(sender.run((session,))[1], None)
    finally:
        reflector.stop()
    assert set(rows["status"]) == {"ok"}
    assert len(rows["status"]) == 400
    assert set(rows["stamp_source"]) == {"user"}
    assert np.ma.count(rows["rtt_kernel_ns"]) == 400
