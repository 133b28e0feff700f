"""Starting `bench` as a user does, and asking whether this machine can build a lab."""

import functools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from podbench.campaign import prerequisites

BENCH = [sys.executable, "-m", "podbench.cli"]


def bench(*arguments: str, timeout_s: float = 280) -> "subprocess.CompletedProcess[str]":
    """Runs `bench` to its end, as where there is no kubeconfig: a run is then the lab's."""
    return subprocess.run(
        [*BENCH, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, "KUBECONFIG": os.devnull},
    )


BEGUN_S = 150.0
"""A lab is built and its first round on disk by then, on a machine with much else to do too."""


def small_run(out: Path, *options: str) -> list[str]:
    """The command of a short run on the lab, for tests that strike or interrupt it.

    Args:
        out: the run's directory.
        options: further ones of `bench run`.
    """
    sized = ("--target", "lab", "--nodes", "2", "--blocks", "1", "--seed", "3")
    return [*BENCH, "run", *sized, *options, "--out", str(out)]


@functools.cache
def lab_trouble() -> str | None:
    """Why this machine cannot build a lab; null when it can."""
    for program in prerequisites.PACKAGES:
        if shutil.which(program, path=prerequisites.SEARCH_PATH) is None:
            return f"{program} is not installed"
    done = subprocess.run(["unshare", "-Urn", "true"], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stderr.strip()


def wait_for(condition: Callable[[], bool], timeout_s: float) -> None:
    """Polls until a condition holds.

    Raises:
        TimeoutError: It does not, in time.
    """
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError("the condition did not come true in time")
        time.sleep(0.05)
