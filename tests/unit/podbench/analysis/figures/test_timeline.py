"""The run as it went: what has no time of its own takes no place in it."""

import pandas as pd

from podbench.analysis.figures import timeline

SECOND_NS = 1_000_000_000


def _host(*mono_ns: int | None) -> pd.DataFrame:
    n = len(mono_ns)
    return pd.DataFrame(
        {
            "node": ["n1"] * n,
            "mono_ns": pd.array(mono_ns, dtype="Int64"),
            "cpu_user_ratio": [0.5] * n,
            "cpu_system_ratio": [0.1] * n,
            "cpu_irq_ratio": [0.0] * n,
            "cpu_softirq_ratio": [0.1] * n,
            "cpu_steal_ratio": [0.2] * n,
        }
    )


def test_a_tick_of_unknown_time_has_no_second() -> None:
    """An agent whose clock was never matched: its other ticks stay."""
    found = timeline.points({}, _host(3 * SECOND_NS, None, 5 * SECOND_NS), SECOND_NS)
    assert [point.time_s for point in found] == [2.0, 4.0]
    assert [point.cpu_steal_ratio for point in found] == [0.2, 0.2]
    assert timeline.points({}, _host(None, None), 0) == ()


def test_time_zero_without_visits_or_probes_is_the_first_known_tick() -> None:
    """And 0 where there is none."""
    assert timeline.zero_mono_ns([], lambda: None, _host(None, 7, 9)) == 7
    assert timeline.zero_mono_ns([], lambda: None, _host(None)) == 0
    assert timeline.zero_mono_ns([], lambda: None, None) == 0
