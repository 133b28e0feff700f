"""What a check of `bench doctor` is, and what all of them together mean.

Checks are made by `doctor` (this machine), `doctor_lab` (its namespaces), `doctor_cluster` (a
cluster) and `instrument`; `cli.doctor` shows them alike.
"""

import os
from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

SHOWN = 4
"""Names that a line shows of many."""


class Need(StrEnum):
    """What a failed check means for `bench run`."""

    RUN = "run"
    """Nothing can be measured."""
    PART = "part"
    """A run works, something in it is `not measured`."""
    ADVICE = "advice"
    """A run works; its figures are worse, or one option cannot be used."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing looked at. `ok` is null where it could not be told."""

    name: str
    ok: bool | None
    found: str
    needed_for: str
    need: Need
    advice: str | None = None
    package: str | None = None
    """The Debian package that mends it, if one does."""


def exit_code(checks: Iterable[Check]) -> int:
    """0: all modes can be measured; 3: a run works, not all is measured; 2: no run."""
    needed = [c for c in checks if c.need != Need.ADVICE]
    if any(c.need == Need.RUN and c.ok is False for c in needed):
        return 2
    return 0 if all(c.ok for c in needed) else 3


def apt_line(checks: Iterable[Check]) -> str | None:
    """The one line that installs every package a failed check names; null when none does."""
    packages = sorted({c.package for c in checks if c.package and not c.ok})
    if not packages:
        return None
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install --no-install-recommends -y {' '.join(packages)}"


def listed(names: Sequence[str]) -> str:
    """The first few, and how many more."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
