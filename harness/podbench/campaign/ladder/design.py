"""Which shares of the capacity a block's visits climb: the ladder's design. Pure.

Each block takes two of the four shares for each kind, the same in every arm. Six blocks take every
pair of shares once, in an order drawn from the seed, so that each share comes three times; the next
six draw anew. Step 0 is the warm stretch. The price's interval was simulated for this design
(docs/statistics.md). Next: plan.py.
"""

import itertools
import random

from podbench.campaign.ladder.rows import KINDS

SHARES = (0.25, 0.5, 0.75, 0.9)
"""Up to 90 %: the capacity is what every arm holds with 20 % of its busiest CPU to spare."""


def of_block(seed: int, block: int) -> tuple[tuple[str, float], ...]:
    """Kind and share of the load steps of a block's visits; `block` from 1."""
    found = []
    for kind in KINDS:
        pairs = list(itertools.combinations(SHARES, 2))
        turn, place = divmod(block - 1, len(pairs))
        random.Random(f"{seed} {kind} {turn}").shuffle(pairs)  # noqa: S311 - a schedule, not a secret
        found += [(kind, share) for share in pairs[place]]
    return tuple(found)
