"""What became of each probe: its times, its fate, and whether the instrument may be believed.

Input is a sender table (wire/replies.py) and, where the reflector's log was fetched, the
reflections table; output is the instrument's share of the latency columns. Pure functions.

Reflections table, one row per request answered; stamps are Unix time in ns:
    session_id src_port seq reflector_seq ttl
    t2_ns t3_ns                       kernel stamps, masked where missing
    stamp_code clock_step             source of T3 (wire/replies.py); the reflector's clock jumped
    refused                           came with an HMAC that does not fit: not answered, and only
                                      session_id, src_port and seq are known, as it claims

The parts of a round trip add up exactly, in integers:
    rtt_app_ns = rtt_kernel_ns + reflector_ns + host_ns
    rtt_kernel = (T4 - T1) - (T3 - T2)      reflector = T3 - T2      host = app - (T4 - T1)

Direction of a loss, best source first: the reflector's log (in it: lost on the way back; not in
it: on the way there); else the reflector's counter in the replies (wire/directions.py); else
unknown.
"""

import errno
import os
from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from podbench.wire import directions
from podbench.wire.columns import Column, Table
from podbench.wire.copies import Bools, Ints
from podbench.wire.replies import STAMP_SOURCES, USER_CLOCK

LATE_SHARE_LIMIT = 0.02
"""A session whose lower bound of the late share exceeds this did not run on its schedule."""
_Z_95 = 1.6449
"""One-sided 95 % normal quantile."""

WAIT_SHARE_LIMIT = 0.2
"""A process that waits for a CPU a fifth of the time tells its machine's queue, not the path."""

OFF_SCHEDULE = "more than 2 % of the session's probes left late"
SENDER_WAITED = "sender waited for a CPU over 20 % of the time"
SENDER_THROTTLED = "sender's control group was throttled"
REFLECTOR_WAITED = "reflector waited for a CPU over 20 % of the time"
REFLECTOR_THROTTLED = "reflector's control group was throttled"
HOST_REASONS = (
    SENDER_THROTTLED,
    REFLECTOR_THROTTLED,
    OFF_SCHEDULE,
    SENDER_WAITED,
    REFLECTOR_WAITED,
)
"""Reasons that void what a program felt. Kernel path latency and losses of such rows are true."""

SEND_FAILED = "send call failed"
OUT_OF_ORDER = "stamps out of order"
"""The parts of the round trip cannot be: a clock stepped between two stamps of one end."""
STAMP_MISSING = "kernel stamp missing"
STEPPED = "clock stepped"
"""How the reasons end that say a wall clock was set: `sender's ...`, `reflector's ...`."""

OK, FORWARD, BACKWARD, UNKNOWN, LATE, CORRUPTED = range(6)
_STATUS = np.array(["ok", "lost_forward", "lost_backward", "lost_unknown", "late", "corrupted"])


def _plain(column: Column, fill: int = 0) -> Ints:
    return np.asarray(np.ma.filled(column, fill), dtype=np.int64)


def _present(*columns: Column) -> Bools:
    present = np.ones(len(columns[0]), dtype=bool)
    for column in columns:
        present &= ~np.ma.getmaskarray(column)
    return present


def _masked(values: npt.NDArray[np.generic], present: Bools) -> Column:
    return np.ma.MaskedArray(values, mask=~present)


def wilson_lower(hits: int, n: int) -> float:
    """Lower end of the one-sided 95 % Wilson score interval of a share (Wilson 1927)."""
    if n == 0:
        return 0.0
    p, z2 = hits / n, _Z_95**2
    centre = p + z2 / (2 * n)
    spread = _Z_95 * float(np.sqrt(p * (1 - p) / n + z2 / (4 * n * n)))
    return max(0.0, (centre - spread) / (1 + z2 / n))


def _counter_fates(sender: Table, answered: Bools) -> npt.NDArray[np.int8]:
    """By the reflector's counter in the replies (wire/directions.py)."""
    fate = np.full(len(answered), UNKNOWN, dtype=np.int8)
    if not {"counter_seq", "final_counter", "stateful"} <= set(sender):
        fate[answered] = OK
        return fate
    seq, counter = _plain(sender["seq"]), _plain(sender["counter_seq"], -1)
    final = np.ma.MaskedArray(sender["final_counter"])
    places, flows = [], []
    for ssid in np.unique(sender["session_id"]):
        mine = np.flatnonzero(sender["session_id"] == ssid)
        got = mine[answered[mine]]
        last = final[mine[0]]
        end = None if last is np.ma.masked else int(last)
        places.append(mine)
        flows.append(directions.Flow(len(mine), seq[got], counter[got], end))
    stateful = bool(np.asarray(sender["stateful"]).any())
    for mine, found in zip(places, directions.of_session(flows, stateful=stateful), strict=True):
        fate[mine] = found
    return fate


