"""What the release workflow published for this version: written into the package as it is built.

A checkout, or a package that somebody built, has no such file: it was published nowhere.
"""

from importlib import resources

import msgspec

FILE = "release.json"
BUILD = (
    "this is an unreleased build: `docker build -t REGISTRY/podbench:TAG . && docker push"
    " REGISTRY/podbench:TAG` in its checkout, then name that with --image"
)
"""What to do without one."""


class Release(msgspec.Struct, frozen=True):
    """One release. `image` is pinned by its digest."""

    image: str


def image() -> str | None:
    """The image of this version; null for an unreleased build."""
    try:
        text = resources.files("podbench").joinpath(FILE).read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(text, type=Release).image
