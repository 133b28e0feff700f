"""The limit on address space (`ulimit -v`), looked at before libraries hang or fail below it."""

import resource
from collections.abc import Sequence

from podbench.model.errors import PrerequisiteError

LEAST_BYTES = 1 << 30
"""NumPy, pandas and Arrow map 600 MB before the first sample is read."""
HEAVY = frozenset({"run", "resume", "report", "compare", "gate", "export", "trend"})


def limit() -> int | None:
    """Octets of address space that this process may have; null: no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def require(arguments: Sequence[str]) -> None:
    """Refuses a command that loads numeric libraries where they have no room.

    Raises:
        PrerequisiteError: The limit is too low.
    """
    allowed = limit()
    command = next((word for word in arguments if not word.startswith("-")), "")
    if command in HEAVY and allowed is not None and allowed < LEAST_BYTES:
        raise PrerequisiteError(
            f"`ulimit -v` allows this process {allowed >> 20} MiB of address space; `bench "
            f"{command}` takes {LEAST_BYTES >> 20}",
            advice="ulimit -v unlimited",
        )
