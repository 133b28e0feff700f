"""The tools side by side on support/vxlan_path.py: results with the noise they were taken in."""

import sys
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2]))

from support import vxlan_path

from podbench.doctor.peers import Ends, Seen

ENDS = Ends(near="pa", far="pb", address=vxlan_path.POD_B)


class Result(Seen, frozen=True, kw_only=True):
    """One tool, one turn."""

    burners: int


def under(burners: int, seen: Seen) -> Result:
    """What a tool saw, with the CPU burners beside it."""
    return Result(burners=burners, **msgspec.structs.asdict(seen))
