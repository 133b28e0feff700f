"""Probes that a pair runs once in each warm round, on both paths: one file each.

A probe exists because its file is in this folder: its name is then a word of `--probes` and the
folder of its samples (`store.schemas` has the columns). The agent's half has the same name in
`podbench_agent.probes.pairwise`. `campaign.pairs` runs them; this file imports none of them, for
the option table needs their names only.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

from podbench.model.arms import Path

if TYPE_CHECKING:
    from podbench.campaign.agents import End

PATHS = (Path.POD, Path.HOST)

Settings = dict[str, str | int | float]


class Probe(Protocol):
    """What a file of this folder has."""

    DURATION_S: float
    """How long the near end measures at most."""

    def settings(self, near: "End", far: "End") -> tuple[Settings, Settings]:
        """For the far end and for the near one, which also gets `peer_port`."""


def names() -> tuple[str, ...]:
    """The probes in this folder."""
    return tuple(module.name for module in pkgutil.iter_modules(__path__))


def chosen(probes: Sequence[str]) -> tuple[str, ...]:
    """Those of a run's probes that are in this folder."""
    return tuple(name for name in names() if name in probes)


def load(name: str) -> Probe:
    """The file of a probe."""
    return cast("Probe", importlib.import_module(f"{__name__}.{name}"))


def round_s(probes: Sequence[str], setup_s: float) -> float:
    """What the chosen ones add to a group of pairs, seconds."""
    lengths = [load(name).DURATION_S + setup_s for name in chosen(probes)]
    return len(PATHS) * sum(lengths)
