"""`bench agent reflect` and `bench agent probe HOST`: the instrument on its own.

Parses options, starts the agent's worker and prints. podbench_agent measures, wire resolves.
"""

import json
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podbench.cli import panels
from podbench.model.errors import ConfigError, ProbeError

if TYPE_CHECKING:
    from podbench.wire.columns import Table
    from podbench.wire.messages import LatencySession

app = panels.app("Run the latency instrument on its own")

DEFAULT_PORT = 8620
"""STAMP's own port, 862, needs a capability."""
OPEN_SIZE_BYTES = 64
"""Base packet of 44 and Follow-Up Telemetry of 20 octets."""
AUTH_SIZE_BYTES = 152
"""Authenticated base of 112, Follow-Up Telemetry and HMAC TLVs of 20 octets each."""
_ALIVE_EVERY_S = 2.0
_KEY_BYTES = range(16, 1025)


def _read_key(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"--hmac-key-file: {path}: {error.strerror}") from error
    if len(key) not in _KEY_BYTES:
        raise ConfigError(
            f"--hmac-key-file: {path} holds {len(key)} octets",
            advice="a key has 16 to 1024 octets: openssl rand -hex 16 > KEYFILE",
        )
    return key


@app.command(cls=panels.Command)
def reflect(
    bind: Annotated[str, typer.Option(help="Address to answer on")] = "0.0.0.0",  # noqa: S104 a reflector is meant to be reached
    port: Annotated[int, typer.Option(help="UDP port", min=0, max=65535)] = DEFAULT_PORT,
    hmac_key_file: Annotated[
        Path | None,
        typer.Option(help="Answer only requests authenticated with the key in this file"),
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="Answer only this network (CIDR); repeatable")
    ] = None,
    max_pps: Annotated[
        int, typer.Option(help="Most requests answered per second and source", min=1)
    ] = 50_000,
    twamp_light: Annotated[
        bool, typer.Option(help="Also answer requests under 44 octets; needs --allow")
    ] = False,
) -> None:
    """Answer STAMP requests until SIGTERM or SIGINT.

    Then prints the counters as one JSON line.
    """
    import asyncio

    from podbench_agent.probes.reflector.process import ReflectorWorker
    from podbench_agent.probes.reflector.rules import Rules, networks

    if twamp_light and not allow:
        raise ConfigError(
            "--twamp-light lets a reply be longer than its request",
            advice="say with --allow CIDR who may have that",
        )
    networks(tuple(allow or ()), "--allow")
    rules = Rules(
        key=_read_key(hmac_key_file),
        provisioned_only=False,
        allow=tuple(allow or ()),
        max_pps=max_pps,
        twamp_light=twamp_light,
    )
    worker = ReflectorWorker(bind, port, rules)
    try:
        worker.start()
    except ProbeError as error:
        raise ConfigError(
            f"--bind, --port: {error}", advice="choose another address or port"
        ) from error
    try:
        typer.echo(
            f"reflecting on {bind} port {worker.port}, stamps: {worker.stamp_source}", err=True
        )
        counters = asyncio.run(_until_signalled(worker.counters))
    finally:
        worker.stop()
    print(json.dumps(counters))


async def _until_signalled(
    counters: Callable[[], Awaitable[dict[str, int | float | str]]],
) -> dict[str, int | float | str]:
    """Waits for SIGTERM or SIGINT and checks regularly that the worker is alive."""
    import asyncio

    signalled = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)
    while not signalled.is_set():
        await counters()
        try:
            await asyncio.wait_for(signalled.wait(), _ALIVE_EVERY_S)
        except TimeoutError:
            continue
    return await counters()