def _log_keys(table: Table, number: str) -> Ints:
    return _plain(table["session_id"]) << 40 | _plain(table[number], (1 << 40) - 1)


def _without_refused(log: Table | None) -> tuple[Table | None, Ints]:
    """The log of answered requests, and the keys (`_log_keys`) of the refused ones."""
    if log is None or "refused" not in log:
        return log, np.zeros(0, dtype=np.int64)
    refused = np.asarray(log["refused"], dtype=bool)
    answered = {name: column[~refused] for name, column in log.items()}
    return answered, _log_keys({name: log[name][refused] for name in ("session_id", "seq")}, "seq")


def _log_fates(sender: Table, log: Table, answered: Bools) -> npt.NDArray[np.int8]:
    """By the reflector's log; a flow whose log has holes in its counter is left unknown."""
    reached = np.isin(_log_keys(sender, "seq"), _log_keys(log, "seq"))
    fate = np.where(reached, BACKWARD, FORWARD).astype(np.int8)
    ssids = _plain(log["session_id"])
    for ssid in np.unique(ssids):
        numbers = np.sort(_plain(log["reflector_seq"])[ssids == ssid])
        if not np.array_equal(numbers, np.arange(len(numbers))):
            fate[_plain(sender["session_id"]) == ssid] = UNKNOWN
    fate[answered] = OK
    return fate


class _Egress(msgspec.Struct, frozen=True):
    """T3 of each probe's reply; arrays (n,)."""

    t3_ns: Ints
    present: Bools
    code: Ints
    stepped: Bools


def _egress(sender: Table, log: Table | None) -> _Egress:
    """T3, best source first: the reflector's log, Follow-Up Telemetry, a clock read before sending.

    The clock read is taken for a whole session only, where the peer tells no kernel stamp at all.
    """
    t3, present = _plain(sender["t3_ns"]), _present(sender["t3_ns"])
    code = np.zeros(len(t3), dtype=np.int64)
    stepped = np.zeros(len(t3), dtype=bool)
    if log is not None and len(log["seq"]):
        keys = _log_keys(log, "reflector_seq")
        order = np.argsort(keys)
        wanted = _log_keys(sender, "reflector_seq")
        at = order[np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)]
        hit = (keys[at] == wanted) & _present(sender["reflector_seq"])
        stepped = hit & np.asarray(log["clock_step"], dtype=bool)[at]
        stamped = hit & _present(log["t3_ns"])[at]
        present &= ~hit | _present(log["t2_ns"])[at]
        stamped &= _present(log["t2_ns"])[at]
        t3 = np.where(stamped, _plain(log["t3_ns"])[at], t3)
        code = np.where(stamped, _plain(log["stamp_code"])[at], code)
        present |= stamped
    if not present.any() and _present(sender["t3_user_ns"]).any():
        t3, present = _plain(sender["t3_user_ns"]), _present(sender["t3_user_ns"])
        code[:] = USER_CLOCK
    return _Egress(t3, present, code, stepped)


def _times(sender: Table, egress: _Egress) -> Table:
    """The parts of each round trip. Without kernel transmit stamps the send call stands in."""
    user = _plain(sender["stamp_code"]) == USER_CLOCK
    t1 = np.where(user, _plain(sender["sent_wall_ns"]), _plain(sender["t1_ns"]))
    has_t1 = _present(sender["sent_wall_ns"]) & (user | _present(sender["t1_ns"]))
    four = has_t1 & egress.present & _present(sender["t2_ns"], sender["t4_ns"])
    outside = _plain(sender["t4_ns"]) - t1
    residence = egress.t3_ns - _plain(sender["t2_ns"])
    app = _plain(sender["received_mono_ns"]) - _plain(sender["sent_mono_ns"])
    return {
        "rtt_kernel_ns": _masked(outside - residence, four),
        "rtt_app_ns": _masked(app, _present(sender["received_mono_ns"])),
        "reflector_ns": _masked(residence, four),
        "host_ns": _masked(app - outside, four),
    }


