"""Calico's selectors, held against labels as Felix and calico-ipam hold them."""

import pytest

from podbench.cni.detect.selectors import selects

LABELS = {"zone": "a", "node-role.kubernetes.io/worker": "", "rack": "12"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("all()", True),
        ("!all()", False),
        ("! all( )", False),
        ("global()", False),
        ("zone == 'a'", True),
        ('zone == "b"', False),
        ("zone != 'b'", True),
        ("missing != 'b'", True),
        ("missing == 'b'", False),
        ("has(zone)", True),
        ("!has(node-role.kubernetes.io/worker)", False),
        ("zone in {'a', 'b'}", True),
        ("zone not in { 'a' }", False),
        ("missing not in {'a'}", True),
        ("rack contains '2'", True),
        ("rack starts with '2'", False),
        ("rack ends with '12'", True),
        ("zone == 'b' || rack == '12' && has(zone)", True),
        ("(zone == 'b' || rack == '12') && !has(zone)", False),
        ("zone ==", None),
        ("zone = 'a'", None),
        ("all() all()", None),
        ("((", None),
    ],
)
def test_a_selector_matches_or_says_that_it_cannot_be_read(text: str, matches: bool | None) -> None:
    """By Calico's grammar; what is none is no answer."""
    assert selects(text, LABELS) is matches
