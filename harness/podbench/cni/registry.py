"""Which CNIs podbench knows, and the driver of each.

Calico and Flannel have modes that podbench can deploy; Cilium has modes that it only observes;
every other network is observed as found.
"""

from podbench.cni.base import Driver
from podbench.cni.calico.driver import Calico
from podbench.cni.detect.workloads import NAMES
from podbench.cni.flannel.driver import Flannel
from podbench.cni.observed.cilium import Cilium
from podbench.cni.observed.generic import Generic
from podbench.model.errors import ConfigError

DRIVERS: dict[str, Driver] = {"calico": Calico(), "flannel": Flannel()}
"""Drivers whose modes can be deployed, by the name users type. They keep no state."""
OBSERVED: dict[str, Driver] = {"cilium": Cilium()}
UNKNOWN = "unknown"
"""The name of a network that nothing gave away."""


def names() -> tuple[str, ...]:
    """The CNIs whose modes podbench can deploy."""
    return tuple(DRIVERS)


def driver(name: str) -> Driver:
    """The driver of a CNI; of one that is only named, the one that observes any.

    Raises:
        ConfigError: No CNI of that name is known.
    """
    known = {**DRIVERS, **OBSERVED}
    named = {*NAMES, UNKNOWN}
    if name not in known and name in named:
        return Generic(name)
    if name not in known:
        raise ConfigError(f"unknown CNI {name}", advice=f"known are {', '.join((*known, *named))}")
    return known[name]