def _late_ns(sender: Table) -> Column:
    """Actual less intended send time, masked where the probe never left."""
    sent = _plain(sender["sent_mono_ns"])
    return _masked(sent - _plain(sender["intended_mono_ns"]), _present(sender["sent_mono_ns"]))


def _off_schedule(sender: Table) -> Bools:
    """All rows, if the session left its schedule: more than T/2 late, or unsent, too often."""
    over = _plain(_late_ns(sender)) > _plain(sender["period_ns"]) // 2
    over |= ~_present(sender["sent_mono_ns"])
    return np.full(len(over), wilson_lower(int(over.sum()), len(over)) > LATE_SHARE_LIMIT)


def _reasons(checks: list[tuple[Bools, str]], n: int) -> Column:
    """The first reason that applies to each row, masked where none does."""
    width = max((len(text) for _, text in checks), default=1)
    reason = np.zeros(n, dtype=f"<U{width}")
    for rows, text in reversed(checks):
        reason[rows] = text
    return np.ma.MaskedArray(reason, mask=reason == "")


def _fates(sender: Table, log: Table | None) -> npt.NDArray[np.int8]:
    """(n,) index into the status names."""
    answered = _present(sender["received_mono_ns"])
    fate = _counter_fates(sender, answered) if log is None else _log_fates(sender, log, answered)
    both = _present(sender["t1_ns"], sender["t4_ns"])
    taken = np.where(
        both,
        _plain(sender["t4_ns"]) - _plain(sender["t1_ns"]),
        _plain(sender["received_mono_ns"]) - _plain(sender["sent_mono_ns"]),
    )
    fate[answered & (taken > _plain(sender["timeout_ns"]))] = LATE
    fate[np.asarray(sender["corrupted"], dtype=bool)] = CORRUPTED
    fate[~_present(sender["sent_mono_ns"])] = UNKNOWN
    return fate


def _flag(table: Table, name: str) -> Bools:
    """A column of flags, all false where the sender knows none of that name."""
    column = table.get(name)
    n = len(table["seq"])
    return np.zeros(n, dtype=bool) if column is None else np.asarray(column, dtype=bool)


def _host_doubts(sender: Table, counters: Mapping[str, int]) -> list[tuple[Bools, str]]:
    """What the two ends' machines did to their own processes."""
    everything = np.ones(len(sender["seq"]), dtype=bool)
    waited = counters.get("waited_ns", 0) > WAIT_SHARE_LIMIT * counters.get("watched_ns", 0)
    throttled = counters.get("throttled_ns", 0) > 0
    found = {
        SENDER_THROTTLED: _flag(sender, "throttled"),
        REFLECTOR_THROTTLED: everything & throttled,
        OFF_SCHEDULE: _off_schedule(sender),
        SENDER_WAITED: _flag(sender, "waited"),
        REFLECTOR_WAITED: everything & waited,
    }
    return [(found[reason], reason) for reason in HOST_REASONS]


def own_drops(sender: Table, counters: Mapping[str, int] | None) -> dict[str, int]:
    """What the reflector itself did not answer: from its counters, else as it told the sender."""
    if counters is not None:
        refused = counters.get("rate_limited", 0) + counters.get("table_full", 0)
        return {
            "buffer": counters.get("rx_drops", 0),
            "refused": refused,
            "unsent": counters.get("send_failed", 0),
        }
    names = {"buffer": "own_drops_buffer", "refused": "own_drops_refused"}
    names["unsent"] = "own_drops_unsent"
    return {
        kind: int(np.ma.filled(sender[name], 0).max(initial=0)) if name in sender else 0
        for kind, name in names.items()
    }


def tells_drops(sender: Table) -> bool:
    """Whether the reflector told the sender what it dropped itself."""
    return "own_drops_buffer" in sender and bool(_present(sender["own_drops_buffer"]).any())


def on_path(rows: Table) -> Bools:
    """Rows whose kernel times and fate are the path's: valid, or void for the host's sake only."""
    valid: Bools = np.asarray(rows["valid"], dtype=bool)
    return valid | np.isin(np.ma.filled(rows["invalid_reason"], ""), HOST_REASONS)


def lacks_stamp(rows: Table) -> Bools:
    """Rows without a kernel time, whose time in user space holds all the same."""
    lacking: Bools = np.ma.filled(rows["invalid_reason"], "") == STAMP_MISSING
    return lacking


