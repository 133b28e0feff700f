"""Single fields of objects: read and written without touching what stands beside them."""

import pytest

from podbench.target.kubernetes.api.fields import alike, dotted, holds, read, written

BODY = {
    "metadata": {"name": "default"},
    "spec": {
        "pools": [{"cidr": "10.0.0.0/16", "mode": "IPIP"}, {"cidr": "fd00::/64", "mode": "None"}],
        "mtu": 1450,
    },
}
MODE = ("spec", "pools", "cidr=fd00::/64", "mode")


def test_an_element_of_a_list_is_found_by_its_own_field() -> None:
    """Whatever its place; what is not there is null, however deep."""
    assert read(BODY, MODE) == "None"
    assert read(BODY, ("spec", "pools", "cidr=10.1.0.0/16", "mode")) is None
    assert read(BODY, ("status", "a", "b")) is None
    assert read(None, MODE) is None


def test_writing_changes_a_copy_in_that_place_only() -> None:
    """The rest is as it was, and so is the object that was given."""
    new = written(BODY, {MODE: "VXLAN", ("spec", "template", "mark"): "x", ("spec", "mtu"): None})
    assert new == {
        "metadata": {"name": "default"},
        "spec": {
            "pools": [
                {"cidr": "10.0.0.0/16", "mode": "IPIP"},
                {"cidr": "fd00::/64", "mode": "VXLAN"},
            ],
            "template": {"mark": "x"},
        },
    }
    assert read(BODY, MODE) == "None"
    assert written(BODY, {("spec", "template", "mark"): None}) == BODY


def test_an_element_that_is_gone_is_not_made() -> None:
    """It was somebody's to take away."""
    with pytest.raises(KeyError, match="cidr=10"):
        written(BODY, {("spec", "pools", "cidr=10.1.0.0/16", "mode"): "VXLAN"})


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (None, "Never", True),
        ("", None, True),
        ("Never", "", True),
        ("None", None, False),
        (0, None, False),
        ("Always", "Always", True),
        ("Always", "Never", False),
    ],
)
def test_an_absent_mode_is_none(one: object, other: object, same: bool) -> None:
    """Calico's API fills it in; an Installation's word `None` is a choice."""
    assert alike(one, other) is same
    assert holds({"spec": {"mode": one}}, {("spec", "mode"): other}) is same


def test_a_path_is_shown_as_people_write_it() -> None:
    """Elements by their own field."""
    assert dotted(MODE) == ".spec.pools[cidr=fd00::/64].mode"
