"""Headless Chromium for tests of the report: runs a page, hands back what became of it."""

import html
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
_LIMIT_S = 120

_FETCHED = Path(__file__).parents[2].glob(".venv/axe-core@*/node_modules/axe-core/axe.min.js")
AXE_CORE = os.environ.get("AXE_CORE") or next((str(path) for path in _FETCHED), None)
"""The accessibility checker; `scripts/test` fetches it with npm."""
NO_AXE_CORE = "no axe-core: npm is missing or could not fetch it, and AXE_CORE names no file"
_AXE = """
return axe.run().then(function (r) { return r.violations.map(function (v) {
  return v.id + ': ' + v.nodes[0].html.slice(0, 120); }); });
"""


def run(profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs Chromium with a profile of its own until it ends by itself."""
    assert CHROMIUM is not None, "the caller skips where Chromium is missing"
    return subprocess.run(
        [CHROMIUM, *_FLAGS, f"--user-data-dir={profile}", *options],
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )


def dom(page: Path, profile: Path, *options: str) -> tuple[str, list[str]]:
    """The page's elements after its scripts ran, and the lines it wrote to the console."""
    done = run(
        profile, *options, "--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom",
        page.as_uri(),
    )  # fmt: skip
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def driven(page: Path, script: str, folder: Path, *options: str) -> object:
    """What a script returns (as JSON) that runs inside the page once it is loaded.

    The page's own policy forbids foreign scripts, so a copy without it is opened; what the policy
    itself forbids is tested on the page as it is.
    """
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    call = (
        "<script>Promise.resolve((function(){" + script + "})()).then(function(found){"
        "document.documentElement.innerHTML='<body><pre id=\"found\"></pre></body>';"
        "document.getElementById('found').textContent=JSON.stringify(found);});</script></body>"
    )
    copy = folder / "driven.html"
    copy.write_text(text.replace("</body>", call), encoding="utf-8")
    shown, _ = dom(copy, folder / "driven-profile", *options)
    match = re.search(r'<pre id="found">(.*?)</pre>', shown, re.DOTALL)
    assert match is not None, "the script inside the page did not finish"
    return json.loads(html.unescape(match[1]))


_WIDTHS = """
parent.postMessage([window.innerWidth, document.documentElement.scrollWidth,
  Array.from(document.querySelectorAll('.scroll,p,h1,h2,dd')).filter(function (e) {
    return e.getBoundingClientRect().right > window.innerWidth + 1; }).length], '*');
"""


def overflows(page: Path, folder: Path, widths: Sequence[int]) -> dict[int, tuple[int, int]]:
    """By width of the window: how far the page reaches beyond it, and how many boxes do.

    A window is never narrower than 500 px; a frame is, so every width is a frame of one page.
    """
    inner, outer = folder / "framed.html", folder / "frames.html"
    text = page.read_text(encoding="utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    inner.write_text(text.replace("</body>", f"<script>{_WIDTHS}</script></body>"), "utf-8")
    frames = "".join(
        f'<iframe src="framed.html" style="width:{width}px;height:900px;border:0"></iframe>'
        for width in widths
    )
    listen = "addEventListener('message',function(e){document.title+='['+e.data+']'})"
    outer.write_text(f"<title></title><script>{listen}</script><body>{frames}", "utf-8")
    shown, _ = dom(outer, folder / "frames-profile", "--window-size=1400,1000")
    told = re.findall(r"\[(\d+),(\d+),(\d+)\]", shown.partition("</title>")[0])
    return {int(wide): (int(page_px) - int(wide), int(out)) for wide, page_px, out in told}


_ON_PAPER = """
var page = document.querySelector('.page').cloneNode(true);
page.querySelectorAll('.sr,.bulk,.figs,nav,.screen,.readout,.same>summary,svg,.compact .heat')
  .forEach(function (e) { e.remove(); });
page.querySelectorAll('td,th,p,li,caption,summary,h1,h2,h3,h4,dt,pre,span')
  .forEach(function (e) { e.prepend(' '); e.append(' '); });
return page.textContent.split(/[\\s-]+/).filter(function (w) { return w.length > 3; });
"""


def printed(page: Path, folder: Path) -> tuple[list[str], list[str]]:
    """Words that lie beyond the paper's edge, and words of the page that paper does not hold.

    What is left off paper on purpose (long folded tables, the figures of matrices that are colour
    only, the list of contents) is not missed.
    """
    pdf = folder / "printed.pdf"
    run(folder / "print-profile", "--no-pdf-header-footer", f"--print-to-pdf={pdf}", page.as_uri())
    done = subprocess.run(
        ["pdftotext", "-bbox", str(pdf), "-"], capture_output=True, text=True, check=True
    )
    found = re.findall(
        r'<word xMin="([-\d.]+)" yMin="([-\d.]+)" xMax="([-\d.]+)" yMax="([-\d.]+)">([^<]*)',
        done.stdout,
    )
    size = re.search(r'<page width="([\d.]+)" height="([\d.]+)"', done.stdout)
    assert size is not None
    wide, high = float(size[1]), float(size[2])
    beyond = [
        word
        for x0, y0, x1, y1, word in found
        if float(x0) < 0 or float(y0) < 0 or float(x1) > wide or float(y1) > high
    ]
    held = "".join(html.unescape(word) for *_, word in found).replace("\u2060", "")
    wanted = driven(page, _ON_PAPER, folder)
    assert isinstance(wanted, list)
    plain = [str(word).replace("\u2060", "") for word in wanted]
    return beyond, sorted({word for word in plain if word not in held})


def axe_violations(page: Path, folder: Path, *, dark: bool) -> object:
    """What axe-core finds wrong with a page, in words; an empty list where it is sound."""
    assert AXE_CORE is not None, "the caller skips where axe-core is missing"
    script = Path(AXE_CORE).read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    copy = folder / "checked.html"
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    option = ("--blink-settings=preferredColorScheme=0",) if dark else ()
    return driven(copy, _AXE, folder, *option)
