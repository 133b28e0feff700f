"""Headless Chromium for tests of the report: runs a page, hands back what became of it."""

import html
import json
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