def _unsent(sender: Table) -> list[tuple[Bools, str]]:
    """Probes whose send call failed, with what the kernel said."""
    number = _plain(sender["send_errno"]) if "send_errno" in sender else _plain(sender["seq"]) * 0
    unsent = ~_present(sender["sent_mono_ns"])
    known = [int(each) for each in np.unique(number[unsent]) if each]
    return [
        *((unsent & (number == each), send_failed(each)) for each in known),
        (unsent, SEND_FAILED),
    ]


def send_failed(number: int) -> str:
    """The reason of a probe that the kernel refused to send: `send call failed: EMSGSIZE (...)`."""
    return f"{SEND_FAILED}: {errno_name(number)}"


def errno_name(number: int) -> str:
    """An error number's name and meaning."""
    return f"{errno.errorcode.get(number, number)} ({os.strerror(number)})"


def _doubts(
    sender: Table,
    times: Table,
    egress: _Egress,
    fate: npt.NDArray[np.int8],
    counters: Mapping[str, int] | None,
) -> list[tuple[Bools, str]]:
    """Everything that makes a sample doubtful, gravest first."""
    drops = own_drops(sender, counters)
    back = np.isin(fate, (BACKWARD, UNKNOWN))
    there = np.isin(fate, (FORWARD, UNKNOWN))
    stamped = _present(times["rtt_kernel_ns"])
    negative = (_plain(times["rtt_kernel_ns"]) < 0) | (_plain(times["reflector_ns"]) < 0)
    return [
        *_unsent(sender),
        (np.asarray(sender["clock_step"], dtype=bool), f"sender's {STEPPED}"),
        (egress.stepped, f"reflector's {STEPPED}"),
        (stamped & negative, OUT_OF_ORDER),
        ((fate == OK) & ~stamped, STAMP_MISSING),
        (back & (_plain(sender["rx_drops"]) > 0), "sender's receive buffer dropped packets"),
        (there & (drops["buffer"] > 0), "reflector's receive buffer dropped packets"),
        (there & (drops["refused"] > 0), "reflector refused requests"),
        (back & (drops["unsent"] > 0), "reflector could not send replies"),
        *_host_doubts(sender, counters or {}),
    ]


def resolve(
    sender: Table, reflections: Table | None, counters: Mapping[str, int] | None = None
) -> Table:
    """The latency columns the instrument knows, one row per probe, in the order sent.

    A sample in doubt keeps its row and values: `valid` is false and `invalid_reason` says why. A
    reply after the timeout is `late` and, like a loss, has no times (RFC 2681: undefined).

    Args:
        sender: One session's sender table.
        reflections: The reflector's log of this session's SSIDs; null if it could not be had.
        counters: The reflector's counters over the session, null where nobody could ask; then
            what it told the sender at the end stands in. `rx_drops` (receive buffer),
            `rate_limited` and `table_full` look like forward losses, `send_failed` like backward
            ones; none is the network's. `waited_ns` and `throttled_ns` of `watched_ns` its process
            could not run.
    """
    reflections, refused = _without_refused(reflections)
    egress = _egress(sender, reflections)
    fate = _fates(sender, reflections)
    fate[(fate == FORWARD) & np.isin(_log_keys(sender, "seq"), refused)] = CORRUPTED
    fine = fate == OK
    times: Table = {
        name: np.ma.MaskedArray(column, mask=np.ma.getmaskarray(column) | ~fine)
        for name, column in _times(sender, egress).items()
    }
    doubts = _doubts(sender, times, egress, fate, counters)
    reason = _reasons(doubts, len(fate))
    kept = ("session_id", "src_port", "seq", "intended_mono_ns", "sent_wall_ns", "ttl")
    copies = (
        *("duplicates", "duplicates_forward", "duplicates_backward"),
        *("reordered", "reordered_forward", "reordered_backward"),
    )
    source = np.maximum(_plain(sender["stamp_code"]), egress.code)
    return {
        **{name: sender[name] for name in kept},
        **times,
        "late_ns": _late_ns(sender),
        "status": _STATUS[fate],
        **{name: sender[name] for name in copies if name in sender},
        "reorder_extent": sender["reorder_extent"],
        "stamp_source": np.array(STAMP_SOURCES)[source],
        "valid": np.ma.getmaskarray(reason).copy(),
        "invalid_reason": reason,
    }