def _resolve_host(host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise ConfigError(f"HOST: {host!r}: {error.strerror or error}") from error
    address = found[0][4]
    host = str(address[0])
    scope = int(address[3]) if len(address) == 4 else 0
    return f"{host}%{scope}" if scope and "%" not in host else host


@app.command(cls=panels.Command)
def probe(
    host: Annotated[str, typer.Argument(help="Name or address of the reflector")],
    port: Annotated[int, typer.Option(help="Its UDP port", min=1, max=65535)] = DEFAULT_PORT,
    rate: Annotated[float, typer.Option(help="Probes per second")] = 100.0,
    duration: Annotated[float, typer.Option(help="Seconds")] = 10.0,
    size: Annotated[
        int | None, typer.Option(help="UDP payload in octets [default: 64, authenticated 152]")
    ] = None,
    hmac_key_file: Annotated[
        Path | None, typer.Option(help="Authenticate with the key in this file")
    ] = None,
    schedule: Annotated[
        str, typer.Option(help="Send times: periodic, uniform or poisson")
    ] = "periodic",
    spin: Annotated[
        bool, typer.Option("--spin", help="Busy-wait for the last 100 µs before each probe")
    ] = False,
    dscp: Annotated[int, typer.Option(help="DSCP of the requests, 0 to 63")] = 0,
    source_ports: Annotated[int, typer.Option(help="Number of source ports to rotate over")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document")] = False,
    raw: Annotated[
        Path | None, typer.Option(help="Write one row per probe to this Parquet file")
    ] = None,
) -> None:
    """Measure the latency to a reflector and account for every probe."""
    import asyncio

    from podbench.cli import agent_summary
    from podbench.wire import fates
    from podbench.wire.messages import LatencySession
    from podbench_agent.probes.latency.process import ProbeWorker

    key = _read_key(hmac_key_file)
    session = LatencySession(
        session_id=1 + secrets.randbelow(65_000),
        peer_address=_resolve_host(host, port),
        peer_port=port,
        source_ports=source_ports,
        rate_pps=rate,
        duration_s=duration,
        udp_payload_bytes=_size(size, authenticated=key is not None),
        schedule=schedule,
        spin=spin,
        dscp=dscp,
    )
    _check(session, authenticated=key is not None)
    if raw is not None and not raw.parent.is_dir():
        raise ConfigError(f"--raw: there is no directory {raw.parent}")
    if raw is not None and raw.is_dir():
        raise ConfigError(f"--raw: {raw} is a directory", advice="name a file in it")
    worker = ProbeWorker(key)
    worker.start()
    try:
        tables = asyncio.run(worker.measure((session,)))
    finally:
        worker.stop()
    sender = tables[session.session_id]
    rows = fates.resolve(sender, None)
    summary = agent_summary.document(sender, rows, session, worker.facts)
    print(
        json.dumps(summary) if as_json else agent_summary.text(host, session, summary), flush=True
    )
    if raw is not None:  # last: what was measured is told even if it cannot be written
        _write_raw(raw, rows, session)
    if summary["received"] == 0:
        raise _nothing_came(host, port, worker.facts)


def _size(asked: int | None, *, authenticated: bool) -> int:
    if asked is not None:
        return asked
    return AUTH_SIZE_BYTES if authenticated else OPEN_SIZE_BYTES


def _check(session: "LatencySession", *, authenticated: bool) -> None:
    """Raises a usage error for an impossible session before anything is sent."""
    from podbench_agent.probes.latency import flows
    from podbench_agent.probes.latency import schedule as latency_schedule

    try:
        latency_schedule.check(session)
        flows.check(session, authenticated=authenticated)
    except ProbeError as error:
        raise ConfigError(str(error)) from error


def _nothing_came(host: str, port: int, facts: dict[str, int | float | str]) -> ProbeError:
    """Why no probe was answered, as far as the counters show."""
    strange = facts.get("strange_replies", 0)
    if strange:
        return ProbeError(
            f"{strange} replies came from {host} port {port}, and none is a STAMP reply to a probe",
            advice="another service answers there, or its Error Estimate, its HMAC key or its "
            "packets are wrong: name the port of a STAMP reflector with --port",
        )
    errors = facts.get("send_errors", 0)
    if errors:
        return ProbeError(
            f"no reply from {host} port {port}: {errors} probes could not be sent",
            advice="see send_errors above; a smaller --size fits more paths",
        )
    refused = facts.get("refused", 0)
    return ProbeError(
        f"no reply from {host} port {port}" + (": nothing listens there" if refused else ""),
        advice=f"start one there: bench agent reflect --port {port}",
    )


def _write_raw(path: Path, rows: "Table", session: "LatencySession") -> None:
    """One row per probe, in the schema of a run; what only a run knows is null."""
    from podbench.store import samples

    place = {
        "family": "ipv6" if ":" in session.peer_address else "ipv4",
        "dst": session.peer_address,
    }
    samples.write(path, "latency", [(rows, place)])
