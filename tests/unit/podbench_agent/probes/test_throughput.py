"""The iperf3 probe: options, choices, and the real program on loopback."""

import asyncio
import json
import os
import shutil
import signal
import socket
from pathlib import Path

import pytest
from support import needs

from podbench.model.errors import PrerequisiteError, ProbeError
from podbench.wire import iperf3, messages
from podbench_agent.probes import throughput

needs_iperf3 = needs.programs("iperf3")

LOOPBACK = "127.0.0.1"
SERVE = messages.ServeTransfer(bind_address=LOOPBACK, lifetime_s=30)


def transfer(port: int, **changes: object) -> messages.Transfer:
    """A transfer over loopback."""
    fields: dict[str, object] = {
        "peer_address": LOOPBACK,
        "peer_port": port,
        "bind_address": LOOPBACK,
        "protocol": "tcp",
        **changes,
    }
    return messages.Transfer(**fields)  # type: ignore[arg-type] # test's short hand


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("iperf 3.12 (cJSON 1.7.15)\nLinux", "3.12"),
        ("iperf 3.19.1 (cJSON 1.7.15)", "3.19.1"),
        ("iperf3: not found", None),
        ("", None),
    ],
)
def test_version_is_read(text: str, version: str | None) -> None:
    """The first line names the version; anything else does not."""
    assert throughput.parse_version(text) == version


def test_congestion_is_pinned_only_where_it_may_be() -> None:
    """An algorithm this process cannot have is left to the kernel, which iperf3 then reports."""
    assert throughput.choose_congestion("reno") == "reno"
    assert throughput.choose_congestion("no_such") is None
    assert throughput.choose_congestion(None) is None


def test_socket_buffer_is_one_the_kernel_grants() -> None:
    """Asking for more than twice the limit makes iperf3 refuse to run."""
    assert throughput.choose_socket_bytes([4 << 20, 4 << 20]) == throughput.SOCKET_BYTES
    assert throughput.choose_socket_bytes([212_992, 4 << 20]) == 425_984
    assert throughput.choose_socket_bytes([]) == 425_984


def test_listening_ports_are_those_in_state_listen() -> None:
    """Connections and other states in /proc/net/tcp do not count."""
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue\n"
        "   0: 0100007F:1451 00000000:0000 0A 00000000:00000000\n"
        "   1: 0100007F:1452 0100007F:9C40 01 00000000:00000000\n"
    )

    assert throughput.listening_ports(table) == {0x1451}
    assert throughput.listening_ports("") == set()


def test_tcp_options() -> None:
    """TCP: whole seconds, pinned congestion control, no rate, never -Z."""
    options = throughput.client_arguments(transfer(5201, streams=8), "cubic", 1)
    line = " ".join(options)

    assert "-t 1 " in line
    assert "-i 0.1 " in line
    assert "-P 8 " in line
    assert line.endswith("-C cubic")
    assert not {"-b", "-u", "-O", "-Z"} & set(options)


def test_udp_options() -> None:
    """UDP: length, no fragments, a buffer, and a rate (0: all it can) even where none is asked."""
    command = transfer(5201, protocol="udp", packet_bytes=1422, omit_s=2)
    line = " ".join(throughput.client_arguments(command, "cubic", 425_984))

    assert "-u -b 0 --dont-fragment -w 425984 -l 1422" in line
    assert "-O 2" in line
    assert "-C" not in line


def test_paced_options() -> None:
    """Load steps: so many octets in place of seconds, TCP paced by the kernel, UDP by a timer."""
    tcp = transfer(5201, fq_rate_bps=2_000_000_000, total_bytes=250_000_000)
    line = " ".join(throughput.client_arguments(tcp, "cubic", 1))
    assert "-n 250000000" in line
    assert "--fq-rate 2000000000" in line
    assert " -t " not in line
    udp = transfer(5201, protocol="udp", packet_bytes=64, rate_bps=1_000_000, pacing_timer_us=1000)
    assert "--pacing-timer 1000" in " ".join(throughput.client_arguments(udp, None, 1, "3.12"))
    # 3.18 dropped the option, and ends when it is given one it does not know.
    assert "--pacing-timer" not in throughput.client_arguments(udp, None, 1, "3.18")


@needs_iperf3
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_transfer_over_loopback(protocol: str) -> None:
    """Both ends' own JSON come back and make rows of both directions."""
    udp = {"packet_bytes": 1000, "rate_bps": 10_000_000} if protocol == "udp" else {}

    async def scene() -> tuple[messages.Ran, messages.Ran]:
        transfers = throughput.Transfers()
        served = await transfers.serve(SERVE)
        assert served.facts["version"] == await transfers.version()
        port = int(served.facts["port"] or 0)
        near = await transfers.run(transfer(port, protocol=protocol, **udp))
        return near, await transfers.collect(port)

    near, far = asyncio.run(scene())
    table = iperf3.rows(near.output, far.output, omit_s=0.3)

    assert (near.error, near.exit_status, far.error, far.exit_status) == (None, 0, None, 0)
    assert near.version == far.version
    assert set(table["direction"]) == {"sender", "receiver"}
    assert set(table["status"]) == {"ok"}


