"""Every probe's fate and times, against a simulated path whose truth is known per packet."""

import errno
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from support import stamp_path
from support.stamp_path import Fate

from podbench.store.schemas import LATENCY
from podbench.wire import copies, fates, replies
from podbench.wire.columns import Table

Rows = dict[str, Any]
"""A resolved table; tests use its columns as plain or masked arrays as they come."""

KEY = b"0123456789abcdef"


def _of(sender: Table, log: Table | None, counters: dict[str, int] | None = None) -> Rows:
    return dict(fates.resolve(sender, log, counters))


def _resolved(faults: list[Fate], *, log: bool = True, ports: int = 2) -> Rows:
    walk = stamp_path.walk(faults, ports=ports)
    return _of(replies.gather(walk.sent, walk.arrivals), walk.log if log else None)


def _repeated(log: Table, rows: int) -> Rows:
    """The log with its first rows once more at its end."""
    n = len(log["seq"])
    return {
        name: np.ma.masked_array(column[np.arange(n + rows) % n]) for name, column in log.items()
    }


def _plain(n: int) -> list[Fate]:
    return [Fate() for _ in range(n)]


def test_columns_are_those_of_the_schema() -> None:
    """Resolving gives every latency column but those only the caller knows, and no other."""
    given_by_caller = {
        "run_id", "block", "round", "arm", "mode", "path", "family", "src", "dst", "phase",
    }  # fmt: skip

    assert set(_resolved(_plain(4))) == set(LATENCY.names) - given_by_caller


@pytest.mark.parametrize("log", [True, False])
def test_parts_add_up_to_the_whole(log: bool) -> None:
    """Network, reflector and own host are told apart and add up to the nanosecond."""
    rows = _resolved(_plain(20), log=log)

    assert rows["status"].tolist() == ["ok"] * 20
    assert rows["rtt_kernel_ns"].tolist() == [10_000] * 20
    assert rows["reflector_ns"].tolist() == [20_000] * 20
    assert rows["host_ns"].tolist() == [30_000] * 20
    assert rows["rtt_app_ns"].tolist() == [60_000] * 20
    assert rows["late_ns"].tolist() == [5_000] * 20
    assert rows["ttl"].tolist() == [63] * 20
    assert rows["stamp_source"].tolist() == ["kernel"] * 20
    assert rows["valid"].all()


def test_log_tells_the_direction_of_every_loss() -> None:
    """With the reflector's log each loss has its direction, whatever else was lost around it."""
    faults = _plain(40)
    for k in (3, 4, 11, 38):
        faults[k].lost_forward = True
    for k in (5, 9, 12, 39):
        faults[k].lost_backward = True

    status = _resolved(faults)["status"]

    assert np.flatnonzero(status == "lost_forward").tolist() == [3, 4, 11, 38]
    assert np.flatnonzero(status == "lost_backward").tolist() == [5, 9, 12, 39]


def test_counter_tells_losses_of_one_direction() -> None:
    """Without the log a gap lost one way as a whole keeps its direction, a mixed one is unknown."""
    faults = _plain(30)
    faults[3].lost_forward = True
    faults[6].lost_backward = True
    faults[10].lost_forward = faults[11].lost_backward = True

    status = _resolved(faults, log=False, ports=1)["status"]

    assert status[3] == "lost_forward"
    assert status[6] == "lost_backward"
    assert status[10] == status[11] == "lost_unknown"
    assert (np.delete(status, [3, 6, 10, 11]) == "ok").all()


def test_a_copy_that_was_seen_hides_no_earlier_loss() -> None:
    """A copy of a request raises the counter; it is taken off before losses are told."""
    faults = _plain(30)
    faults[3].lost_forward = faults[20].lost_forward = True
    faults[12].copies_forward = 2
    faults[25].lost_backward = True

    status = _resolved(faults, log=False, ports=1)["status"]

    assert np.flatnonzero(status == "lost_forward").tolist() == [3, 20]
    assert np.flatnonzero(status == "lost_backward").tolist() == [25]


