"""The report in a real browser: silent, self-contained, sortable, whole on paper, sound by axe."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support import chromium, needs
from support.bundle_cases import Case
from support.bundles import make_bundle

from podbench_report import build

pytestmark = [
    pytest.mark.browser,
    needs.browser(),
]
WIDTHS = (390, 800, 1280)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of three nodes on disk."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    build.write(make_bundle(Case(faults=("loss n1>n2 1%",))), path)
    return path


def test_the_console_stays_silent(page: Path, tmp_path: Path) -> None:
    """No error, no warning, no violation of the page's own policy."""
    shown, console = chromium.dom(page, tmp_path / "p")

    assert console == []
    assert "Findings" in shown


def _asked_for(text: str, profile: Path) -> list[str]:
    """What a browser asks a server for when it is given this page, its policy taken out."""
    bare = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Notes the path; gives the page for the first one only."""
            seen.append(self.path)
            body = bare.encode() if self.path == "/report.html" else b""
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Keeps the server silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}/report.html"
        chromium.run(profile, "--virtual-time-budget=20000", "--dump-dom", address)
        server.shutdown()
        thread.join()
    return seen


def test_the_page_asks_for_nothing(page: Path, tmp_path: Path) -> None:
    """Even without its policy it requests only itself; a page that does more is noticed."""
    text = page.read_text(encoding="utf-8")
    bad = text.replace("<main>", '<main><img alt="" src="x.png">')

    assert _asked_for(text, tmp_path / "p") == ["/report.html"]
    assert _asked_for(bad, tmp_path / "q") == ["/report.html", "/x.png"]


def test_the_policy_blocks_what_would_be_asked_for(page: Path, tmp_path: Path) -> None:
    """A picture from elsewhere is refused, and the console tells."""
    bad = tmp_path / "bad.html"
    text = page.read_text(encoding="utf-8")
    picture = '<main><img alt="" src="http://192.0.2.1/x.png">'
    bad.write_text(text.replace("<main>", picture), encoding="utf-8")
    _, console = chromium.dom(bad, tmp_path / "p")

    assert any("Content Security Policy" in line for line in console)


SORT = """
var table = Array.from(document.querySelectorAll('table.sortable')).find(function (t) {
  return t.caption.textContent.indexOf('Kernel RTT') === 0 && t.tBodies[0].rows.length > 4; });
var head = table.tHead.rows[0].cells[1], out = [];
function column() { return Array.from(table.tBodies[0].rows).map(function (r) {
  return parseFloat(r.cells[1].getAttribute('data-v')); }); }
head.querySelector('button').click(); out.push([head.getAttribute('aria-sort'), column()]);
head.querySelector('button').click(); out.push([head.getAttribute('aria-sort'), column()]);
return out;
"""


def test_tables_sort_by_value_both_ways(page: Path, tmp_path: Path) -> None:
    """A click sorts upwards, another downwards, and the header says so."""
    found = chromium.driven(page, SORT, tmp_path)

    assert isinstance(found, list)
    (up, rising), (down, falling) = found
    assert (up, down) == ("ascending", "descending")
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert len(set(rising)) > 2


@pytest.mark.parametrize("case", [Case(), Case(nodes=20, zones=3, target="kubernetes")])
def test_no_width_breaks_the_layout(case: Case, tmp_path: Path) -> None:
    """The page never scrolls sideways; wide tables scroll inside their own box."""
    path = tmp_path / "report.html"
    build.write(make_bundle(case), path)

    assert chromium.overflows(path, tmp_path, WIDTHS) == dict.fromkeys(WIDTHS, (0, 0))


@needs.programs("pdftotext")
@pytest.mark.parametrize(
    "case",
    [Case(faults=("loss n1>n2 1%",)), Case(nodes=20, zones=3, target="kubernetes")],
    ids=["three nodes", "twenty nodes"],
)
def test_printing_cuts_nothing(case: Case, tmp_path: Path) -> None:
    """Paper holds every word that is not left off on purpose, and none beyond its edge."""
    path = tmp_path / "report.html"
    build.write(make_bundle(case), path)

    assert chromium.printed(path, tmp_path) == ([], [])


@pytest.mark.skipif(chromium.AXE_CORE is None, reason=chromium.NO_AXE_CORE)
@pytest.mark.parametrize(
    ("case", "dark"),
    [
        (Case(), False),
        (Case(), True),
        (Case(nodes=20, zones=3, target="kubernetes"), False),
        (Case(all_lost=True), False),
    ],
    ids=["light", "dark", "twenty nodes", "all lost"],
)
def test_axe_finds_no_violation(case: Case, tmp_path: Path, *, dark: bool) -> None:
    """The accessibility checker of the field, in light and dark."""
    path = tmp_path / "report.html"
    build.write(make_bundle(case), path)

    assert chromium.axe_violations(path, tmp_path, dark=dark) == []
