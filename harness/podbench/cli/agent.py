"""`bench agent reflect` and `bench agent probe HOST`: the instrument on its own.

Parse, start the agent's worker, print; the measuring is podbench_agent's, the resolving wire's.
"""

import asyncio
import json
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from podbench.cli import panels
from podbench.model.errors import ConfigError, ProbeError
from podbench.model.units import show_ns, show_ratio
from podbench.wire import fates
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
    bind: Annotated[str, typer.Option(help="Own address to answer on.")] = "0.0.0.0",  # noqa: S104 a reflector is meant to be reached
    port: Annotated[int, typer.Option(help="UDP port.", min=0, max=65535)] = DEFAULT_PORT,
    hmac_key_file: Annotated[
        Path | None, typer.Option(help="Answer only requests authenticated with this key.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="Answer only this network (CIDR); may repeat.")
    ] = None,
    max_pps: Annotated[
        int, typer.Option(help="Requests answered per second and source.", min=1)
    ] = 50_000,
    twamp_light: Annotated[
        bool, typer.Option(help="Answer requests under 44 octets too (needs --allow).")
    ] = False,
) -> None:
    """Answers STAMP requests until SIGTERM or SIGINT, then prints its counters as one JSON line."""
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
        counters = asyncio.run(_until_told(worker.counters))
    finally:
        worker.stop()
    print(json.dumps(counters))


async def _until_told(
    counters: Callable[[], Awaitable[dict[str, int | float | str]]],
) -> dict[str, int | float | str]:
    """Waits for SIGTERM or SIGINT, looking now and then whether the worker lives."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    while not told.is_set():
        await counters()
        try:
            await asyncio.wait_for(told.wait(), _ALIVE_EVERY_S)
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
    host: Annotated[str, typer.Argument(help="Name or address of the reflector.")],
    port: Annotated[int, typer.Option(help="Its UDP port.", min=1, max=65535)] = DEFAULT_PORT,
    rate: Annotated[float, typer.Option(help="Probes per second.")] = 100.0,
    duration: Annotated[float, typer.Option(help="Seconds.")] = 10.0,
    size: Annotated[
        int | None, typer.Option(help="UDP payload, octets. Default 64, authenticated 152.")
    ] = None,
    hmac_key_file: Annotated[
        Path | None, typer.Option(help="Authenticate with the key in this file.")
    ] = None,
    schedule: Annotated[str, typer.Option(help="periodic, uniform or poisson.")] = "periodic",
    spin: Annotated[
        bool, typer.Option("--spin", help="Wait awake for the last 100 µs before each probe.")
    ] = False,
    dscp: Annotated[int, typer.Option(help="DSCP of the requests, 0 to 63.")] = 0,
    source_ports: Annotated[int, typer.Option(help="4-tuples to rotate over.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    raw: Annotated[
        Path | None, typer.Option(help="Write one row per probe to this Parquet file.")
    ] = None,
) -> None:
    """Measures the latency to a reflector and says what became of every probe."""
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
    rows = fates.resolve(tables[session.session_id], None)
    summary = _summary(rows, session, worker.facts)
    if as_json:
        print(json.dumps(summary), flush=True)
    else:
        _print(host, session, summary)
    if raw is not None:  # last: what was measured is told even if it cannot be written
        _write_raw(raw, rows, session)
    if summary["received"] == 0:
        refused = worker.facts.get("refused", 0)
        raise ProbeError(
            f"no reply from {host} port {port}" + (": nobody listens there" if refused else ""),
            advice=f"start one there: bench agent reflect --port {port}",
        )


def _size(asked: int | None, *, authenticated: bool) -> int:
    if asked is not None:
        return asked
    return AUTH_SIZE_BYTES if authenticated else OPEN_SIZE_BYTES


def _check(session: LatencySession, *, authenticated: bool) -> None:
    """Refuses what cannot be done before anything is sent, as a usage error."""
    from podbench_agent.probes.latency import flows
    from podbench_agent.probes.latency import schedule as latency_schedule

    try:
        latency_schedule.check(session)
        flows.check(session, authenticated=authenticated)
    except ProbeError as error:
        raise ConfigError(str(error)) from error


def _quantiles(rows: Table, name: str) -> dict[str, float | int | None]:
    import numpy as np

    from podbench.analysis.stats.quantiles import quantile

    column = rows[name]
    values = np.sort(np.ma.compressed(column)).astype(np.float64)
    known = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
    found = {label: quantile(values, q) for label, q in known.items()}
    return {
        **{label: None if v is None else round(v) for label, v in found.items()},
        "min": int(values[0]) if len(values) else None,
        "max": int(values[-1]) if len(values) else None,
        "n": len(values),
    }


def _summary(
    rows: Table, session: LatencySession, facts: dict[str, int | float | str]
) -> dict[str, object]:
    """The document of `--json`."""
    import numpy as np

    status = rows["status"]
    half_ns = 5e8 / session.rate_pps
    late = np.asarray(np.ma.filled(rows["late_ns"], round(half_ns) + 1), dtype=np.int64)
    sources = np.unique(rows["stamp_source"]).tolist()
    return {
        "sent": len(status),
        "received": int((status == "ok").sum()),
        **{
            name: int((status == name).sum())
            for name in ("lost_forward", "lost_backward", "lost_unknown", "late", "corrupted")
        },
        "send_late_ratio": float((late > half_ns).mean()),
        "duplicates": int(np.sum(rows["duplicates"], dtype=np.int64)),
        "reordered": int(np.sum(rows["reordered"], dtype=np.int64)),
        "stamp_source": max(sources, key=("kernel", "sched", "user").index),
        "rtt_kernel_ns": _quantiles(rows, "rtt_kernel_ns"),
        "rtt_app_ns": _quantiles(rows, "rtt_app_ns"),
        "cpu_us_per_probe": facts.get("cpu_us_per_probe"),
        "invalid": int((~np.asarray(rows["valid"], dtype=bool)).sum()),
    }


def _print(host: str, session: LatencySession, summary: dict[str, object]) -> None:
    print(
        f"{host} port {session.peer_port}: {summary['sent']} probes at {session.rate_pps:g} pps, "
        f"{session.udp_payload_bytes} octets, {session.schedule}, stamps: {summary['stamp_source']}"
    )
    fate = ("received", "lost_forward", "lost_backward", "lost_unknown", "late", "corrupted")
    print("  " + ", ".join(f"{name.replace('_', ' ')} {summary[name]}" for name in fate))
    for name, label in (("rtt_kernel_ns", "network"), ("rtt_app_ns", "program")):
        numbers = summary[name]
        assert isinstance(numbers, dict)
        parts = [f"{k} {show_ns(v)}" for k, v in numbers.items() if k != "n" and v is not None]
        print(f"  {label:8}" + "  ".join(parts or ["-"]))
    late = summary["send_late_ratio"]
    assert isinstance(late, float)
    print(
        f"  duplicates {summary['duplicates']}, reordered {summary['reordered']}, "
        f"sent late {show_ratio(late)}, "
        f"sender's CPU {summary['cpu_us_per_probe']:.1f} µs a probe"
    )
    if summary["invalid"]:
        print(f"  {summary['invalid']} probes are not to be believed: --raw says why")


def _write_raw(path: Path, rows: Table, session: LatencySession) -> None:
    """One row per probe, in the schema of a run; what only a run knows is null."""
    from podbench.store import samples

    place = {
        "family": "ipv6" if ":" in session.peer_address else "ipv4",
        "dst": session.peer_address,
    }
    samples.write(path, "latency", [(rows, place)])
