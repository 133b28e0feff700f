"""The sender's sockets: one flow per source port, two sockets per flow. Used by latency/loop.py.

A socket with transmit stamps waiting counts as readable, so a loop that waits for replies on it
would wake for its own sends. Therefore each flow has one socket that only sends and gathers
transmit stamps, and one that only receives: connected to the peer from the same port
(SO_REUSEPORT), and the kernel prefers a connected socket.
"""

import socket

from podbench.model.errors import ProbeError
from podbench.wire import buffers, stamp
from podbench.wire.messages import LatencySession
from podbench.wire.replies import USER_CLOCK
from podbench_agent import timestamping
from podbench_agent.endpoints import Endpoint, endpoint

MAX_PORTS = 256
"""Two sockets each: a session stays well under the usual limit of 1,024 open files."""
ALL = 1 << 62
"""More than a flow can send."""


class Flow:
    """One 4-tuple of a session.

    Attributes:
        index: Position among the session's source ports, from 0.
        key_base: Sequence number whose transmit stamp has OPT_ID counter 0.
        sent: Probes sent since then; the next one's sequence number is the sum of both. Written by
            the sending thread only.
        stamped: Of these, those whose transmit stamp was collected; ALL where none will come.
    """

    __slots__ = ("index", "key_base", "peer", "port", "rx", "sent", "stamped", "tx")

    def __init__(self, index: int, source: str, peer: Endpoint, dscp: int) -> None:
        self.index = index
        self.peer = peer
        self.key_base = 0
        self.sent = 0
        self.stamped = 0
        family = socket.AF_INET6 if ":" in source else socket.AF_INET
        self.tx = socket.socket(family, socket.SOCK_DGRAM)
        self.rx = socket.socket(family, socket.SOCK_DGRAM)
        # Bound before SO_REUSEPORT is set, so that the kernel picks a port nobody shares.
        self.tx.bind(endpoint(source, 0))
        self.port: int = self.tx.getsockname()[1]
        for sock in (self.tx, self.rx):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            buffers.widen(sock, timestamping.RECEIVE_BUFFER_BYTES)
        timestamping.refuse_everything(self.tx)
        timestamping.forbid_fragments(self.tx)
        self._set_dscp(family, dscp)
        self.rx.bind(endpoint(source, self.port))
        self.rx.connect(peer)
        timestamping.enable(self.rx, stamp_code=None, receive=True)
        self.rx.setblocking(False)  # noqa: FBT003  socket's own signature
        self.tx.setblocking(False)  # noqa: FBT003  socket's own signature

    def _set_dscp(self, family: int, dscp: int) -> None:
        if family == socket.AF_INET6:
            self.tx.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
        else:
            self.tx.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)

    def stamp_from_here(self, stamp_code: int) -> None:
        """Starts transmit stamps anew: the next probe sent has OPT_ID counter 0."""
        timestamping.enable(self.tx, stamp_code=stamp_code, receive=False)
        self.key_base += self.sent
        self.sent = 0
        self.stamped = ALL if stamp_code == USER_CLOCK else 0

    def close(self) -> None:
        """Closes both sockets."""
        self.tx.close()
        self.rx.close()


def check(session: LatencySession, *, authenticated: bool) -> str:
    """The own address towards the peer, if the path and this machine can carry the session.

    Raises:
        ProbeError: An option is out of range, there is no way to the peer, or a packet of this size
            does not fit the path; names the limit.
    """
    if not 1 <= session.source_ports <= MAX_PORTS:
        raise ProbeError(f"{session.source_ports} source ports: must be 1 to {MAX_PORTS}")
    if not 0 <= session.session_id <= 0x10000 - session.source_ports:
        raise ProbeError(f"session id {session.session_id}: SSIDs end at 65535")
    if not 0 <= session.dscp <= 63:
        raise ProbeError(f"DSCP {session.dscp}: must be 0 to 63")
    if not 1 <= session.peer_port <= 65_535:
        raise ProbeError(f"port {session.peer_port}: must be 1 to 65535")
    least = stamp.AUTH_BYTES if authenticated else stamp.BASE_BYTES
    source, limit = _towards(session.peer_address, session.peer_port)
    if not least <= session.udp_payload_bytes <= limit:
        raise ProbeError(
            f"size {session.udp_payload_bytes} octets: a STAMP packet has at least {least}, "
            f"and the path to {session.peer_address} takes at most {limit}"
        )
    return source


def _towards(peer: str, port: int) -> tuple[str, int]:
    """(own address the kernel would use, octets of UDP payload that fit the path)."""
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(endpoint(peer, port))
            source, scope = str(sock.getsockname()[0]), peer.partition("%")[2]
            # A link-local address means nothing without its interface, ours as little as theirs.
            source += f"%{scope}" if scope and "%" not in source else ""
            return source, timestamping.largest_payload(sock)
        except OSError as error:
            raise ProbeError(f"no way to {peer}: {error.strerror or error}") from error


class Flows:
    """All flows of one session; close them.

    Raises:
        ProbeError: The session cannot be carried out (`check`), or the machine has no sockets left.
    """

    def __init__(self, session: LatencySession, *, authenticated: bool) -> None:
        source = check(session, authenticated=authenticated)
        peer = endpoint(session.peer_address, session.peer_port)
        self.flows: list[Flow] = []
        try:
            for index in range(session.source_ports):
                self.flows.append(Flow(index, source, peer, session.dscp))
        except OSError as error:
            self.close()
            raise ProbeError(f"cannot open flow {len(self.flows)} to {peer[0]}: {error}") from error

    def close(self) -> None:
        """Closes all sockets."""
        for flow in self.flows:
            flow.close()
