"""What iperf3's JSON says, as rows of `samples/throughput`; pure, checked on what 3.12 wrote.

Both ends write one document (`-J`). The sender's gives rows with direction `sender`, the receiver's
own gives rows with direction `receiver`: loss and jitter come from nowhere else. iperf3 -J exits 0
whatever happened, so an `error` in either document, or one that is cut short or missing, makes the
transfer a failed one: exactly one row, with the reason.

Intervals not meant for any figure are marked `omitted`:
- the first `omit_s` (slow start), and what iperf3 itself omitted (-O);
- the first one after -O: 3.12 counts its `seconds` from before the end of the omission, its bytes
  from after it, so that the rate comes out too low;
- a remainder shorter than half the reporting interval (the receiver's drain, below 1 ms).
"""

from statistics import median
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt

from podbench.model import plain
from podbench.wire.columns import Column, Table

SMALL_BYTES = 64
"""UDP payload of the transfers that test how many packets a path carries."""
SHORT_SHARE = 0.5
"""Of the reporting interval: shorter ones are remainders."""
MISCOUNTED_SHARE = 0.1
"""`seconds` may differ from end - start by this much before the interval is taken as miscounted."""


MOST_CHARS = 32 << 20
"""One end's document: 15 minutes of 8 streams at 10 intervals a second, far beyond any run."""
MOST_ROWS = 500_000

_Count = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
"""iperf3 takes packets that were only late out of a later interval's loss: below zero is no error.
A count beyond this is one that wrapped."""
_Seconds = Annotated[float, msgspec.Meta(ge=-1.0, le=1e7)]
_Rate = Annotated[float, msgspec.Meta(ge=0.0, le=1e15)]
_Percent = Annotated[float, msgspec.Meta(ge=0.0, le=1e6)]
_Size = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class _TestStart(msgspec.Struct, frozen=True):
    protocol: Annotated[str, msgspec.Meta(pattern="^(TCP|UDP|tcp|udp)$")]
    num_streams: Annotated[int, msgspec.Meta(ge=1, le=128)]
    blksize: _Size


class _Start(msgspec.Struct, frozen=True):
    version: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    tcp_mss_default: _Size | None = None
    test_start: _TestStart | None = None


class _Stream(msgspec.Struct, frozen=True):
    start: _Seconds
    end: _Seconds
    seconds: Annotated[float, msgspec.Meta(ge=0.0, le=1e7)]
    bits_per_second: _Rate | None = None
    omitted: bool = False
    retransmits: _Count | None = None
    rtt: _Count | None = None
    snd_cwnd: _Count | None = None
    lost_packets: _Count | None = None
    packets: _Count | None = None
    jitter_ms: Annotated[float, msgspec.Meta(ge=0.0, le=1e9)] | None = None


class _Interval(msgspec.Struct, frozen=True):
    streams: Annotated[tuple[_Stream, ...], msgspec.Meta(max_length=128)]


class _Cpu(msgspec.Struct, frozen=True):
    host_total: _Percent | None = None
    remote_total: _Percent | None = None


class _Sum(msgspec.Struct, frozen=True):
    retransmits: int | None = None
    lost_packets: int | None = None
    packets: int | None = None


class _End(msgspec.Struct, frozen=True):
    cpu_utilization_percent: _Cpu = _Cpu()
    sum: _Sum = _Sum()
    sum_sent: _Sum = _Sum()


