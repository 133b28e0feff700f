"""Putting one deployment's values where a rendering shows another's."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podbench.target.kubernetes.deploy.fill import OMIT, Several, fill

TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(TREES)
def test_without_anything_to_fill_in_a_tree_stays_itself(tree: Any) -> None:
    """And the tree given is never changed."""
    before = copy.deepcopy(tree)
    assert fill(tree, [], {}) == tree
    fill(tree, [(True, 0), (1, "x")], {"a": "b"})
    assert tree == before


def test_whole_subtrees_are_replaced() -> None:
    """Maps, lists and numbers, at any depth."""
    tree = {"a": [1, {"b": [2]}], "c": {"b": [2]}}
    assert fill(tree, [({"b": [2]}, "new"), (1, 10)], {}) == {"a": [10, "new"], "c": "new"}


def test_a_number_is_not_a_truth() -> None:
    """Python holds True equal to 1; a port must not become a switch."""
    assert fill([1, True], [(1, 8620)], {}) == [8620, True]


def test_omitting_takes_key_or_element_away() -> None:
    """No null is left behind."""
    assert fill({"a": "x", "b": ["x", "y"]}, [("x", OMIT)], {}) == {"b": ["y"]}


def test_several_take_the_place_of_one() -> None:
    """In a list, in their order; none at all is possible."""
    assert fill(["a", "x", "b"], [("x", Several(("1", "2")))], {}) == ["a", "1", "2", "b"]
    assert fill(["x"], [("x", Several(()))], {}) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--run=RUN", "--run=URL"),  # what was put in is not looked at again
        ("URL/RUN", "RUN/URL"),
        ("RUNNER", "long"),  # the longest first
        ("nothing", "nothing"),
    ],
)
def test_parts_of_texts(text: str, expected: str) -> None:
    """In one pass, the longest first."""
    assert fill([text], [], {"RUN": "URL", "URL": "RUN", "RUNNER": "long"}) == [expected]


def test_what_was_put_in_is_not_looked_at_again() -> None:
    """A user's value may contain anything."""
    assert fill(["x"], [("x", "RUN y"), ("RUN y", "wrong")], {"RUN": "wrong"}) == ["RUN y"]
