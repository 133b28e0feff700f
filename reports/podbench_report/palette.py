"""Colours: a few for modes that the colour-blind can tell apart, one scale for matrices.

Mode colours follow Paul Tol's high-contrast scheme (red, ochre, blue: apart in every common colour
blindness and in grey), darkened for text on white and lightened for text on black. Each also has a
dash and a marker of its own, and every line is labelled at its end. The matrix scale is cividis.
"""

import functools

import msgspec

STEPS = 24
"""Classes of the matrix scale: finer steps cannot be told apart in a cell."""


class Ink(msgspec.Struct, frozen=True, kw_only=True):
    """One named colour in light and dark, and the stand-in matplotlib draws it with."""

    light: str
    dark: str
    stand_in: str


INKS: dict[str, Ink] = {
    "ink": Ink(light="#1a1a1a", dark="#ececea", stand_in="#010201"),
    "muted": Ink(light="#5c5c58", dark="#a9a9a3", stand_in="#010202"),
    "rule": Ink(light="#d9d8d2", dark="#3a3a38", stand_in="#010203"),
    "paper": Ink(light="#fffefb", dark="#161615", stand_in="#010204"),
    "wash": Ink(light="#f4f3ee", dark="#20201f", stand_in="#010205"),
    "vxlan": Ink(light="#b03a55", dark="#f28ba0", stand_in="#010206"),
    "ipip": Ink(light="#8a6200", dark="#e3b341", stand_in="#010207"),
    "routed": Ink(light="#1f5fa8", dark="#79b8ff", stand_in="#010208"),
    "other": Ink(light="#0f6e66", dark="#5fd0c5", stand_in="#010209"),
    "one": Ink(light="#1a1a1a", dark="#ececea", stand_in="#01020b"),
    "two": Ink(light="#0f6e66", dark="#5fd0c5", stand_in="#01020c"),
    "three": Ink(light="#a34a00", dark="#ffb07a", stand_in="#01020d"),
    "four": Ink(light="#6a3d9a", dark="#c9a6ff", stand_in="#01020e"),
    "alert": Ink(light="#9a1f1f", dark="#ff9b8f", stand_in="#01020a"),
}

_INK_OF_MODE = {
    "vxlan": "vxlan",
    "ipip": "ipip",
    "bgp": "routed",
    "host-gw": "routed",
    "native": "routed",
}
_DASH = {"vxlan": (), "ipip": (6.0, 2.0), "routed": (1.5, 1.5), "other": (6.0, 2.0, 1.5, 2.0)}
_MARKER = {"vxlan": "o", "ipip": "s", "routed": "D", "other": "^"}


def ink_of_mode(mode: str) -> str:
    """The name of a mode's colour; modes nobody foresaw share one."""
    return _INK_OF_MODE.get(mode, "other")


def dash_of_mode(mode: str) -> tuple[float, ...]:
    """The dash pattern of a mode's line in points; empty: solid."""
    return _DASH[ink_of_mode(mode)]


def marker_of_mode(mode: str) -> str:
    """The marker of a mode, a matplotlib name."""
    return _MARKER[ink_of_mode(mode)]


_RUN_INKS = ("one", "two", "three", "four")
_RUN_DASHES: tuple[tuple[float, ...], ...] = ((), (6.0, 2.0), (1.5, 1.5))


def run_look(run: int) -> tuple[str, tuple[float, ...], str]:
    """Ink, dash and marker of a run's line: no two of twelve look alike, none like a mode."""
    quarter, place = divmod(run, len(_RUN_INKS))
    return _RUN_INKS[place], _RUN_DASHES[quarter % len(_RUN_DASHES)], "osD^"[place]


def css_variables(*, dark: bool) -> str:
    """The colours as CSS custom properties."""
    return "".join(f"--{name}:{ink.dark if dark else ink.light};" for name, ink in INKS.items())


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two `#rrggbb` colours. Source: WCAG 2.2, relative luminance."""
    one, two = sorted((_luminance(first), _luminance(second)))
    return (two + 0.05) / (one + 0.05)


@functools.cache
def heat_steps() -> tuple[tuple[str, str], ...]:
    """Background and text colour of each class of the matrix scale, lightest (best) first."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    scale = colormaps["cividis"]
    steps = []
    for i in range(STEPS):
        back = to_hex(scale(1.0 - i / (STEPS - 1)))
        text = max(("#000000", "#ffffff"), key=lambda c: contrast(c, back))
        steps.append((back, text))
    return tuple(steps)


def heat_css() -> str:
    """One rule per class of the matrix scale."""
    return "".join(
        f".h{i}{{background:{back};color:{text}}}" for i, (back, text) in enumerate(heat_steps())
    )


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
