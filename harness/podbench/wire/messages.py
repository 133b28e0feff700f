"""Commands to agents and their answers, defined once; encoded as MessagePack by msgspec.

One command goes to one agent and gets exactly one answer. An answer may carry column tables
(wire/columns.py); the transport cuts large ones into numbered batches and puts them together again.
Nothing here knows how messages travel: that is `transport`.
"""

from typing import Literal

import msgspec

from podbench.model.errors import RemoteProtocolError
from podbench.model.facts import Flow, NodeFacts, Route
from podbench.model.nodes import AgentId

MESSAGE_FORMAT = 1
"""Rises when a message changes its meaning; agents of another number are refused at the start."""


class AgentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Retained by the broker; the last will sets `online` to false."""

    agent: AgentId
    online: bool
    format: int = MESSAGE_FORMAT
    version: str = ""
    pid: int | None = None
    capabilities: dict[str, str | None] = {}
    """`stamp_source` (kernel, sched, user), `iperf3` (its version), `started` (which tells an agent
    from its successor) and the like; null: tried and absent."""


class LatencySession(msgspec.Struct, frozen=True, kw_only=True):
    """One group of STAMP sessions from one agent to one reflector: one SSID per source port.

    `session_id` is the first SSID; source port i uses `session_id + i`. The probes rotate over the
    ports.
    """

    session_id: int
    peer_address: str
    peer_port: int
    source_ports: int = 8
    rate_pps: float = 1000.0
    duration_s: float = 1.0
    udp_payload_bytes: int = 64
    """STAMP base packet 44 octets plus the Follow-Up Telemetry TLV of 20; larger is Extra Padding.
    """
    schedule: str = "periodic"
    spin: bool = False
    dscp: int = 0
    timeout_s: float = 2.0
    """A reply after this is `late` and counts as lost. The drain ends with the last reply, at most
    here."""


class Reflect(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Admit these SSIDs on the reflector and start their logs anew."""

    session_ids: tuple[int, ...]


