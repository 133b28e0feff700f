"""Somebody else's broker (`--broker`): where it is, and what the environment says of how to get in.

Credentials never stand in a URL or on a command line, which everybody on the machine can read. The
agents get them as Secrets, like those of a broker that the run brings.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from podbench.model.errors import ConfigError
from podbench.target.kubernetes.deploy.settings import OtherBroker
from podbench.transport.endpoint import Credentials, Endpoint, parse_broker, read_secret

USERNAME, PASSWORD = "PODBENCH_BROKER_USERNAME", "PODBENCH_BROKER_PASSWORD"
CA_FILE = "PODBENCH_BROKER_CA_FILE"
OPTION = "--broker"


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """One broker and the one account that orchestrator and agents share there."""

    endpoint: Endpoint

    @property
    def broker(self) -> OtherBroker:
        """What the chart is told."""
        known = self.endpoint.credentials
        return OtherBroker(url=str(self.endpoint), port=self.endpoint.port, username=known.username)

    def __repr__(self) -> str:
        """Nothing secret: records end up in logs and tracebacks."""
        return f"Access({self.endpoint})"


def url(text: str) -> str:
    """The broker's URL, whole.

    Raises:
        ConfigError: No URL of a broker with TLS.
    """
    return str(_parsed(text))


def named(text: str) -> OtherBroker:
    """A broker as far as its URL tells.

    Raises:
        ConfigError: No URL of a broker with TLS.
    """
    return Access(endpoint=_parsed(text)).broker


def _parsed(text: str) -> Endpoint:
    try:
        endpoint = parse_broker(text)
    except ConfigError as error:
        raise ConfigError(
            f"{OPTION}: {error}",
            advice=f"write it like mqtts://broker.example:8883; name and password go into "
            f"{USERNAME} and {PASSWORD}",
        ) from error
    if not endpoint.tls:
        raise ConfigError(
            f"{OPTION}: {endpoint} has no TLS, and passwords would cross the cluster in the clear",
            advice="use a listener with TLS: mqtts://HOST:PORT",
        )
    return endpoint


def access(text: str, environment: Mapping[str, str]) -> Access:
    """A broker with what the environment says of it.

    Raises:
        ConfigError: No URL of a broker with TLS, or name, password or certificate are missing.
    """
    missing = [name for name in (USERNAME, PASSWORD) if not environment.get(name)]
    if missing:
        raise ConfigError(
            f"{OPTION}: {' and '.join(missing)} must be set in the environment",
            advice="an account of the broker's that may read and write podbench/#",
        )
    ca_file = environment.get(CA_FILE)
    ca = read_secret(Path(ca_file), CA_FILE) + "\n" if ca_file else None
    known = Credentials(ca, environment[USERNAME], environment[PASSWORD])
    return Access(endpoint=msgspec.structs.replace(_parsed(text), credentials=known))