class _Document(msgspec.Struct, frozen=True):
    start: _Start
    intervals: tuple[_Interval, ...] = ()
    end: _End = _End()
    error: str | None = None

    @property
    def rows(self) -> int:
        """Intervals of streams."""
        return sum(len(interval.streams) for interval in self.intervals)


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row; the names are those of store/schemas.py, null where the transfer does not say."""

    protocol: str | None = None
    streams: int | None = None
    stream: int | None = None
    packet_bytes: int | None = None
    direction: str | None = None
    interval_start_s: float | None = None
    interval_s: float | None = None
    bits_per_second: float | None = None
    retransmits: int | None = None
    rtt_us: int | None = None
    snd_cwnd_bytes: int | None = None
    lost_packets: int | None = None
    packets: int | None = None
    jitter_ms: float | None = None
    cpu_local_ratio: float | None = None
    cpu_remote_ratio: float | None = None
    omitted: bool | None = None
    status: str
    reason: str | None = None


_DTYPES: dict[str, npt.DTypeLike] = {
    "streams": np.int16,
    "stream": np.int16,
    "packet_bytes": np.int32,
    "retransmits": np.int64,
    "rtt_us": np.int64,
    "snd_cwnd_bytes": np.int64,
    "lost_packets": np.int64,
    "packets": np.int64,
    "interval_start_s": np.float64,
    "interval_s": np.float64,
    "bits_per_second": np.float64,
    "jitter_ms": np.float64,
    "cpu_local_ratio": np.float64,
    "cpu_remote_ratio": np.float64,
    "omitted": np.bool_,
}
"""The columns that are not text."""

_decoder = msgspec.json.Decoder(_Document)


def _read(text: str) -> tuple[_Document | None, str | None]:
    """The document and what is wrong with it."""
    if not text.strip():
        return None, "it wrote nothing"
    if len(text) > MOST_CHARS:
        return None, f"its JSON is larger than {MOST_CHARS >> 20} MiB"
    try:
        document = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return None, f"its JSON is damaged: {error}"
    if document.error is not None:
        return document, plain.line(document.error) or "it gives an error without words"
    return document, _unfit(document)


def _unfit(document: _Document) -> str | None:
    """Why a document without an error has no rows all the same."""
    streams = document.start.test_start.num_streams if document.start.test_start else None
    if document.rows > MOST_ROWS:
        return f"it reports {document.rows} intervals, more than a transfer has"
    for interval in document.intervals:
        if streams is not None and len(interval.streams) > streams:
            return f"an interval has {len(interval.streams)} streams, and {streams} were started"
    return None


def error_of(text: str) -> str | None:
    """What a document says went wrong, or that it is not a whole one; None if all is well."""
    return _read(text)[1]


def _version(document: _Document) -> str | None:
    """`3.12`, as the program that wrote it calls itself; None if it does not say."""
    version = document.start.version
    return plain.line(version.removeprefix("iperf "), 64) if version else None


PACED_BY_TIMER = ((3, 2), (3, 18))
"""From the first of these versions to below the second, UDP is sent in bursts by a timer."""


def has_pacing_timer(version: str | None) -> bool:
    """Whether this version sends UDP by `--pacing-timer`; later ones sleep to each next send."""
    try:
        parts = tuple(int(part) for part in (version or "").split(".")[:2])
    except ValueError:
        return False
    return PACED_BY_TIMER[0] <= parts < PACED_BY_TIMER[1]


def version_of(text: str) -> str | None:
    """The version of the iperf3 that wrote a document; None where it does not say."""
    document, _ = _read(text)
    return None if document is None else _version(document)


def lost_and_retransmitted(
    client_json: str | None, server_json: str | None
) -> tuple[int | None, int | None]:
    """UDP datagrams that the receiver missed, and TCP segments that the sender sent again.

    Of the whole transfer; None where the document does not say.
    """
    client, server = _read(client_json or "")[0], _read(server_json or "")[0]
    retransmits = None if client is None else client.end.sum_sent.retransmits
    lost = None if server is None else server.end.sum.lost_packets
    return lost, retransmits


def unequal_versions(client: str | None, server: str | None) -> str | None:
    """Why two ends cannot be compared: unequal or unknown versions; None if they match."""
    if client is None or server is None:
        return f"iperf3 is missing at the {'sender' if client is None else 'receiver'}"
    if client != server:
        return f"iperf3 {client} at the sender, {server} at the receiver: their figures differ"
    return None


def rows(
    client_json: str, server_json: str | None, *, omit_s: float = 0.3, reason: str | None = None
) -> Table:
    """The rows of one transfer: per interval and stream, of the sender and of the receiver.

    A failed transfer is exactly one row; `reason` is what is known of it from elsewhere (a program
    was missing, or was ended), and comes first.
    """
    client, trouble = _read(client_json)
    server, far_trouble = _read(server_json or "")
    reason = plain.line(reason) if reason else None
    reasons = [reason] if reason else []
    # The agent repeats what the document says; once is enough.
    if trouble and trouble not in (reason or ""):
        reasons.append(f"sender: {trouble}")
    if far_trouble and not trouble and far_trouble not in (reason or ""):
        reasons.append(f"receiver: {far_trouble}")
    if client is not None and server is not None and not reasons:
        if not (client.intervals and server.intervals):
            reasons = ["no interval was reported"]
        elif not (client.rows and server.rows):
            reasons = ["no interval of any stream was reported"]
        elif differs := unequal_versions(_version(client), _version(server)):
            reasons = [differs]
        else:
            near = _rows_of(client, "sender", client, omit_s)
            return _table(near + _rows_of(server, "receiver", client, omit_s))
    return _table([_failed(client or server, "; ".join(reasons))])


def failure(table: Table) -> str | None:
    """Why the transfer of these rows failed; null where it did not."""
    if table["status"][0] == "ok":
        return None
    return str(np.ma.filled(table["reason"], "")[0]) or "the transfer failed"


def _failed(document: _Document | None, reason: str) -> _Row:
    test = document.start.test_start if document else None
    if test is None:
        return _Row(status="failed", reason=reason)
    protocol = test.protocol.lower()
    return _Row(protocol=protocol, streams=test.num_streams, status="failed", reason=reason)


def _ratio(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def _packet_bytes(document: _Document) -> int | None:
    test = document.start.test_start
    if test is not None and test.protocol == "UDP":
        return test.blksize
    return document.start.tcp_mss_default or None


def _is_omitted(stream: _Stream, usual_s: float, omit_s: float) -> bool:
    miscounted = abs(stream.end - stream.start - stream.seconds) > MISCOUNTED_SHARE * stream.seconds
    remainder = stream.seconds < SHORT_SHARE * usual_s
    return stream.omitted or miscounted or remainder or stream.start < omit_s


def _rows_of(document: _Document, direction: str, client: _Document, omit_s: float) -> list[_Row]:
    """What holds for the whole transfer comes from the client: the server knows no MSS."""
    test = client.start.test_start
    cpu = client.end.cpu_utilization_percent
    usual_s = median(s.seconds for i in document.intervals for s in i.streams)
    return [
        _Row(
            protocol=test.protocol.lower() if test else None,
            streams=test.num_streams if test else None,
            stream=number,
            packet_bytes=_packet_bytes(client),
            direction=direction,
            interval_start_s=stream.start,
            interval_s=stream.seconds,
            bits_per_second=stream.bits_per_second,
            retransmits=stream.retransmits,
            rtt_us=stream.rtt,
            snd_cwnd_bytes=stream.snd_cwnd,
            lost_packets=stream.lost_packets if direction == "receiver" else None,
            packets=stream.packets,
            jitter_ms=stream.jitter_ms if direction == "receiver" else None,
            cpu_local_ratio=_ratio(cpu.host_total),
            cpu_remote_ratio=_ratio(cpu.remote_total),
            omitted=_is_omitted(stream, usual_s, omit_s),
            status="ok",
        )
        for interval in document.intervals
        for number, stream in enumerate(interval.streams, start=1)
    ]


def _column(values: list[object], name: str) -> Column:
    mask = np.array([value is None for value in values], dtype=bool)
    dtype = np.dtype(_DTYPES.get(name, np.str_))
    filler: object = "" if dtype.kind == "U" else 0
    plain = np.array([filler if value is None else value for value in values], dtype=dtype)
    return np.ma.MaskedArray(plain, mask=mask)


def _table(table_rows: list[_Row]) -> Table:
    return {
        name: _column([getattr(row, name) for row in table_rows], name)
        for name in _Row.__struct_fields__
    }
