"""Facts of the agent's own namespace, firmware and CPU."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from podbench.wire import messages
from podbench_agent import evidence


@pytest.mark.parametrize(
    ("maker", "product", "expected"),
    [
        ("Amazon EC2\n", "c6in.4xlarge\n", "Amazon EC2 c6in.4xlarge"),
        ("QEMU\n", "", "QEMU"),
        ("", "", None),
    ],
)
def test_machines(maker: str, product: str, expected: str | None) -> None:
    """Boards without such firmware have none."""
    assert evidence.machine(maker, product) == expected


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu hypervisor lahf_lm\n", True),
        ("processor\t: 0\nflags\t\t: fpu lahf_lm\n", False),
        ("processor\t: 0\nFeatures\t: fp asimd\n", None),
        ("", None),
    ],
)
def test_hypervisors_by_the_cpu_s_flag(cpuinfo: str, *, expected: bool | None) -> None:
    """Arm has no such flag: not known, rather than bare metal."""
    assert evidence.hypervisor(cpuinfo) is expected


def test_this_namespace_is_read_whole() -> None:
    """Devices with what their drivers say, but for the loopback; kernel and CPU as ever."""
    answer = evidence.answer(messages.ReadFacts(node="n1"))
    assert isinstance(answer, messages.Facts)
    links = {link.name: link for link in answer.read.links}
    assert links.pop("lo").nic is None
    assert all(link.nic is not None for link in links.values())
    assert answer.read.kernel


class _Handler(http.server.BaseHTTPRequestHandler):
    answer = (200, b"nftables")

    def do_GET(self) -> None:
        """Answers /proxyMode as told, and nothing else."""
        status, body = self.answer if self.path == "/proxyMode" else (404, b"")
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base's name
        """Says nothing."""


@pytest.fixture
def kube_proxy() -> Iterator[int]:
    """A port on the loopback where something answers as `_Handler.answer` says."""
    with http.server.HTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((200, b"nftables"), "nftables"),
        ((200, b"iptables\n"), "iptables"),
        ((200, b"<html>something else"), None),
        ((500, b"iptables"), None),
    ],
)
def test_kube_proxy_tells_its_mode(
    kube_proxy: int,
    monkeypatch: pytest.MonkeyPatch,
    answer: tuple[int, bytes],
    expected: str | None,
) -> None:
    """Its own word, and only its: another server's answer is none."""
    monkeypatch.setattr(_Handler, "answer", answer)
    assert evidence.proxy_mode(kube_proxy) == expected


def test_where_nobody_listens_there_is_no_mode(kube_proxy: int) -> None:
    """As in every pod. The port is free once more when it is asked."""
    with http.server.HTTPServer(("127.0.0.1", 0), _Handler) as server:
        port = server.server_port
    assert port != kube_proxy
    assert evidence.proxy_mode(port) is None


def test_peers_are_read_off_connections_on_port_179() -> None:
    """Either end may have called; listening and closing sockets are no session."""
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue\n"
        "   0: 020012AC:00B3 030012AC:A1B2 01 00000000:00000000\n"
        "   1: 020012AC:A1B3 040012AC:00B3 01 00000000:00000000\n"
        "   2: 00000000:00B3 00000000:0000 0A 00000000:00000000\n"
        "   3: 020012AC:00B3 050012AC:A1B2 06 00000000:00000000\n"
        "   4: 020012AC:0050 060012AC:A1B2 01 00000000:00000000\n"
    )
    found = evidence.bgp_sessions(table)
    assert [each.peer for each in found] == ["172.18.0.3", "172.18.0.4"]
    assert {each.state for each in found} == {"Established"}
    assert evidence.bgp_sessions("") == ()
