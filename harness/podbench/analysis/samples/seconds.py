"""Per second of the run, the p99 of round trips by initiating node: tails kept, the rest counted.

A p99 of n samples by Harrell-Davis looks at little more than the largest hundredth of them
(`quantiles`). So of every piece only that tail is kept, for up to eight times as many samples in
the same second from other pieces: enough for the exact figure unless a second is shared by pieces
of very different size, where it is the figure of what was kept. A picture, not a figure: see
`timeline`.
"""

from collections.abc import Iterable
from itertools import pairwise

import msgspec
import numpy as np

from podbench.analysis.samples.compact import Small, full, small
from podbench.analysis.samples.series import WARM
from podbench.analysis.samples.streams import FloatArray, IntArray, Streams
from podbench.analysis.stats import quantiles

MACHINE = "machine"
"""All initiators together, and the host series of a lab, where all nodes share one machine."""
Q = 0.99
DRAWN_FROM = 100
_OTHERS = 8
_AT_LEAST = 2_048
_SECOND_NS = 1_000_000_000

Spot = tuple[str, int]
"""Node and second."""


class Tail(msgspec.Struct):
    """How many samples there were, and the largest of them in pieces."""

    n: int
    largest: list[Small]


Tails = dict[str, dict[Spot, Tail]]
"""By `kernel` and `app`."""


def _kept(values: FloatArray) -> Small:
    """The samples a p99 can look at when eight times as many share the second."""
    wanted = quantiles.beyond(max(_OTHERS * len(values), _AT_LEAST), Q)
    if wanted < len(values):
        # A copy: a slice would keep all values alive, for every second of the run.
        values = np.partition(values, len(values) - wanted)[-wanted:].copy()
    return small(values)


def tails(streams: Streams, zero_ns: int) -> Tails:
    """The tails of every node and second that warm probes were sent in, one piece's."""
    slices: dict[Spot, list[slice]] = {}
    for i, key in enumerate(streams.keys):
        if key.phase == WARM:
            first, last = int(streams.starts[i]), int(streams.starts[i + 1])
            second = (streams.mono_ns[first:last] - zero_ns) // _SECOND_NS
            for time, where in _by_second(second, first):
                slices.setdefault((key.src, time), []).append(where)
                slices.setdefault((MACHINE, time), []).append(where)
    found: Tails = {"kernel": {}, "app": {}}
    for name, values in (("kernel", streams.kernel_ns), ("app", streams.app_ns)):
        for spot, held in slices.items():
            part = np.concatenate([values[where] for where in held])
            part = part[np.isfinite(part)]
            if len(part):
                found[name][spot] = Tail(len(part), [_kept(part)])
    return found


def _by_second(second: IntArray, first: int) -> Iterable[tuple[int, slice]]:
    """Rows of each second of one stream, which lie in order of time."""
    edges = np.concatenate(([0], np.flatnonzero(np.diff(second)) + 1, [len(second)])).tolist()
    for low, high in pairwise(edges):
        yield int(second[low]), slice(first + low, first + high)


def merge(into: Tails, more: Tails) -> None:
    """Adds another piece's tails."""
    for name, held in more.items():
        own = into.setdefault(name, {})
        for spot, tail in held.items():
            seen = own.get(spot)
            if seen is None:
                own[spot] = tail
            else:
                seen.n += tail.n
                seen.largest.extend(tail.largest)


def p99(tails_of_name: dict[Spot, Tail]) -> dict[str, dict[int, float]]:
    """By node, then second, where at least 100 samples came back."""
    found: dict[str, dict[int, float]] = {}
    for (node, second), tail in tails_of_name.items():
        if tail.n >= DRAWN_FROM:
            largest = np.sort(np.concatenate([full(part) for part in tail.largest]))
            value = quantiles.harrell_davis_of_tail(largest, tail.n, Q)
            found.setdefault(node, {})[second] = value
    return found