class Measure(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Run these sessions at the same time; the answer's tables are `latency/<session_id>`."""

    sessions: tuple[LatencySession, ...]


class CollectReflections(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Hand over the reflector's log of these SSIDs (table `reflections`), then forget them."""

    session_ids: tuple[int, ...]


class ServeTransfer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Start a one-off iperf3 server on a free port; answered once it listens."""

    bind_address: str
    lifetime_s: float
    """The server is ended after this, whatever it is doing."""
    interval_s: float = 0.1
    """The receiver's own reporting interval: iperf3 does not take over the client's."""


class Transfer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Run one iperf3 client to a server; this agent is the sender."""

    peer_address: str
    peer_port: int
    bind_address: str
    protocol: str
    """`tcp` or `udp`."""
    streams: int = 1
    duration_s: int = 1
    interval_s: float = 0.1
    omit_s: int = 0
    """Passed as iperf3's -O: whole seconds."""
    packet_bytes: int | None = None
    """UDP payload octets (-l); null for TCP."""
    rate_bps: int | None = None
    """UDP target rate, null = unlimited."""
    congestion: str | None = "cubic"
    fq_rate_bps: int | None = None
    """TCP pace by the kernel (--fq-rate, SO_MAX_PACING_RATE); null: not paced."""
    total_bytes: int | None = None
    """Payload to send (-n) in place of `duration_s`: steps shorter than iperf3's whole seconds."""
    pacing_timer_us: int | None = None
    """Period of iperf3's own pacing timer for UDP; null: iperf3's default."""


class CollectTransfer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Hand over the JSON of the server on this port, ending it if it still runs."""

    port: int


class WatchLoad(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Measure busy CPU and interface traffic over a window that begins `start_after_s` from now.

    Answered after the window, with facts: `duration_s`, `cores`, `busy_cores`, `steal_cores`,
    `busiest_cpu_ratio`, `busy_method`, `start_mono_ns` and `rx_`/`tx_` `bytes` and `packets`.
    """

    start_after_s: float
    duration_s: float


class RunProbe(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One end of a pairwise probe, by its name (`podbench_agent.probes.pairwise`).

    `serve` is answered with the fact `port` once the far end listens, `run` with the table of that
    name once the near end is done, at most `lasts_s` later.
    """

    name: str
    part: Literal["serve", "run"]
    settings: dict[str, str | int | float] = {}
    columns: tuple[str, ...] = ()
    """Of the answer's table: whole numbers; others are left out."""
    lasts_s: float = 0.0


class StartCounters(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Sample the host's counters every `period_s` until told to stop."""

    node: str
    period_s: float = 0.1
    pids: tuple[int, ...] = ()
    """More processes, by the numbers this agent's /proc shows: what descends from them counts as
    the probes' for run-queue wait. This agent's own children always count."""


class CollectCounters(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Hand over the counter samples so far (table `host`) and go on, or stop."""

    stop: bool = False


class ReadFacts(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Read this agent's network namespace: devices, routes, neighbours (answer: `Facts`).

    A host-network agent's is its node's, a pod's its own.
    """

    node: str


class LookUp(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask the kernel for the route to an address (answer: `Found`).

    With `source`, a pod of this node, as for a packet that comes from it: policy rules count.
    """

    address: str
    source: str | None = None
    flow: Flow | None = None
    """Protocol, ports, mark and uid, where rules may select by them."""


class WatchPath(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Probe one path slowly for as long as a run lasts; one watch an agent (answer: `Watched`).

    Answered only when there is trouble, `EndWatch` comes or `lease_s` is over, so that next to
    nothing of it is on the control channel meanwhile. The peer's reflector has to admit the SSID
    first.
    """

    session_id: int
    peer_address: str
    peer_port: int
    rate_pps: float = 10.0
    answer_s: float = 1.0
    """A probe without an answer after this is lost."""
    window_s: float = 4.0
    lost_ratio: float = 0.5
    """This share of a window's probes lost is trouble."""
    delay_s: float | None = 0.1
    """Half of the answers within 2 s slower than this, and than `times` the watch's own baseline,
    is trouble; null: delay is not judged."""
    times: float = 10.0
    lease_s: float = 3600.0
    """So long after it began or the last `KeepWatch` it ends by itself: an orchestrator that was
    killed cannot end it."""


class KeepWatch(msgspec.Struct, frozen=True, tag=True):
    """The run lives: begins the watch's lease anew."""


class HoldWatch(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Send nothing on the watched path for so long; 0 goes on at once."""

    hold_s: float


class EndWatch(msgspec.Struct, frozen=True, tag=True):
    """End the watch: its own command is answered."""


class StartCapture(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Count what leaves by a device between these addresses, by outer header; one at a time.

    Takes the right to a packet socket (NET_RAW). Nothing but the count is kept of a packet.
    """

    device: str
    addresses: tuple[str, ...]


class CollectCapture(msgspec.Struct, frozen=True, tag=True):
    """Stop and hand over the count (answer: `Captured`)."""


class Stop(msgspec.Struct, frozen=True, tag=True):
    """End this agent."""


Command = (
    Reflect
    | Measure
    | CollectReflections
    | ServeTransfer
    | Transfer
    | CollectTransfer
    | WatchLoad
    | RunProbe
    | StartCounters
    | CollectCounters
    | ReadFacts
    | LookUp
    | WatchPath
    | KeepWatch
    | HoldWatch
    | EndWatch
    | StartCapture
    | CollectCapture
    | Stop
)


class Done(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The command was carried out.

    `facts` are small results: `port`, `stamp_source`, `cpu_us_per_probe`.
    """

    facts: dict[str, str | int | float | bool | None] = {}


class Ran(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A program ran to its end or was ended: `output` is its own JSON, kept raw."""

    program: str
    version: str
    exit_status: int
    output: str
    error: str | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What an agent read in its network namespace."""

    read: NodeFacts


class Found(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The kernel's answer to a route lookup; `type` `unreachable` is an answer."""

    route: Route


class CapturedPackets(msgspec.Struct, frozen=True, kw_only=True):
    """Packets alike: inner addresses, what wrapped them (`vxlan`, `ipip`, `plain`), VXLAN's VNI."""

    src: str
    dst: str
    encapsulation: str
    vni: int | None
    packets: int


class Captured(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What a capture saw leave. `dropped` above zero: it missed some, and proves nothing."""

    seen: tuple[CapturedPackets, ...]
    dropped: int


class Watched(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """How a watch ended. Round trips are the agent's own: send call to receive return."""

    trouble: str | None
    """What was wrong, in one clause; null: it was told to end, or its lease was over."""
    sent: int
    lost: int
    unjudged: int
    """Cut off by a hold, a stall of the sender, or the end."""
    stalls: int
    """How often the sender itself was late by half a second or more."""
    baseline_ns: int | None
    p50_ns: int | None
    p99_ns: int | None
    max_ns: int | None
    network_p50_ns: int | None = None
    """Less what both ends' programs kept it, by the kernel's stamps; this is what is judged."""
    own_wait_max_ns: int | None = None
    """The longest that an answer waited for the sender's CPU."""
    reflector_wait_max_ns: int | None = None
    """The longest that one waited for the reflector's CPU."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The command could not be carried out. `reason` is for a person and goes into the record."""

    reason: str
    retryable: bool = False


Answer = Done | Ran | Facts | Found | Captured | Watched | Failed


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One command on its way. Ids rise by one per orchestrator."""

    id: int
    command: Command
    format: int = MESSAGE_FORMAT
    have: tuple[int, ...] | None = None
    """Asked again after a broken connection: numbers of the answer's parts that came already.
    Null: the first time. The command is carried out once, whatever comes twice."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """What can be read of a request of any format: enough to refuse it."""

    id: int
    format: int = 0


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """One numbered part of an answer, from 0; `last` closes it and carries `answer`.

    `tables` are packed columns; a large one is cut, its pieces in successive parts under one name
    (wire/batches.py).
    """

    id: int
    number: int
    last: bool
    answer: Answer | None = None
    tables: dict[str, bytes] = {}


Message = Request | Response | AgentStatus

BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises of octets that are not what they should be; nested too deeply, the last."""

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(Request)
_envelopes = msgspec.msgpack.Decoder(Envelope)
_responses = msgspec.msgpack.Decoder(Response)
_statuses = msgspec.msgpack.Decoder(AgentStatus)


def encode(message: Message) -> bytes:
    """The message as MessagePack."""
    return _encoder.encode(message)


def decode_request(data: bytes) -> Request:
    """Reads a request.

    Raises:
        RemoteProtocolError: Not a request, or of another message format.
    """
    try:
        envelope = _envelopes.decode(data)
        if envelope.format == MESSAGE_FORMAT:
            return _requests.decode(data)
    except BROKEN as error:
        raise RemoteProtocolError(f"not a request: {error}") from error
    raise RemoteProtocolError(
        f"the orchestrator speaks message format {envelope.format}, this agent {MESSAGE_FORMAT}",
        advice="run agents and bench of the same version",
    )


def request_id(data: bytes) -> int | None:
    """The id of a request of any format, so that it can be refused; None without one."""
    try:
        return _envelopes.decode(data).id
    except BROKEN:
        return None


def decode_response(data: bytes) -> Response:
    """Reads one part of an answer.

    Raises:
        RemoteProtocolError: Not a response.
    """
    try:
        return _responses.decode(data)
    except BROKEN as error:
        raise RemoteProtocolError(f"not a response: {error}") from error


def decode_status(data: bytes) -> AgentStatus:
    """Reads an agent's status; another message format is told by its `format`.

    Raises:
        RemoteProtocolError: Not a status.
    """
    try:
        return _statuses.decode(data)
    except BROKEN as error:
        raise RemoteProtocolError(f"not an agent's status: {error}") from error
