"""Headless Chromium for tests of the report: runs a page, hands back what became of it."""

import html
import json
import os
import re
import shutil
import subprocess
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


def axe_violations(page: Path, folder: Path, *, dark: bool) -> object:
    """What axe-core finds wrong with a page, in words; an empty list where it is sound."""
    assert AXE_CORE is not None, "the caller skips where axe-core is missing"
    script = Path(AXE_CORE).read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    copy = folder / "checked.html"
    copy.write_text(text.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    option = ("--blink-settings=preferredColorScheme=0",) if dark else ()
    return driven(copy, _AXE, folder, *option)
