"""Where a broker is: `unix:///run/podbench/mqtt.sock` or `mqtt://host:port`."""

from typing import Literal
from urllib.parse import urlsplit

import msgspec

from podbench.model.errors import ConfigError

DEFAULT_PORT = 1883
ADVICE = "write it like unix:///run/podbench/mqtt.sock or mqtt://broker.example:1883"


class Endpoint(msgspec.Struct, frozen=True):
    """A broker's address. `host` is the socket's path where `transport` is `unix`.

    Credentials and TLS will be fields here: every connection is made from one of these.
    """

    transport: Literal["unix", "tcp"]
    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        """The URL it was read from."""
        if self.transport == "unix":
            return f"unix://{self.host}"
        return f"mqtt://{self.host}:{self.port}"


def parse_broker(url: str) -> Endpoint:
    """Reads a broker's URL.

    Raises:
        ConfigError: Not a URL of a kind podbench can connect to.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"broker {url!r}: {error}", advice=ADVICE) from error
    if parts.username or parts.password:
        raise ConfigError("broker: credentials do not belong in a URL", advice=ADVICE)
    if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
        return Endpoint("unix", parts.path)
    if parts.scheme == "mqtt" and parts.hostname and parts.path in {"", "/"}:
        return Endpoint("tcp", parts.hostname, port or DEFAULT_PORT)
    raise ConfigError(f"broker {url!r} is not one podbench can connect to", advice=ADVICE)
