"""Where a broker is and how one is let in: `unix:///run/x.sock`, `mqtt://host`, `mqtts://host`.

Credentials never stand in a URL, which everybody on the machine can read in the process list: they
are files, as a mounted Secret gives them.
"""

import ssl
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from podbench.model.errors import ConfigError

DEFAULT_PORT = 1883
DEFAULT_TLS_PORT = 8883
ADVICE = "write it like unix:///run/podbench/mqtt.sock or mqtt://broker.example:1883"


class Credentials(msgspec.Struct, frozen=True):
    """What a broker asks for. Null where it does not."""

    ca: str | None = None
    """The certificates to trust instead of the machine's, as PEM. A certificate trusted by itself
    is all the proof there is: the broker's name is then not looked at, for behind a port-forward it
    has another."""
    username: str | None = None
    password: str | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """A broker's address. `host` is the socket's path where `transport` is `unix`."""

    transport: Literal["unix", "tcp"]
    host: str
    port: int = DEFAULT_PORT
    tls: bool = False
    credentials: Credentials = Credentials()

    def __str__(self) -> str:
        """The URL it was read from."""
        if self.transport == "unix":
            return f"unix://{self.host}"
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"

    def context(self) -> ssl.SSLContext | None:
        """How to encrypt; null without TLS.

        Raises:
            ConfigError: The certificates cannot be read.
        """
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cadata=self.credentials.ca)
        except ssl.SSLError as error:
            raise ConfigError(f"the broker's certificate cannot be read: {error}") from error
        context.check_hostname = self.credentials.ca is None
        return context


def parse_broker(url: str, credentials: Credentials | None = None) -> Endpoint:
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
    known = credentials or Credentials()
    if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
        return Endpoint("unix", parts.path, credentials=known)
    if parts.scheme in {"mqtt", "mqtts"} and parts.hostname and parts.path in {"", "/"}:
        tls = parts.scheme == "mqtts"
        default = DEFAULT_TLS_PORT if tls else DEFAULT_PORT
        return Endpoint("tcp", parts.hostname, port or default, tls, known)
    raise ConfigError(f"broker {url!r} is not one podbench can connect to", advice=ADVICE)


def read_secret(path: Path, option: str) -> str:
    """What a file of credentials holds, without white space around it.

    Raises:
        ConfigError: It cannot be read or is empty; names the option.
    """
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{option}: {path} cannot be read: {error}") from error
    if not text:
        raise ConfigError(f"{option}: {path} is empty")
    return text
