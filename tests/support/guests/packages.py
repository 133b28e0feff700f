"""Debian packages of other releases, unpacked into a cache outside the checkout, not installed.

apt gets a configuration and lists of its own below the cache, so the machine's stay as they are.
The archive is the one that this machine's apt uses already.
"""

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FETCH_S = 300.0
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


class UnavailableError(Exception):
    """This machine cannot have the guest; says what it lacks."""


def cache() -> Path:
    """Where kernels are kept: PODBENCH_GUESTS, else podbench/guests in the user's cache folder."""
    named = os.environ.get("PODBENCH_GUESTS")
    if named:
        return Path(named).resolve()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "podbench" / "guests"


def unpacked(package: str, suite: str) -> Path:
    """The folder that holds the files of a package from a Debian release; fetched once.

    Raises:
        UnavailableError: There is no Debian archive to take it from, or it does not answer.
    """
    folder = cache() / suite / package
    with _locked(suite):
        if not folder.is_dir():
            fresh = folder.with_name(f".{package}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            for file in _fetched(package, suite, fresh):
                _run("dpkg", "-x", str(file), str(fresh))
                file.unlink()
            fresh.rename(folder)
    return folder


@contextmanager
def _locked(suite: str) -> Iterator[None]:
    """One process at a time fetches from a release: tests run in several."""
    (cache() / suite).mkdir(parents=True, exist_ok=True)
    with (cache() / suite / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetched(package: str, suite: str, folder: Path) -> list[Path]:
    configuration = _configuration(suite)
    apt = {"APT_CONFIG": str(configuration)}
    # A package without files of its own names the one that has them (linux-image-cloud-amd64).
    text = _run("apt-cache", "depends", package, environment=apt)
    behind = re.findall(r"Depends: (linux-image-\S+)", text)
    _run("apt-get", "-qq", "download", *(behind or [package]), environment=apt, folder=folder)
    return list(folder.glob("*.deb"))


def _configuration(suite: str) -> Path:
    """One release's lists, below the cache; returns apt's configuration that names them."""
    root = cache() / suite / ".apt"
    configuration = root / "apt.conf"
    if configuration.is_file():
        return configuration
    archive = _archive()
    for name in ("lists/partial", "cache/archives/partial"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "sources.list").write_text(f"deb [signed-by={KEYRING}] {archive} {suite} main\n")
    fresh = root / "apt.conf.new"
    fresh.write_text(
        f'Dir::Etc::sourcelist "{root}/sources.list";\nDir::Etc::sourceparts "-";\n'
        f'Dir::State::lists "{root}/lists";\nDir::State::status "/dev/null";\n'
        f'Dir::Cache "{root}/cache";\nAPT::Sandbox::User "";\nAcquire::Languages "none";\n'
    )
    _run("apt-get", "-qq", "update", environment={"APT_CONFIG": str(fresh)})
    if not list((root / "lists").glob("*_Packages*")):
        raise UnavailableError(f"the Debian archive of this machine has no {suite}")
    fresh.rename(configuration)
    return configuration


def _archive() -> str:
    """The address of the Debian archive that this machine uses."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise UnavailableError("no apt-get and dpkg to fetch Debian packages with")
    if _run("dpkg", "--print-architecture").strip() != "amd64":
        raise UnavailableError("guests need an x86-64 machine")
    if not KEYRING.exists():
        raise UnavailableError(f"{KEYRING} is missing (package debian-archive-keyring)")
    wanted = ("Created-By: Packages", "Origin: Debian", "Label: Debian", "Component: main")
    found = _run("apt-get", "indextargets", "--format", "$(REPO_URI)", *wanted).split()
    if not found:
        raise UnavailableError("apt knows no Debian archive here; try: apt-get update")
    return found[0]


def _run(
    *command: str, environment: dict[str, str] | None = None, folder: Path | None = None
) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=FETCH_S,
            cwd=folder,
            env=os.environ | {"LC_ALL": "C"} | (environment or {}),
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{command[0]} did not finish within {FETCH_S:g} s") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UnavailableError(f"{' '.join(command[:3])}: {last}")
    return done.stdout