@needs_iperf3
def test_refused_connection_is_a_ran_with_its_error() -> None:
    """Nobody listening: iperf3 exits 0, its JSON says why, and so does the record."""
    ran = asyncio.run(throughput.Transfers().run(transfer(9)))

    assert ran.error == "unable to connect to server: Connection refused"
    assert json.loads(ran.output)["error"] == ran.error


@needs_iperf3
def test_hanging_server_is_ended_at_the_hard_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that accepts and is mute: the client is ended and the record says that it hung."""
    monkeypatch.setattr(throughput, "HARD_STOP_S", -0.5)

    with socket.create_server((LOOPBACK, 0)) as mute:
        ran = asyncio.run(throughput.Transfers().run(transfer(mute.getsockname()[1])))

    assert ran.error is not None
    assert ran.error.startswith("ended after 0.5 s: it hung")


@needs_iperf3
def test_killed_client_is_a_ran_with_its_signal() -> None:
    """A client that is killed leaves no output; the record has the signal and a reason."""

    async def scene() -> tuple[messages.Ran, messages.Ran]:
        transfers = throughput.Transfers()
        port = int((await transfers.serve(SERVE)).facts["port"] or 0)
        running = asyncio.create_task(transfers.run(transfer(port, duration_s=20)))
        await asyncio.sleep(0.5)
        (client,) = transfers._clients
        os.kill(client.process.pid, signal.SIGKILL)
        return await running, await transfers.collect(port)

    near, far = asyncio.run(scene())

    assert (near.exit_status, near.output) == (-signal.SIGKILL, "")
    assert near.error == "no output, exit status -9"
    assert far.error == "the client has unexpectedly closed the connection"
    assert list(iperf3.rows(near.output, far.output, omit_s=0.3)["status"]) == ["failed"]


@needs_iperf3
def test_server_that_still_serves_is_ended_when_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for the result of a server that nobody used ends it, with the reason."""
    monkeypatch.setattr(throughput, "COLLECT_S", 0.05)

    async def scene() -> tuple[messages.Ran, int]:
        transfers = throughput.Transfers()
        port = int((await transfers.serve(SERVE)).facts["port"] or 0)
        return await transfers.collect(port), port

    ran, port = asyncio.run(scene())

    assert ran.error is not None
    assert ran.error.startswith("ended: it was still serving")
    assert not throughput._is_listening(port)


@needs_iperf3
def test_server_ends_with_its_lifetime() -> None:
    """A server nobody comes to is gone after its lifetime, and says so when collected."""

    async def scene() -> messages.Ran:
        transfers = throughput.Transfers()
        served = await transfers.serve(
            messages.ServeTransfer(bind_address=LOOPBACK, lifetime_s=0.2)
        )
        port = int(served.facts["port"] or 0)
        await transfers._servers[port].ran
        return await transfers.collect(port)

    ran = asyncio.run(scene())

    assert ran.error is not None
    assert ran.error.startswith("ended after 0.2 s")


@needs_iperf3
def test_closing_ends_everything() -> None:
    """Closing the probe leaves no server behind."""

    async def scene() -> int:
        transfers = throughput.Transfers()
        port = int((await transfers.serve(SERVE)).facts["port"] or 0)
        pid = transfers._servers[port].process.pid
        await transfers.close()
        return pid

    assert not Path(f"/proc/{asyncio.run(scene())}").exists()


def test_unknown_port_is_refused() -> None:
    """Collecting what was never started is an error that names the port."""
    with pytest.raises(ProbeError, match="port 5201"):
        asyncio.run(throughput.Transfers().collect(5201))


def test_address_that_is_not_ours_is_refused() -> None:
    """A server on an address this machine lacks is an error that names it."""
    serve = messages.ServeTransfer(bind_address="203.0.113.9", lifetime_s=1)

    with pytest.raises(ProbeError, match=r"203\.0\.113\.9"):
        asyncio.run(throughput.Transfers().serve(serve))


def test_missing_iperf3_is_told_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program the version is null, and a transfer says how to install it."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)

    async def scene() -> str | None:
        transfers = throughput.Transfers()
        with pytest.raises(PrerequisiteError, match="iperf3 is not installed") as caught:
            await transfers.serve(SERVE)
        assert caught.value.advice == "sudo apt-get install -y iperf3"
        return await transfers.version()

    assert asyncio.run(scene()) is None
