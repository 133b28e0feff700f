"""What the measuring process suffers: stretches of waiting and throttling, packets thrown away."""

import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podbench_agent import procfs
from podbench_agent.probes import ownwatch
from podbench_agent.probes.ownwatch import OwnWatch, Unread


def _watched(*readings: tuple[int, int, int]) -> OwnWatch:
    watch = OwnWatch()
    for mono_ns, waited_ns, throttled_ns in readings:
        watch._mono_ns.append(mono_ns)
        watch._waited_ns.append((waited_ns,))
        watch._throttled_ns.append(throttled_ns)
    return watch


def test_two_threads_that_wait_at_once_have_not_waited_twice_as_long() -> None:
    """The one that waited most counts, stretch by stretch; one watched later counts from there."""
    ms = 1_000_000
    watch = _watched((0, 0, 0), (100 * ms, 0, 0), (200 * ms, 0, 0), (300 * ms, 0, 0))
    watch._waited_ns = [(0,), (15 * ms, 15 * ms), (30 * ms, 36 * ms), (30 * ms, 36 * ms)]
    waited, _ = watch.starved(np.array([50, 150, 250]) * ms)
    assert waited.tolist() == [False, True, False]
    assert watch.totals() == (300 * ms, 36 * ms, 0)


def test_nobody_watched_has_waited_for_nothing() -> None:
    """A reflector may be asked before its answering thread has begun."""
    watch = OwnWatch()
    watch.note()
    watch.note()
    assert watch.totals()[1] == 0
    assert not watch.starved(np.array(watch._mono_ns))[0].any()


def test_only_the_stretch_that_starved_is_marked() -> None:
    """21 ms of waiting in 100 ms mark that stretch, 19 ms do not; throttling counts from 1 ns."""
    ms = 1_000_000
    watch = _watched(
        (0, 0, 0), (100 * ms, 21 * ms, 0), (200 * ms, 40 * ms, 1), (300 * ms, 40 * ms, 1)
    )
    waited, throttled = watch.starved(np.array([5, 50, 105, 199, 200, 299, 400]) * ms)
    assert waited.tolist() == [True, True, False, False, False, False, False]
    assert throttled.tolist() == [False, False, True, True, False, False, False]
    assert watch.totals() == (300 * ms, 40 * ms, 1)


def test_throttling_is_read_from_the_control_group(tmp_path: Path) -> None:
    """cpu.stat is read again at each note; a probe that left while it rose is marked."""
    stat = tmp_path / "cpu.stat"
    stat.write_text("nr_throttled 0\nthrottled_usec 0\n")
    watch = OwnWatch()
    watch._group = ownwatch._Reading(str(stat), procfs.throttled_ns)
    watch.watch_this_thread()
    watch.note()
    stat.write_text("nr_throttled 1\nthrottled_usec 7\n")
    watch.note()
    watch.close()

    _, throttled = watch.starved(np.array(watch._mono_ns))

    assert throttled.tolist() == [False, True, True]
    assert watch.totals()[2] == 7000


def test_readings_do_not_pile_up_where_only_totals_count() -> None:
    """A reflector that runs for months keeps two."""
    watch = _watched(*((k, 2 * k, 3 * k) for k in range(9)))
    watch.thin()
    assert watch.totals() == (8, 16, 24)
    assert len(watch._mono_ns) == 2


def test_nothing_is_marked_before_a_second_reading() -> None:
    """One reading spans no time."""
    waited, throttled = _watched((5, 5, 5)).starved(np.arange(3))
    assert not waited.any()
    assert not throttled.any()


def test_a_thread_that_ended_keeps_what_it_had_waited() -> None:
    """Its file can be read no more; the total does not fall."""
    watch = OwnWatch()
    thread = threading.Thread(target=watch.watch_this_thread)
    thread.start()
    thread.join()
    before = watch._waited_ns[-1]
    watch.note()
    watch.close()
    assert watch._waited_ns[-1][0] >= before[0]


@pytest.mark.parametrize(
    ("drops", "checksum", "buffer", "own"),
    [(0, 0, 0, 0), (5, 5, 0, 0), (5, 0, 5, 5), (7, 5, 2, 2), (3, 9, 0, 0), (3, 9, 3, 3)],
)
def test_wrong_checksums_are_not_full_buffers(
    drops: int, checksum: int, buffer: int, own: int
) -> None:
    """A socket's drops are both; the namespace's two counters tell them apart."""
    assert ownwatch.buffer_drops(drops, Unread(checksum, buffer)) == own


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_others_errors_never_hide_own_buffer_drops(
    own: int, wrong: int, others_wrong: int, others_full: int
) -> None:
    """With other sockets' errors in the counters the count may be too high, never too low."""
    counted = Unread(wrong + others_wrong, own + others_full)
    found = ownwatch.buffer_drops(own + wrong, counted)
    assert own <= found <= own + wrong
    if not others_wrong and not others_full:
        assert found == own


def test_both_families_are_counted() -> None:
    """Counters exist here and do not run backwards."""
    before = ownwatch.unread()
    since = ownwatch.unread().since(before)
    assert since.checksum >= 0
    assert since.buffer >= 0
