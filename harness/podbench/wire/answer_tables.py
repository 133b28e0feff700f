"""Which tables and columns an answer may carry, with the range of each; used by `answers` only.

A column that is not named here is left out, so that a newer agent's does no harm; one that is named
and missing, of another kind or out of range makes the answer a malformed one.
"""

import math
from collections.abc import Mapping

import msgspec
import numpy as np

from podbench.model.errors import RemoteProtocolError
from podbench.wire import messages
from podbench.wire.columns import Column, Table
from podbench.wire.replies import STAMP_SOURCES

STAMP_NS = (0, 2**62)
"""A time in ns: until the year 2116."""
SPAN_NS = (-(2**62), 2**62)
COUNT = (0, 2**62)
SLACK_S = 60
"""By which a schedule may span more than twice what was asked: random gaps add up."""


class _Col(msgspec.Struct, frozen=True):
    """What a column holds: `i` integers, `f` floats, `b` truth values, within these bounds."""

    kind: str
    low: float = 0
    high: float = 1
    needed: bool = True
    gaps: bool = False
    """Whether values may be missing."""


def _ints(low: int, high: int) -> _Col:
    return _Col("i", low, high)


def _gaps(column: _Col) -> _Col:
    return msgspec.structs.replace(column, gaps=True)


def _optional(column: _Col) -> _Col:
    return msgspec.structs.replace(column, needed=False)


FLAG = _Col("b")
SSID, PORT, SEQUENCE = _ints(0, 65535), _ints(0, 65535), _ints(0, 2**32 - 1)
CODE = _ints(0, len(STAMP_SOURCES) - 1)

SENDER: Mapping[str, _Col] = {
    "session_id": SSID,
    "src_port": PORT,
    "seq": SEQUENCE,
    "intended_mono_ns": _ints(*SPAN_NS),
    **dict.fromkeys(("sent_mono_ns", "received_mono_ns"), _gaps(_ints(*SPAN_NS))),
    **dict.fromkeys(
        ("sent_wall_ns", "t1_ns", "t2_ns", "t3_ns", "t3_user_ns", "t4_ns"), _gaps(_ints(*STAMP_NS))
    ),
    "reflector_seq": _gaps(_ints(*COUNT)),
    **dict.fromkeys(
        (
            *("counter_seq", "final_counter"),
            *("own_drops_buffer", "own_drops_refused", "own_drops_unsent"),
        ),
        _optional(_gaps(_ints(*COUNT))),
    ),
    "strange_replies": _optional(_ints(*COUNT)),
    "send_errno": _optional(_ints(0, 4095)),
    "stateful": _optional(FLAG),
    **dict.fromkeys(("reordered_forward", "reordered_backward"), _optional(_gaps(FLAG))),
    **dict.fromkeys(("corrupted", "reordered", "clock_step"), FLAG),
    **dict.fromkeys(("waited", "throttled"), _Col("b", needed=False)),
    **dict.fromkeys(("duplicates", "duplicates_forward", "duplicates_backward"), _ints(0, 255)),
    "ttl": _gaps(_ints(0, 255)),
    "reorder_extent": _gaps(_ints(0, 2**31 - 1)),
    "stamp_code": CODE,
    **dict.fromkeys(("rx_drops", "period_ns", "timeout_ns"), _ints(*COUNT)),
}
"""wire/replies.py says what each is."""

REFLECTIONS: Mapping[str, _Col] = {
    "session_id": SSID,
    "src_port": PORT,
    "seq": SEQUENCE,
    "reflector_seq": _gaps(_ints(*COUNT)),
    **dict.fromkeys(("t2_ns", "t3_ns"), _gaps(_ints(*STAMP_NS))),
    "ttl": _gaps(_ints(0, 255)),
    "stamp_code": CODE,
    "clock_step": FLAG,
    "refused": _Col("b", needed=False),
}
"""wire/fates.py says what each is."""

_CPU = ("user", "system", "irq", "softirq", "steal", "iowait", "idle")
_RATIO = _Col("f", -1.0, 2.0, gaps=True)
"""Rounding of ticks takes a share a little outside 0 to 1."""
HOST: Mapping[str, _Col] = {
    "mono_ns": _gaps(_ints(*SPAN_NS)),
    "wall_ns": _gaps(_ints(*STAMP_NS)),
    "interval_ns": _gaps(_ints(*COUNT)),
    "cores": _gaps(_ints(0, 65536)),
    **dict.fromkeys([f"cpu_{name}_ratio" for name in _CPU], _RATIO),
    **dict.fromkeys(("cpu_busiest_ratio", "cpu_busiest_softirq_ratio"), _RATIO),
    **dict.fromkeys(
        [f"softnet_{n}" for n in ("processed", "dropped", "squeezed")], _gaps(_ints(*COUNT))
    ),
    **dict.fromkeys(
        (
            *("cfs_throttled_ns", "runqueue_wait_ns", "psi_cpu_some_ns"),
            *("udp_rcvbuf_errors", "udp_in_csum_errors", "tcp_retransmits", "ip_frag_creates"),
            "conntrack_count",
        ),
        _gaps(_ints(*SPAN_NS)),
    ),
}
"""docs/data.md says what each is (`host`)."""


