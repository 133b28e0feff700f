"""TCP request and response on an open connection: round trips as an application sees them."""

from podbench.campaign.agents import End
from podbench.campaign.pairwise import Settings

DURATION_S = 0.5
COUNT = 2000
"""Enough for a pair's p99 in one round; at most half a second's worth is taken."""
LIFETIME_S = 10.0
"""The far end waits this long for its one connection."""


def settings(near: End, far: End) -> tuple[Settings, Settings]:
    """For the far end and for the near one."""
    return (
        {"bind_address": far.address, "lifetime_s": LIFETIME_S},
        {
            "peer_address": far.address,
            "bind_address": near.address,
            "count": COUNT,
            "duration_s": DURATION_S,
        },
    )
