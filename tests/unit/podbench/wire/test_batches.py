"""Answers cut into parts and put together again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podbench.model.errors import RemoteProtocolError
from podbench.wire import batches, columns, messages

DONE = messages.Done(facts={"port": 5201})


def table(count: int, seed: int) -> columns.Table:
    """A table that does not compress."""
    return {"x": np.random.default_rng(seed).integers(0, 2**62, count)}


@given(
    counts=st.lists(st.integers(min_value=0, max_value=90_000), max_size=3),
    order=st.randoms(use_true_random=False),
)
def test_parts_in_any_order_and_twice_give_the_answer(counts: list[int], order: object) -> None:
    """However the parts arrive, each at least once, the answer and its tables are what was sent."""
    tables = {f"t{place}": table(count, place) for place, count in enumerate(counts)}
    parts = batches.cut(7, DONE, tables)
    arriving = parts + parts[:1]
    order.shuffle(arriving)  # type: ignore[attr-defined] # random.Random by hypothesis
    assembly = batches.Assembly()

    whole = [assembly.add(part) for part in arriving]
    answer, back = assembly.whole()

    assert whole[-1]
    assert answer == DONE
    assert list(back) == list(tables)
    for name, sent in tables.items():
        np.testing.assert_array_equal(back[name]["x"], sent["x"])


def test_parts_stay_below_the_limit() -> None:
    """A large table is cut, small ones share a part, and only the last part carries the answer."""
    tables = {"large": table(100_000, 1), "a": table(10, 2), "b": table(10, 3)}
    parts = batches.cut(1, DONE, tables)

    assert [part.number for part in parts] == list(range(len(parts)))
    assert all(sum(map(len, part.tables.values())) <= batches.PART_BYTES for part in parts)
    assert len(parts) == 4
    assert {"a", "b"} <= parts[-1].tables.keys()
    assert [part.answer for part in parts] == [None, None, None, DONE]
    assert [part.last for part in parts] == [False, False, False, True]


def test_an_answer_without_tables_is_one_part() -> None:
    """A plain answer is a single closing part."""
    assert batches.cut(1, DONE, {}) == [messages.Response(id=1, number=0, last=True, answer=DONE)]


def test_missing_parts_are_noticed() -> None:
    """Without all parts there is no answer."""
    parts = batches.cut(1, DONE, {"large": table(100_000, 1)})
    assembly = batches.Assembly()

    assert not assembly.add(parts[-1])
    with pytest.raises(RemoteProtocolError, match="parts missing"):
        assembly.whole()


def test_a_last_part_without_answer_is_refused() -> None:
    """The closing part must carry the answer."""
    assembly = batches.Assembly()

    assert assembly.add(messages.Response(id=1, number=0, last=True))
    with pytest.raises(RemoteProtocolError, match="no answer"):
        assembly.whole()


@pytest.mark.parametrize("came", [slice(0, 2), slice(-1, None)])
def test_a_failure_ends_an_answer_of_which_parts_came(came: slice) -> None:
    """Whichever came, the rest will not: the failure is the answer."""
    assembly = batches.Assembly()
    for part in batches.cut(1, DONE, {"large": table(100_000, 1)})[came]:
        assert not assembly.add(part)
    failed = messages.Failed(reason="not kept")

    assert [assembly.add(part) for part in batches.cut(1, failed, {})] == [True]
    assert assembly.whole() == (failed, {})
