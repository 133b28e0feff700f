"""Reading image references and versions; facts that say why they are none."""

import pytest

from podbench.cni.detect.facts import (
    ClusterFacts,
    Image,
    dig,
    image,
    image_version,
    release,
    version_in,
)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("quay.io/calico/node:v3.31.0", Image("calico/node", "v3.31.0")),
        ("calico/node", Image("calico/node", None)),
        ("localhost/calico:1", Image("calico", "1")),
        ("registry.example:5000/calico/node", Image("calico/node", None)),
        ("docker.io/flannel/flannel:v1@sha256:00", Image("flannel/flannel", "v1")),
        ("node@sha256:00", Image("node", None)),
        ("", Image("", None)),
    ],
)
def test_references_of_images(reference: str, expected: Image) -> None:
    """A registry's port is no tag, a digest is none either."""
    assert image(reference) == expected


@pytest.mark.parametrize(
    ("tag", "version", "numbers"),
    [
        ("v3.31.0", "3.31.0", (3, 31)),
        ("3.30", "3.30", (3, 30)),
        ("v1.20.4-eksbuild.2", "1.20.4-eksbuild.2", (1, 20)),
        ("v1.33.4+rke2r1", "1.33.4+rke2r1", (1, 33)),
        ("master", None, None),
        ("v3", None, None),
        ("3.31beta", None, None),
    ],
)
def test_tags_that_are_versions(
    tag: str, version: str | None, numbers: tuple[int, int] | None
) -> None:
    """A branch or a bare major number is none."""
    assert version_in(tag) == version
    assert release(tag) == numbers


def test_an_image_without_a_version_says_so() -> None:
    """With the place, so that somebody can look."""
    assert image_version("a/b@sha256:00", "DaemonSet x/y").reason == (
        "DaemonSet x/y: image a/b@sha256:00 has no tag"
    )
    assert image_version("a/b:edge", "DaemonSet x/y").reason == (
        "DaemonSet x/y: the image's tag edge is no version"
    )


def test_what_was_not_read_differs_from_what_is_empty() -> None:
    """An empty list was read; a missing one says why, or that nobody tried."""
    facts = ClusterFacts(objects={"nodes": ()}, unread={"configmaps": "forbidden"})
    assert facts.why_unread("nodes") is None
    assert facts.why_unread("configmaps") == "configmaps: forbidden"
    assert facts.why_unread("daemonsets.apps") == "daemonsets.apps: not read"
    assert facts.of("daemonsets.apps") == ()


def test_missing_steps_are_null() -> None:
    """Whatever stands there instead of a map."""
    assert dig({"a": {"b": 1}}, "a", "b") == 1
    assert dig({"a": [1]}, "a", "b") is None
    assert dig(None, "a") is None
