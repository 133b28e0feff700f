"""One MQTT 5 connection that is made anew when it breaks; the only module that imports aiomqtt.

Bytes in and out of topics; what they mean is `transport.mqtt`'s business. Everything is QoS 1.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable, Collection

import aiomqtt
import msgspec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from podbench.model.errors import TransportError
from podbench.transport.endpoint import Endpoint

logger = logging.getLogger(__name__)

KEEPALIVE_S = 600
"""Pings would cross the wire while a round measures; a Unix socket shows a death at once anyway."""
DEAD_PATH_MS = 30_000
"""A TCP connection over which nothing is acknowledged for so long is broken (TCP_USER_TIMEOUT, RFC
5482): the kernel's own patience is 15 minutes. It counts while something is out, so that a silent
round stays silent."""
REACH_S = 10.0
"""How long an acknowledgement may take, and the orchestrator's patience with its broker."""
GREET_S = 3.0
"""A broker that dies between accepting and greeting is not noticed otherwise: then try anew."""
PAUSE_MIN_S = 0.1
PAUSE_MAX_S = 5.0
IN_FLIGHT = 20
STATUS_EXPIRY_S = 3600
"""An ended agent's retained status leaves a shared broker after an hour."""
QOS = 1


class Greeting(msgspec.Struct, frozen=True):
    """A retained message on arrival, and what the broker says in its place when we vanish."""

    topic: str
    hello: bytes
    will: bytes


def _expiring(packet_type: int, expiry_s: int) -> Properties:
    properties = Properties(packet_type)  # type: ignore[no-untyped-call] # paho leaves it untyped
    properties.MessageExpiryInterval = expiry_s
    return properties


def _will(greeting: Greeting) -> aiomqtt.Will:
    expiry = _expiring(PacketTypes.WILLMESSAGE, STATUS_EXPIRY_S)
    return aiomqtt.Will(greeting.topic, greeting.will, qos=QOS, retain=True, properties=expiry)


def _socket_options(endpoint: Endpoint) -> tuple[tuple[int, int, int], ...]:
    if endpoint.transport != "tcp":
        return ()
    return ((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PATH_MS),)


def _check_listening(endpoint: Endpoint) -> None:
    """Raises OSError where nobody listens: paho would leak its socket finding that out (2.2)."""
    if endpoint.transport == "unix":
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            probe.connect(endpoint.host)


class Link:
    """One connection that is made anew when it breaks. `receive` takes each message as it comes."""

    def __init__(
        self,
        endpoint: Endpoint,
        identifier: str,
        filters: Collection[str],
        receive: Callable[[str, bytes], None],
        greeting: Greeting | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._identifier = identifier
        self._filters = filters
        self._receive = receive
        self._greeting = greeting
        self._client: aiomqtt.Client | None = None
        self._broken = asyncio.Event()
        self.up = asyncio.Event()
        self.trouble = "not tried yet"
        self.when_up: Callable[[], None] = lambda: None
        self.when_down: Callable[[], None] = lambda: None

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiomqtt.Client]:
        _check_listening(self._endpoint)
        async with aiomqtt.Client(
            hostname=self._endpoint.host,
            port=self._endpoint.port,
            transport=self._endpoint.transport,
            identifier=self._identifier,
            username=self._endpoint.credentials.username,
            password=self._endpoint.credentials.password,
            tls_context=self._endpoint.context(),
            protocol=aiomqtt.ProtocolVersion.V5,
            will=_will(self._greeting) if self._greeting else None,
            timeout=GREET_S,
            keepalive=KEEPALIVE_S,
            max_inflight_messages=IN_FLIGHT,
            socket_options=_socket_options(self._endpoint),
        ) as client:
            for topic in self._filters:
                await client.subscribe(topic, qos=QOS)
            if self._greeting is not None:
                await client.publish(
                    self._greeting.topic, self._greeting.hello, qos=QOS, retain=True
                )
            self._client, self._broken = client, asyncio.Event()
            self.up.set()
            self.when_up()
            try:
                yield client
            finally:
                self.up.clear()
                self._broken.set()
                self._client = None
                self.when_down()

    async def run(self) -> None:
        """Connects, receives, and begins again; ends only by cancellation."""
        pause_s = PAUSE_MIN_S
        while True:
            try:
                async with self._connection() as client:
                    pause_s = PAUSE_MIN_S
                    async for message in client.messages:
                        if isinstance(message.payload, bytes):
                            self._receive(str(message.topic), message.payload)
            except (aiomqtt.MqttError, TransportError, OSError) as error:
                self.trouble = str(error) or type(error).__name__
                logger.warning(
                    "broker unreachable", extra={"broker": str(self._endpoint), "why": self.trouble}
                )
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    async def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, expiry_s: int | None = None
    ) -> None:
        """Publishes once and waits for the broker's acknowledgement.

        Raises:
            TransportError: There is no connection, or it broke before the acknowledgement.
        """
        if self._client is None:
            raise TransportError(f"broker {self._endpoint}: not connected ({self.trouble})")
        expiry = _expiring(PacketTypes.PUBLISH, expiry_s) if expiry_s else None
        sending = asyncio.ensure_future(
            self._client.publish(
                topic, payload, qos=QOS, retain=retain, properties=expiry, timeout=REACH_S
            )
        )
        # aiomqtt waits for the acknowledgement even when the connection is gone.
        broken = asyncio.ensure_future(self._broken.wait())
        try:
            await asyncio.wait({sending, broken}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise TransportError(f"broker {self._endpoint}: the connection broke")
            sending.result()
        except aiomqtt.MqttError as error:
            raise TransportError(f"broker {self._endpoint}: {error}") from error
        finally:
            broken.cancel()
            sending.cancel()
