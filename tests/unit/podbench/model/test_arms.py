"""Arms have names that read back."""

import pytest

from podbench.model.arms import Arm, Mode, Path, parse_arm


@pytest.mark.parametrize(
    ("arm", "name", "slug"),
    [
        (Arm(Mode.VXLAN), "vxlan/pod", "vxlan-pod"),
        (Arm(Mode.BGP, Path.HOST), "bgp/host", "bgp-host"),
        (Arm(Mode.VXLAN, Path.POD, 2), "vxlan/pod#2", "vxlan-pod_2"),
        (Arm(Mode.HOST_GW), "host-gw/pod", "host-gw-pod"),
    ],
)
def test_names(arm: Arm, name: str, slug: str) -> None:
    """The name is what the contract says, fits one path component, and reads back."""
    assert arm.name == name
    assert arm.slug == slug
    assert parse_arm(name) == arm


@pytest.mark.parametrize("name", ["vxlan", "nosuch/pod", "vxlan/moon", "vxlan/pod#two"])
def test_no_arm(name: str) -> None:
    """What is no arm's name is refused."""
    with pytest.raises(ValueError, match=r"."):
        parse_arm(name)
