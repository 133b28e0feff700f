"""Which rows tell what: the path, and what programs feel."""

import numpy as np
from support import synthetic

from podbench.analysis.samples import streams
from podbench.wire import fates


def test_a_session_off_its_schedule_still_tells_the_path() -> None:
    """Its kernel path latency is kept; what programs feel is left out; other doubts lose both."""
    table = synthetic.run(shape=synthetic.Shape(nodes=2, blocks=1)).latency
    assert table is not None
    table = table[table["status"] == "ok"].head(30).reset_index(drop=True)
    table["valid"] = [True] * 10 + [False] * 20
    table["invalid_reason"] = [None] * 10 + [fates.OFF_SCHEDULE] * 10 + ["clock stepped"] * 10
    table["intended_mono_ns"] = np.arange(30) * 1_000_000
    table["arm"], table["src"], table["dst"], table["round"] = "bgp/pod", "n1", "n2", 1
    found = streams.read(table)
    assert np.isfinite(found.kernel_ns).tolist() == [True] * 20 + [False] * 10
    assert np.isfinite(found.app_ns).tolist() == [True] * 10 + [False] * 20
    assert found.on_path.tolist() == [True] * 20 + [False] * 10