@pytest.mark.parametrize("share", [1, 3])
def test_requests_of_others_in_the_counter_leave_no_direction(share: int) -> None:
    """A counter that rises by more than this session sent is not its own."""
    faults = _plain(30)
    faults[3].lost_forward = faults[20].lost_backward = True
    walk = stamp_path.walk(faults, ports=1)
    others = (np.arange(len(walk.arrivals.flow)) >= 10) * share
    numbers = walk.arrivals.octets[:, :4].copy().view(">u4")[:, 0] + others
    walk.arrivals.octets[:, :4] = numbers.astype(">u4").view(np.uint8).reshape(-1, 4)

    status = _of(replies.gather(walk.sent, walk.arrivals), None)["status"]

    assert np.flatnonzero(status == "lost_unknown").tolist() == [3, 20]


def test_reordering_has_its_direction_across_source_ports() -> None:
    """A request overtaken on the way there, a reply on the way back, by another flow's each."""
    faults = _plain(20)
    faults[4].delay_forward = 1_500_000
    faults[11].delay_backward = 2_500_000

    rows = _resolved(faults, log=False, ports=4)

    assert np.flatnonzero(rows["reordered"]).tolist() == [4, 11]
    assert np.flatnonzero(rows["reordered_forward"]).tolist() == [4]
    assert np.flatnonzero(rows["reordered_backward"]).tolist() == [11]


def test_a_stepping_reflector_tells_no_direction_of_reordering() -> None:
    """Its clock went back by more than a round trip: order by that clock means nothing."""
    walk = stamp_path.walk(_plain(20), ports=1)
    back = (np.arange(21) >= 10) * 5_000_000
    for at in (4, 16):
        raw = walk.arrivals.octets[:, at : at + 8].copy().view(">u8")[:, 0].astype(np.uint64)
        moved = raw - (back.astype(np.uint64) << np.uint64(32)) // np.uint64(1_000_000_000)
        walk.arrivals.octets[:, at : at + 8] = moved.astype(">u8").view(np.uint8).reshape(-1, 8)

    rows = _of(replies.gather(walk.sent, walk.arrivals), None)

    assert not rows["reordered"].any()
    assert np.ma.getmaskarray(rows["reordered_forward"]).all()


def test_flush_probe_tells_losses_at_the_end() -> None:
    """The flush probe's reply bounds the last gap: losses at the very end have directions."""
    faults = _plain(10)
    faults[8].lost_backward = faults[9].lost_backward = True

    assert _resolved(faults, log=False, ports=1)["status"][-2:].tolist() == ["lost_backward"] * 2


def test_loss_without_any_reply_is_unknown() -> None:
    """Nothing came back and no log could be had: the direction is not guessed."""
    walk = stamp_path.walk(_plain(6))
    nothing = replies.Arrivals(
        flow=np.zeros(0, np.int64),
        octets=np.zeros((0, replies.OPEN_STORED_BYTES), np.uint8),
        length=np.zeros(0, np.int64),
        t4_ns=np.zeros(0, np.int64),
        received_mono_ns=np.zeros(0, np.int64),
    )

    rows = _of(replies.gather(walk.sent, nothing), None)

    assert rows["status"].tolist() == ["lost_unknown"] * 6
    assert np.ma.getmaskarray(rows["rtt_app_ns"]).all()


def test_log_with_holes_gives_unknown() -> None:
    """A flow whose log misses reflector counters (a replaced reflector) tells no directions."""
    faults = _plain(10)
    faults[4].lost_backward = True
    walk = stamp_path.walk(faults, ports=1)
    log = {name: np.delete(column, 2) for name, column in walk.log.items()}

    rows = _of(replies.gather(walk.sent, walk.arrivals), log)

    assert rows["status"][4] == "lost_unknown"


