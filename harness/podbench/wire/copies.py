"""Duplicates, order and counters over the replies of one session.

wire/replies.py reads each reply, this module compares them. Pure functions on arrays.

- A copy made on the way there is a request of its own to the reflector: it has its own receive time
  (and, where the reflector counts, its own number). A copy made on the way back repeats both.
- Order is that of the whole session, across its source ports, by kernel receive stamps: the
  sockets of a session are read one after the other, which says nothing about the wire.
"""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def reordering(arrived_seq: Ints) -> tuple[Bools, Ints]:
    """RFC 4737 sections 3 and 4.2: which arrivals are reordered, and their extent (0 if in order).

    Args:
        arrived_seq: (m,) sequence numbers of the first copies, in order of arrival.
    """
    if len(arrived_seq) == 0:
        return np.zeros(0, dtype=bool), np.zeros(0, dtype=np.int64)
    highest = np.maximum.accumulate(arrived_seq)
    reordered = arrived_seq < highest
    earliest = np.searchsorted(highest, arrived_seq, side="right")
    extent = np.where(reordered, np.arange(len(arrived_seq)) - earliest, 0)
    return reordered, extent


def reordered_by(seq: Ints, time: Ints) -> tuple[Bools, Ints]:
    """Returns the reordered rows and their extent; `time` gives the order of arrival.

    Args:
        seq: (m,) ascending.
        time: (m,) of each; equal times count as in order.
    """
    order = np.argsort(time, kind="stable")
    late, extent = reordering(seq[order])
    back = np.argsort(order, kind="stable")
    return late[back], extent[back]


def duplicates(rows: int, row: Ints, r: Ints, t2: Ints) -> tuple[Ints, Ints]:
    """Counts duplicates per row: all, and those received separately by the reflector (forward)."""
    copies = np.bincount(row, minlength=rows)[:rows]
    apart = np.unique(np.stack([row, r, t2]), axis=1)[0] if len(row) else row
    answers = np.bincount(apart, minlength=rows)[:rows]
    return np.maximum(copies - 1, 0), np.maximum(answers - 1, 0)


def without_copies(row: Ints, r: Ints, t2: Ints) -> tuple[Ints, Ints]:
    """Corrects one flow's reflector counter for duplicates.

    Each copy made on the way there raised the counter by one for everything after it. Left out are
    all reflections of a row but the one with the lowest number.

    Returns:
        (rows answered, their corrected counter), in order of the rows.
    """
    apart = np.unique(np.stack([row, r, t2]), axis=1) if len(row) else np.zeros((3, 0), np.int64)
    # np.unique sorts by row, then number: the first of each row has its lowest.
    rows, first = np.unique(apart[0], return_index=True)
    extra = np.ones(apart.shape[1], dtype=bool)
    extra[first] = False
    copies = np.sort(apart[1][extra])
    numbers = apart[1][first]
    return rows, numbers - np.searchsorted(copies, numbers, side="left")


def one_clock(t1: Ints, t2: Ints, t3: Ints, t4: Ints) -> bool:
    """Reports whether the reflector's clock ran without a step: no offset jump by a round trip.

    Each round trip bounds the offset of the two clocks to +- half of itself (RFC 5905 section 8).
    """
    if len(t1) < 2:
        return True
    offset = (t2 - t1 + t3 - t4) // 2
    bound = np.maximum(t4 - t1, 0) // 2 + 1
    return bool((np.abs(np.diff(offset)) <= bound[1:] + bound[:-1]).all())
