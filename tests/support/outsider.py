"""Running a command as root and as an ordinary user, whoever runs the tests.

As root the ordinary user is `nobody`; it needs an interpreter it may execute, which a virtualenv in
root's home is not: then the system's own of the same version does, with this one's module path.
"""

import functools
import os
import shutil
import subprocess
import sys

import pytest

NOBODY = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--"]
OURSELVES = "as we are"
ORDINARY = "as an ordinary user"


def environment() -> dict[str, str]:
    """The module path of this interpreter, for any other; no bytecode into a foreign tree."""
    path = [entry for entry in sys.path if entry]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "error",
    }


def python(who: str) -> list[str]:
    """The beginning of a command line that runs Python as somebody; skips where it cannot be."""
    if who == OURSELVES:
        return [sys.executable]
    if os.geteuid() != 0:
        pytest.skip("needs root, to become somebody else")
    found = _for_nobody()
    if found is None:
        pytest.skip(f"needs a Python {sys.version_info.major}.{sys.version_info.minor} for nobody")
    return [*NOBODY, found]


@functools.cache
def _for_nobody() -> str | None:
    trial = (
        "import sys, msgspec, pyroute2, podbench.cli.main;"
        f"assert sys.version_info[:2] == {sys.version_info[:2]}"
    )
    for candidate in (sys.executable, "/usr/bin/python3"):
        if shutil.which("setpriv") is None:
            return None
        done = subprocess.run(
            [*NOBODY, candidate, "-c", trial],
            env=environment(),
            cwd="/",
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            return candidate
    return None
