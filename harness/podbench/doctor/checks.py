"""The checks of `bench doctor`, and the exit code they add up to.

`machine`, `modules`, `lab`, `cluster` and `instrument` produce checks; `cli.doctor` prints them.
"""

import os
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

SHOWN = 4
"""Names that a line shows of many."""


class Need(StrEnum):
    """The effect of a failed check on `bench run`."""

    RUN = "run"
    """Nothing can be measured."""
    PART = "part"
    """A run works, but part of it is `not measured`."""
    ADVICE = "advice"
    """A run works, with worse figures or without one option."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check. `ok` is null where the answer is unknown."""

    name: str
    ok: bool | None
    found: str
    needed_for: str
    need: Need
    advice: str | None = None
    package: str | None = None
    """The Debian package that fixes it, if any."""


def exit_code(checks: Iterable[Check]) -> int:
    """0: all modes can be measured; 3: a run works but is incomplete; 2: no run is possible."""
    needed = [c for c in checks if c.need != Need.ADVICE]
    if any(c.need == Need.RUN and c.ok is False for c in needed):
        return 2
    return 0 if all(c.ok for c in needed) else 3


def apt_line(checks: Iterable[Check]) -> str | None:
    """The command that installs all missing packages; null if none is missing."""
    packages = sorted({c.package for c in checks if c.package and not c.ok})
    if not packages:
        return None
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install --no-install-recommends -y {' '.join(packages)}"


def listed(names: Sequence[str]) -> str:
    """The first few names and the number of others."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