@pytest.mark.parametrize("log", [True, False])
def test_duplicates_have_their_direction(log: bool) -> None:
    """A copy made on the way there is answered apart, one made on the way back is not."""
    faults = _plain(12)
    faults[2].copies_forward = 1
    faults[5].copies_backward = 2
    faults[7].copies_forward = faults[7].copies_backward = 1

    rows = _resolved(faults, log=log, ports=1)

    assert rows["duplicates"].tolist() == [0, 0, 1, 0, 0, 2, 0, 3, 0, 0, 0, 0]
    assert rows["duplicates_forward"].tolist() == [0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert rows["duplicates_backward"].tolist() == [0, 0, 0, 0, 0, 2, 0, 2, 0, 0, 0, 0]
    assert (rows["status"] == "ok").all()
    assert rows["rtt_kernel_ns"].count() == 12


def test_reordering_has_its_extent() -> None:
    """A probe overtaken by three others is reordered with extent 3 (RFC 4737 section 4.2)."""
    faults = _plain(10)
    faults[4].delay_backward = 3_500_000

    rows = _resolved(faults, ports=1)

    assert np.flatnonzero(rows["reordered"]).tolist() == [4]
    assert rows["reorder_extent"][4] == 3
    assert rows["reorder_extent"].count() == 1


def test_reordering_of_rfc_4737_example() -> None:
    """Arrivals 1 2 3 7 8 9 10 4 5 6 11: extents 4, 5 and 6 (RFC 4737 section 4.2.3)."""
    reordered, extent = copies.reordering(np.array([1, 2, 3, 7, 8, 9, 10, 4, 5, 6, 11]))

    assert np.flatnonzero(reordered).tolist() == [7, 8, 9]
    assert extent[7:10].tolist() == [4, 5, 6]


def test_reply_after_the_timeout_is_late() -> None:
    """A reply after 2 s is late and has no times: a loss is undefined, never a large number."""
    faults = _plain(8)
    faults[3].delay_forward = 2_100_000_000

    rows = _resolved(faults)

    assert rows["status"][3] == "late"
    assert np.ma.getmaskarray(rows["rtt_kernel_ns"])[3]
    assert rows["rtt_kernel_ns"].count() == 7


def test_changed_reply_is_corrupted() -> None:
    """A reply whose echo does not fit what was sent is corrupted, not ok and not lost."""
    faults = _plain(6)
    faults[2].corrupt = True

    assert np.flatnonzero(_resolved(faults)["status"] == "corrupted").tolist() == [2]


def test_failed_hmac_is_corrupted() -> None:
    """In authenticated mode one flipped bit makes that very probe corrupted."""
    faults = _plain(6)
    faults[4].corrupt = True
    walk = stamp_path.walk(faults, key=KEY)

    rows = _of(replies.gather(walk.sent, walk.arrivals, KEY), walk.log)

    assert rows["status"].tolist() == ["ok"] * 4 + ["corrupted"] + ["ok"]
    assert rows["rtt_kernel_ns"].count() == 5


def test_wrong_key_makes_everything_corrupted() -> None:
    """Replies under another key are not believed."""
    walk = stamp_path.walk(_plain(4), key=KEY)

    rows = _of(replies.gather(walk.sent, walk.arrivals, b"another key here"), None)

    assert (rows["status"] == "corrupted").all()


def _sender(n: int = 10, **changes: np.ndarray[tuple[int], np.dtype[Any]]) -> Table:
    walk = stamp_path.walk(_plain(n))
    return replies.gather(walk.sent, walk.arrivals) | changes


def test_missing_kernel_stamp_is_doubt_not_zero() -> None:
    """A probe without its transmit stamp keeps its app RTT, has no kernel RTT and is not valid."""
    sender = _sender()
    sender["t1_ns"] = np.ma.MaskedArray(sender["t1_ns"], mask=np.arange(10) == 3)

    rows = _of(sender, None)

    assert np.flatnonzero(~rows["valid"]).tolist() == [3]
    assert rows["invalid_reason"][3] == "kernel stamp missing"
    assert np.ma.getmaskarray(rows["rtt_kernel_ns"])[3]
    assert rows["rtt_app_ns"][3] == 60_000


def test_log_stamp_wins_over_follow_up() -> None:
    """T3 of the log is taken where both are there."""
    walk = stamp_path.walk(_plain(6))
    log = walk.log | {"t3_ns": np.asarray(walk.log["t3_ns"], np.int64) + 7}

    rows = _of(replies.gather(walk.sent, walk.arrivals), log)

    assert (rows["reflector_ns"] == 20_007).all()


def test_peer_without_kernel_egress_stamps_is_labelled_user() -> None:
    """Without Follow-Up Telemetry and log, T3 is the clock read in the reply, and says so."""
    walk = stamp_path.walk(_plain(6), follow_up=False)

    rows = _of(replies.gather(walk.sent, walk.arrivals), None)

    assert rows["stamp_source"].tolist() == ["user"] * 6
    assert (rows["reflector_ns"] == 17_000).all()


def test_clock_step_voids_the_probes_it_hit() -> None:
    """Rows marked by the clock watch are invalid with that reason."""
    rows = _of(_sender(clock_step=np.arange(10) < 2), None)

    assert rows["invalid_reason"][:2].tolist() == ["sender's clock stepped"] * 2
    assert rows["valid"][2:].all()


def test_own_buffer_drops_void_losses_only() -> None:
    """With own receive-buffer drops losses are not the network's; what arrived stays valid."""
    faults = _plain(10)
    faults[4].lost_backward = True
    walk = stamp_path.walk(faults)
    sender = replies.gather(walk.sent, walk.arrivals)
    sender["rx_drops"] = np.full(10, 2)

    rows = _of(sender, walk.log)

    assert np.flatnonzero(~rows["valid"]).tolist() == [4]


def test_reflector_drops_void_forward_losses() -> None:
    """With receive-buffer drops at the reflector a missing request is not the network's loss."""
    faults = _plain(10)
    faults[4].lost_forward = faults[5].lost_backward = True
    walk = stamp_path.walk(faults)

    rows = _of(replies.gather(walk.sent, walk.arrivals), walk.log, {"rx_drops": 1})

    assert np.flatnonzero(~rows["valid"]).tolist() == [4]


@pytest.mark.parametrize(
    ("counter", "column", "row"),
    [
        ("rate_limited", "own_drops_refused", 4),
        ("rx_drops", "own_drops_buffer", 4),
        ("send_failed", "own_drops_unsent", 8),
    ],
)
def test_what_the_reflector_dropped_itself_is_not_the_networks(
    counter: str, column: str, row: int
) -> None:
    """By its counters in a run, by its own word to the sender otherwise; each its own way."""
    faults = _plain(12)
    faults[4].lost_forward = faults[8].lost_backward = True
    walk = stamp_path.walk(faults, ports=1)
    sender = replies.gather(walk.sent, walk.arrivals)

    by_log = _of(sender, walk.log, {counter: 1})
    by_word = _of(sender | {column: np.ma.MaskedArray(np.ones(12, np.int64))}, None)

    for found in (by_log, by_word):
        assert not found["valid"][row]
        assert found["valid"][12 - row]


@pytest.mark.parametrize(("late", "valid"), [(10, True), (30, False)])
def test_session_off_its_schedule_is_invalid(late: int, valid: bool) -> None:
    """The lower 95 % bound of the late share decides: 1 % late is fine, 3 % of 1,000 is not."""
    sender = _sender(1000)
    behind = np.where(np.arange(1000) < late, 600_000, 0)
    sender["intended_mono_ns"] = np.asarray(sender["intended_mono_ns"], np.int64) - behind

    rows = _of(sender, None)

    assert rows["valid"].all() == valid
    assert rows["rtt_kernel_ns"].count() == 1000


def test_starved_sender_voids_the_stretches_it_hit() -> None:
    """Rows sent while the sender waited or was throttled are invalid, their path's time is kept."""
    k = np.arange(10)
    rows = _of(_sender(waited=k < 4, throttled=k < 2), None)

    assert rows["invalid_reason"].tolist() == (
        [fates.SENDER_THROTTLED] * 2 + [fates.SENDER_WAITED] * 2 + [None] * 6
    )
    assert rows["rtt_kernel_ns"].count() == 10


@pytest.mark.parametrize(
    ("counters", "reason"),
    [
        ({"watched_ns": 1000, "waited_ns": 201}, fates.REFLECTOR_WAITED),
        ({"watched_ns": 1000, "waited_ns": 200}, None),
        ({"watched_ns": 1000, "throttled_ns": 1}, fates.REFLECTOR_THROTTLED),
        ({}, None),
    ],
)
def test_starved_reflector_voids_the_session(counters: dict[str, int], reason: str | None) -> None:
    """The reflector's waits are known for the session as a whole."""
    rows = _of(_sender(), None, counters)

    assert rows["invalid_reason"].tolist() == [reason] * 10


def test_what_concerns_the_path_comes_first() -> None:
    """A reason that voids the path's latency is never hidden behind one that does not."""
    rows = _of(_sender(waited=np.ones(10, bool), clock_step=np.arange(10) < 3), None)

    assert rows["invalid_reason"][:3].tolist() == ["sender's clock stepped"] * 3
    assert set(rows["invalid_reason"][3:].tolist()) <= set(fates.HOST_REASONS)


def test_refused_request_is_corrupted_not_lost() -> None:
    """A request that came with a wrong HMAC is in the log as refused: damaged, not lost."""
    faults = _plain(10)
    faults[4].lost_forward = faults[6].lost_forward = True
    walk = stamp_path.walk(faults)
    log = _repeated(walk.log, rows=1)
    log["refused"] = np.arange(len(log["seq"])) == len(log["seq"]) - 1
    log["session_id"][-1], log["seq"][-1] = 100 + 4 % 2, 4 // 2
    log["reflector_seq"][-1] = np.ma.masked

    rows = _of(replies.gather(walk.sent, walk.arrivals), log)

    assert rows["status"][4] == "corrupted"
    assert rows["status"][6] == "lost_forward"
    assert (np.delete(rows["status"], [4, 6]) == "ok").all()


def test_forged_refusals_change_no_answered_probe() -> None:
    """What a stranger makes the reflector refuse is believed of lost probes only."""
    faults = _plain(10)
    faults[4].lost_backward = True
    walk = stamp_path.walk(faults)
    log = _repeated(walk.log, rows=len(walk.log["seq"]))
    log["refused"] = np.arange(len(log["seq"])) >= len(walk.log["seq"])

    rows = _of(replies.gather(walk.sent, walk.arrivals), log)

    assert rows["status"].tolist() == ["ok"] * 4 + ["lost_backward"] + ["ok"] * 5


def test_probe_that_never_left_is_told() -> None:
    """A failed send call is an invalid row with its reason, not a loss of the network's."""
    walk = stamp_path.walk([Fate(lost_forward=k == 3) for k in range(200)])
    walk.sent.sent_mono_ns[3] = 0

    rows = _of(replies.gather(walk.sent, walk.arrivals), walk.log)

    assert rows["invalid_reason"][3] == "send call failed"

    walk.sent.send_errno[3] = errno.EMSGSIZE
    rows = _of(replies.gather(walk.sent, walk.arrivals), walk.log)

    assert rows["invalid_reason"][3] == "send call failed: EMSGSIZE (Message too long)"
    assert np.ma.getmaskarray(rows["late_ns"])[3]


def test_wilson_bound_known_values() -> None:
    """The one-sided 95 % Wilson bound is the lower end of the two-sided 90 % interval."""
    for hits, n in ((0, 100), (3, 100), (30, 1000), (100, 100)):
        wanted = binomtest(hits, n).proportion_ci(0.90, method="wilson").low
        assert fates.wilson_lower(hits, n) == pytest.approx(wanted, abs=1e-5)
    assert fates.wilson_lower(0, 0) == 0.0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_random_faults_are_all_told_right(seed: int, ports: int) -> None:
    """Whatever the mix of faults, every single packet gets the fate that was injected."""
    rng = random.Random(seed)
    faults = [
        Fate(
            lost_forward=rng.random() < 0.1,
            lost_backward=rng.random() < 0.1,
            copies_forward=int(rng.random() < 0.05),
            copies_backward=int(rng.random() < 0.05),
            delay_forward=rng.choice([0, 0, 0, 2_500_000]),
        )
        for _ in range(120)
    ]
    for fate in faults:
        fate.lost_backward &= not fate.lost_forward

    rows = _resolved(faults, ports=ports)

    wanted = [
        "lost_forward" if f.lost_forward else "lost_backward" if f.lost_backward else "ok"
        for f in faults
    ]
    assert rows["status"].tolist() == wanted
    there = np.array([w == "ok" for w in wanted])
    copies = np.array([f.copies_forward for f in faults])
    assert (rows["duplicates_forward"][there] == copies[there]).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_counter_never_tells_a_wrong_direction(seed: int) -> None:
    """Without the log a direction may be unknown, but of in-order packets none is told wrong."""
    rng = random.Random(seed)
    faults = [Fate(lost_forward=rng.random() < 0.1) for _ in range(100)]
    for fate in faults:
        fate.lost_backward = not fate.lost_forward and rng.random() < 0.1

    status = _resolved(faults, log=False, ports=1)["status"]

    for fate, told in zip(faults, status, strict=True):
        truth = "lost_forward" if fate.lost_forward else "lost_backward"
        lost = fate.lost_forward or fate.lost_backward
        assert told in ({truth, "lost_unknown"} if lost else {"ok"})


def test_counter_doubts_a_gap_when_a_request_came_late() -> None:
    """A request overtaken and then lost on the way back is not called a forward loss."""
    faults = _plain(10)
    faults[3].delay_forward, faults[3].lost_backward = 1_500_000, True

    assert _resolved(faults, log=False, ports=1)["status"][3] == "lost_unknown"
    assert _resolved(faults, log=True, ports=1)["status"][3] == "lost_backward"
