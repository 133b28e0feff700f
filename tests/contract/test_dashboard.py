"""The Grafana dashboard against a real Prometheus that scraped a run's export."""

import http.server
import json
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support import needs, rundirs, synthetic
from support.bench import bench, wait_for

from podbench.model.summary import StealRatio

DASHBOARD = Path(__file__).resolve().parents[2] / "docs" / "grafana" / "podbench.json"
PANELS = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
READY_S = 120.0
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

pytestmark = needs.programs("prometheus")
Ask = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(name="ask", scope="module")
def _ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Asks a Prometheus that has scraped a made-up run with loss and stolen CPU."""
    folder = tmp_path_factory.mktemp("prometheus")
    shape = synthetic.Shape(nodes=2, blocks=5, modes=("vxlan", "bgp"))
    truth = synthetic.Truth(loss_forward={"vxlan/pod": 0.01})
    summary = rundirs.write(folder / "r", synthetic.run(7, shape, truth))
    stolen = StealRatio(p50=0.0, p99=0.04, max=0.2)
    nodes = tuple(msgspec.structs.replace(n, steal_ratio=stolen) for n in summary.nodes)
    rundirs.replace_summary(folder / "r", nodes=nodes)
    metrics = folder / "metrics.txt"
    done = bench("export", str(folder / "r"), "--format", "prometheus", "--out", str(metrics))
    assert done.returncode == 0, done.stderr
    with _served(metrics) as target, _prometheus(folder, target) as base:
        yield lambda query: _answer(base, query)


@contextmanager
def _served(file: Path) -> Iterator[str]:
    """One file over HTTP on the loopback, as an exporter serves it; yields host:port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", OPENMETRICS)
            self.end_headers()
            self.wfile.write(file.read_bytes())

        def log_message(self, *_: object) -> None:
            """Stays quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextmanager
def _prometheus(folder: Path, target: str) -> Iterator[str]:
    """A Prometheus that has scraped the target at least once; yields its address."""
    config = folder / "prometheus.yml"
    job = {"job_name": "run", "static_configs": [{"targets": [target]}]}
    config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    command = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with subprocess.Popen(command) as server:
        try:
            wait_for(lambda: _scraped(base, server), READY_S)
            yield base
        finally:
            server.terminate()


def _scraped(base: str, server: subprocess.Popen[bytes]) -> bool:
    assert server.poll() is None, "prometheus ended"
    try:
        return bool(_answer(base, "podbench_run_info"))
    except (urllib.error.URLError, ConnectionError):
        return False


def _answer(base: str, query: str) -> list[dict[str, Any]]:
    asked = urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(f"{base}/api/v1/query?{asked}", timeout=10) as answer:
        found = json.load(answer)
    assert found["status"] == "success"
    return list(found["data"]["result"])


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_each_panel_shows_something(ask: Ask, panel: dict[str, Any]) -> None:
    """Every query of every panel finds series of the run it selects, and no other run's."""
    for target in panel["targets"]:
        assert "$run" in target["expr"]
        assert ask(target["expr"].replace("$run", "made-up|.+")), target["expr"]
        assert not ask(target["expr"].replace("$run", "another")), target["expr"]


def test_the_run_variable_lists_runs(ask: Ask) -> None:
    """What the variable reads has the label that the panels select by."""
    assert all(each["metric"]["run_id"] for each in ask("podbench_run_info"))
