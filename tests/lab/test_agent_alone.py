"""`bench agent reflect` and `bench agent probe` as a user has them: both families, every option."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from support import needs
from support.bench import bench, wait_for
from support.inlab import needs_namespaces

from podbench.store.schemas import LATENCY
from podbench.target.lab import namespaces
from podbench.target.lab.isolate import run_isolated
from podbench.wire import stamp

pytestmark = pytest.mark.lab

AGENT = [sys.executable, "-m", "podbench.cli", "agent"]
KEY = b"0123456789abcdef"


@contextmanager
def _reflecting(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A reflector on a port of its own."""
    with subprocess.Popen(
        [*AGENT, "reflect", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            yield process, process.stderr.readline().split("port ")[1].split(",")[0]
        finally:
            process.kill()


def _ended(process: "subprocess.Popen[str]", number: int) -> dict[str, int]:
    process.send_signal(number)
    counters = json.loads(process.communicate(timeout=20)[0])
    assert process.returncode == 0
    return dict(counters)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("key", [None, KEY], ids=["open", "authenticated"])
def test_loopback_of_both_families(address: str, key: bytes | None, tmp_path: Path) -> None:
    """Every probe comes back stamped, with every option; the keys printed are the documented."""
    options = []
    if key is not None:
        (tmp_path / "key").write_bytes(key + b"\n")
        options = ["--hmac-key-file", str(tmp_path / "key")]
    raw = tmp_path / "raw.parquet"
    network = f"{address}/{128 if ':' in address else 32}"
    with _reflecting("--bind", address, "--allow", network, *options) as (process, port):
        done = bench(
            *("agent", "probe", address, "--port", port, "--rate", "200", "--duration", "0.5"),
            *("--size", "333", "--schedule", "uniform", "--dscp", "46", "--source-ports", "3"),
            *("--spin", "--json", "--raw", str(raw), *options),
        )
        counters = _ended(process, signal.SIGINT)

    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert set(summary) >= {
        "sent", "received", "lost_forward", "lost_backward", "lost_unknown", "send_late_ratio",
        "duplicates", "reordered", "stamp_source", "rtt_kernel_ns", "rtt_app_ns",
        "cpu_us_per_probe",
    }  # fmt: skip
    assert (summary["sent"], summary["received"]) == (100, 100)
    assert summary["rtt_kernel_ns"]["n"] == 100
    assert summary["stamp_source"] == "kernel"
    assert counters["answered"] == 103  # and one flush probe per source port
    table = pq.read_table(raw)
    assert table.column_names == LATENCY.names
    assert table["family"].unique().to_pylist() == ["ipv6" if ":" in address else "ipv4"]
    assert len(set(table["src_port"].to_pylist())) == 3


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--rate", "0"], "rate"),
        (["--rate", "30000"], "at most 25000 pps"),
        (["--duration", "-1"], "duration"),
        (["--rate", "0.1", "--duration", "5"], "at least 10 s"),
        (["--size", "0"], "at least 44"),
        (["--size", "65508"], "at most 65507"),
        (["--dscp", "64"], "0 to 63"),
        (["--source-ports", "300"], "1 to 256"),
        (["--schedule", "gaussian"], "periodic, uniform, poisson"),
        (["--raw", "/nowhere/raw.parquet"], "no directory /nowhere"),
        (["--hmac-key-file", "/nowhere"], "--hmac-key-file"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_sent(
    options: list[str], says: str
) -> None:
    """Exit 2, and the sentence names the option's limit."""
    done = bench("agent", "probe", "127.0.0.1", *options, timeout_s=20)

    assert done.returncode == 2, done.stdout
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--bind", "203.0.113.9"], "cannot listen on 203.0.113.9 port 8620"),
        (["--bind", "host.invalid"], "cannot listen on host.invalid"),
        (["--port", "65536"], "--port"),
        (["--max-pps", "0"], "--max-pps"),
        (["--allow", "10.0.0.0/33"], "--allow"),
        (["--hmac-key-file", "/dev/null"], "16 to 1024 octets"),
        (["--twamp-light"], "--allow CIDR"),
    ],
)
def test_a_reflector_that_cannot_be_is_refused(options: list[str], says: str) -> None:
    """Exit 2 with the option's name, and no answer ever longer than asked for without --allow."""
    done = bench("agent", "reflect", *options, timeout_s=20)

    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_no_such_host_is_a_usage_error() -> None:
    """A name that does not resolve is named."""
    done = bench("agent", "probe", "host.invalid", timeout_s=30)
    assert done.returncode == 2
    assert "host.invalid" in done.stderr


def test_nobody_there_ends_in_time_with_the_reason() -> None:
    """All probes are records, the document is whole, and the exit code says that it failed."""
    done = bench(
        *("agent", "probe", "127.0.0.1", "--port", "9", "--rate", "100", "--duration", "0.2"),
        "--json",
        timeout_s=20,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["lost_unknown"] == 20
    assert "nothing listens there" in done.stderr


def test_a_port_in_use_is_named() -> None:
    """The second reflector on a port says so and how to go on."""
    with _reflecting("--bind", "127.0.0.1") as (process, port):
        done = bench("agent", "reflect", "--bind", "127.0.0.1", "--port", port, timeout_s=20)
        _ended(process, signal.SIGTERM)
    assert done.returncode == 2
    assert f"port {port}: Address already in use" in done.stderr
    assert "another address or port" in done.stderr


PACKETS = 50 + 8
"""Probes, and a flush probe for each source port."""
RECORD_BYTES = 16 + 14 + 40 + 8 + 200
"""One packet in a capture: its record's header, Ethernet, IPv6, UDP and the payload."""


def _over_veth(folder: Path, key: Path | None, net: str) -> dict[str, Any]:
    """One probe run over a veth with IPv6 addresses, captured at the far end."""
    far_end = f"{net}::2%v0" if net == "fe80" else f"{net}::2"
    for name in ("near", "far"):
        namespaces.create(name)
        namespaces.configure(name, {"ipv6/conf/all/disable_ipv6": "0"})
        namespaces.configure(name, {"ipv6/conf/default/disable_ipv6": "0"})
    lines = "link add v0 type veth peer name v0 netns far\nlink set v0 up"
    for name, text, address in (
        ("near", lines, f"{net}::1"),
        ("far", "link set v0 up", f"{net}::2"),
    ):
        batch = f"{text}\naddr add {address}/64 dev v0 nodad"
        subprocess.run(["ip", "-n", name, "-batch", "-"], input=batch.encode(), check=True)
    more = [] if key is None else ["--hmac-key-file", str(key)]
    capture = folder / "far.pcap"
    with (folder / "tcpdump.log").open("wb") as log:
        tap = namespaces.spawn(
            "far",
            ["tcpdump", "-i", "v0", "-w", str(capture), "-U", "--immediate-mode", "-Z", "root",
             "udp", "port", "8620"],
            output=log,
        )  # fmt: skip
    reflector = namespaces.spawn("far", [*AGENT, "reflect", "--bind", far_end, *more])
    wait_for(lambda: b"listening" in (folder / "tcpdump.log").read_bytes(), 20)
    wait_for(lambda: f"{net}::2".encode() in _listeners(), 20)
    with (folder / "out.json").open("wb") as out:
        probe = namespaces.spawn(
            "near",
            [*AGENT, "probe", far_end, "--rate", "100", "--duration", "0.5", "--size", "200",
             "--dscp", "46", "--json", *more],
            output=out,
        )  # fmt: skip
        assert probe.wait(timeout=20) == 0
    wait_for(lambda: capture.stat().st_size >= 24 + 2 * PACKETS * RECORD_BYTES, 20)
    for process in (tap, reflector):
        namespaces.end(process)
    return dict(json.loads((folder / "out.json").read_bytes()))


def _listeners() -> bytes:
    found = subprocess.run(
        ["ip", "netns", "exec", "far", "ss", "-lunH"], capture_output=True, check=True
    )
    return found.stdout


@needs_namespaces()
@needs.programs("tcpdump")
@pytest.mark.filterwarnings("ignore")  # scapy's imports warn about crypto it does not need here
@pytest.mark.parametrize(
    ("key", "net"),
    [(None, "fd00"), (KEY, "fd00"), (None, "fe80")],
    ids=["open", "authenticated", "link-local"],
)
def test_ipv6_size_and_dscp_are_on_the_wire(key: bytes | None, net: str, tmp_path: Path) -> None:
    """Over a veth: payload of the size asked for, traffic class, and packets that scapy reads."""
    from scapy.contrib import stamp as scapy_stamp
    from scapy.layers.inet import UDP
    from scapy.layers.inet6 import IPv6
    from scapy.utils import rdpcap

    if key is not None:
        (tmp_path / "key").write_bytes(key)
    answer = tmp_path / "answer.json"

    def inside() -> int:
        found = _over_veth(tmp_path, None if key is None else tmp_path / "key", net)
        answer.write_bytes(msgspec.json.encode(found))
        return 0

    assert run_isolated(inside) == 0
    summary = msgspec.json.decode(answer.read_bytes())
    assert (summary["sent"], summary["received"], summary["rtt_kernel_ns"]["n"]) == (50, 50, 50)

    packets = [p for p in rdpcap(str(tmp_path / "far.pcap")) if UDP in p]
    requests = [p for p in packets if p[UDP].dport == 8620]
    replies = [p for p in packets if p[UDP].sport == 8620]
    assert len(requests) == len(replies) == PACKETS
    assert {p[IPv6].tc for p in requests} == {46 << 2}
    assert {p[UDP].len - 8 for p in packets} == {200}
    for request, reply in zip(requests[:20], replies[:20], strict=True):
        asked, told = (bytes(p[UDP].payload) for p in (request, reply))
        sent = stamp.decode_sender(asked, key)
        got = stamp.decode_reflector(told, key)
        assert (got.sender_sequence, got.session_id) == (sent.sequence, sent.session_id)
        if key is None:
            read = scapy_stamp.STAMPSessionReflectorTestUnauthenticated(told)
            assert read.seq_sender == sent.sequence
            assert read.ssid == sent.session_id
            assert read.ttl_sender == 64