def checked(command: messages.Command, tables: dict[str, Table]) -> dict[str, Table]:
    """The tables of an answer, with the columns that its command can have.

    Raises:
        RemoteProtocolError: One is missing, is not asked for, or holds what it cannot hold.
    """
    wanted = _wanted(command)
    if set(tables) != set(wanted):
        odd = ", ".join(sorted({str(name)[:40] for name in set(tables) ^ set(wanted)})[:3])
        raise RemoteProtocolError(f"its tables are not those that were asked for: {odd!r}")
    found = {name: _table(name, tables[name], spec) for name, spec in wanted.items()}
    match command:
        case messages.Measure():
            for session in command.sessions:
                _check_session(session, found[f"latency/{session.session_id}"])
        case messages.CollectReflections():
            ours = np.isin(found["reflections"]["session_id"], command.session_ids)
            if not bool(np.all(ours)):
                raise RemoteProtocolError("reflections of sessions that were not asked for")
        case _:
            pass
    return found


def _wanted(command: messages.Command) -> dict[str, Mapping[str, _Col]]:
    match command:
        case messages.Measure():
            return {f"latency/{each.session_id}": SENDER for each in command.sessions}
        case messages.CollectReflections():
            return {"reflections": REFLECTIONS}
        case messages.CollectCounters():
            return {"host": HOST}
        case messages.RunProbe(part="run"):
            whole = _optional(_gaps(_ints(*SPAN_NS)))
            return {command.name: dict.fromkeys(command.columns, whole)}
        case _:
            return {}


def _table(name: str, table: Table, spec: Mapping[str, _Col]) -> Table:
    if len({len(values) for values in table.values()}) > 1:
        raise RemoteProtocolError(f"{name} has columns of unequal length")
    found: Table = {}
    for column, wanted in spec.items():
        values = table.get(column)
        if values is None:
            if wanted.needed:
                raise RemoteProtocolError(f"{name} has no column {column}")
            continue
        found[column] = _column(f"{name}: {column}", values, wanted)
    return found


def _column(what: str, values: Column, wanted: _Col) -> Column:
    if np.ma.isMaskedArray(values) and not wanted.gaps:
        if np.ma.getmaskarray(values).any():
            raise RemoteProtocolError(f"{what} has values missing")
        values = np.ma.getdata(values)
    _check_range(what, values, wanted)
    return values


def _check_range(what: str, values: Column, wanted: _Col) -> None:
    kind = "i" if values.dtype.kind == "u" else values.dtype.kind
    if kind != wanted.kind:
        raise RemoteProtocolError(f"{what} is of dtype {values.dtype}")
    if kind == "b":
        return
    present = np.ma.compressed(values) if np.ma.isMaskedArray(values) else values
    if not len(present):
        return
    low, high = float(present.min()), float(present.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RemoteProtocolError(f"{what} holds a number that is not finite")
    if low < wanted.low or high > wanted.high:
        raise RemoteProtocolError(f"{what} is out of range: {low:g} to {high:g}")


def _check_session(session: messages.LatencySession, table: Table) -> None:
    """Not more rows than probes were asked for, of its own SSIDs, in the time that it took."""
    name, rows = f"latency/{session.session_id}", len(table["seq"])
    most = round(session.rate_pps * session.duration_s) + session.source_ports
    if not 0 < rows <= most:
        raise RemoteProtocolError(
            f"{name} has {rows} rows, and at most {most} probes were asked for"
        )
    ssids = table["session_id"]
    last = session.session_id + session.source_ports - 1
    if int(ssids.min()) < session.session_id or int(ssids.max()) > last:
        raise RemoteProtocolError(f"{name} holds rows of other sessions")
    due = table["intended_mono_ns"]
    span_s = (float(due.max()) - float(due.min())) / 1e9
    if span_s > 2 * session.duration_s + SLACK_S:
        raise RemoteProtocolError(f"{name} spans {span_s:.0f} s of {session.duration_s:g}")
