"""Whom the reflector answers: the rules, and the gate that holds each request against them.

Safe on a network: no answer to another reflector (by its port, or by its packet's form), so that no
two can keep each other going whatever their ports; nor to those not provisioned, not allowed or not
authenticated, nor beyond a rate per source. All of it is counted. No sockets here.
"""

import ipaddress

import msgspec

from podbench.model.errors import ConfigError, RemoteProtocolError
from podbench.wire import stamp
from podbench_agent.probes.reflector.sessions import MAX_SESSIONS, REFUSED_KEPT, Counters, Refused

WELL_KNOWN_PORTS = frozenset({862, 8620})
"""Requests from these come from a reflector: STAMP's own port (RFC 8762) and our default."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a reflector answers."""

    key: bytes | None = None
    """HMAC key: with it only authenticated requests are answered."""
    provisioned_only: bool = True
    """Answer admitted SSIDs only, and keep their log: inside a run."""
    allow: tuple[str, ...] = ()
    """Networks (CIDR) that are answered; empty: all."""
    max_pps: int = 50_000
    """Per source address."""
    twamp_light: bool = False
    """Answer requests shorter than the base packet too: the only case of a reply that is longer."""


def networks(
    cidrs: tuple[str, ...], option: str
) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    """Networks from their text.

    Raises:
        ConfigError: One is none; names `option`.
    """
    try:
        return tuple(ipaddress.ip_network(cidr, strict=False) for cidr in cidrs)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}", advice="write it like 10.0.0.0/8") from error


class Gate:
    """Holds requests against rules.

    Attributes:
        admitted: SSIDs that are answered where only those are.
        refused: By admitted SSID, the requests that were not authentic, as they claim to be.

    Args:
        rules: Whom to answer.
        own_port: The reflector's; what comes from such a port comes from a reflector.
        counters: Where it is counted why not.
    """

    def __init__(self, rules: Rules, own_port: int, counters: Counters) -> None:
        self._rules = rules
        self._counters = counters
        self.admitted: set[int] = set()
        self.refused: dict[int, list[Refused]] = {}
        self._shut_ports = WELL_KNOWN_PORTS | {own_port}
        self._networks = networks(rules.allow, "allow")
        self._allowed: dict[str, bool] = {}
        self._second = 0
        self._in_second: dict[str, int] = {}

    def opens(
        self, request: memoryview, ssid: int, error_bits: int, now_ns: int, peer: tuple[str, int]
    ) -> bool:
        """Whether this request is to be answered; counts why not, cheapest test first."""
        counters = self._counters
        keyed = self._rules.key is not None
        if peer[1] in self._shut_ports or stamp.is_reply(request, keyed=keyed):
            counters.from_reflector += 1
        elif self._rules.provisioned_only and ssid not in self.admitted:
            counters.unprovisioned += 1
        elif self._networks and not self._allows(peer[0]):
            counters.not_allowed += 1
        elif not self._within_rate(peer[0], now_ns):
            counters.rate_limited += 1
        elif not self._authentic(request):
            counters.unauthenticated += 1
            if ssid in self.admitted:
                self._note_refused(ssid, peer[1], request)
        elif error_bits & 0xFF == 0:
            counters.corrupt += 1
        else:
            return True
        return False

    def one_more(self, address: str, second: int) -> bool:
        """Counts one more request in the second that the last one was in; false: look closer."""
        seen = self._in_second.get(address, 0)
        if second != self._second or seen >= self._rules.max_pps:
            return False
        self._in_second[address] = seen + 1
        return True

    def _note_refused(self, ssid: int, port: int, request: memoryview) -> None:
        """Remembers what a request that is not authentic says it is: a lost probe may be it."""
        refused = self.refused.setdefault(ssid, [])
        if len(refused) < REFUSED_KEPT:
            refused.append((port, int.from_bytes(request[:4], "big")))

    def _allows(self, address: str) -> bool:
        known = self._allowed.get(address)
        if known is None:
            if len(self._allowed) >= MAX_SESSIONS:
                self._allowed.clear()
            ip = ipaddress.ip_address(address.partition("%")[0])
            # An IPv4 peer of a socket for both families.
            ip = getattr(ip, "ipv4_mapped", None) or ip
            known = self._allowed[address] = any(ip in net for net in self._networks)
        return known

    def _within_rate(self, address: str, now_ns: int) -> bool:
        second = now_ns // 1_000_000_000
        if second != self._second:
            self._second = second
            self._in_second.clear()
        seen = self._in_second.get(address, 0)
        self._in_second[address] = seen + 1
        return seen < self._rules.max_pps

    def _authentic(self, request: memoryview) -> bool:
        if self._rules.key is None:
            return True
        try:
            stamp.verify(request, self._rules.key)
        except RemoteProtocolError:
            return False
        return True
