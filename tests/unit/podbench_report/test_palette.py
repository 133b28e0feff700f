"""Colours: contrast in light and dark, and a matrix scale that only gets darker."""

import pytest

from podbench_report import palette

TEXT_INKS = ("ink", "muted", "vxlan", "ipip", "routed", "other", "alert")


@pytest.mark.parametrize("ink", TEXT_INKS)
def test_every_text_colour_has_contrast(ink: str) -> None:
    """At least 4.5 to 1 on paper, in light and in dark (WCAG AA)."""
    shade, paper = palette.INKS[ink], palette.INKS["paper"]

    assert palette.contrast(shade.light, paper.light) >= 4.5
    assert palette.contrast(shade.dark, paper.dark) >= 4.5


def test_matrix_cells_are_readable_and_monotone() -> None:
    """Text in each cell has contrast 4.5; each step is darker than the one before."""
    steps = palette.heat_steps()

    assert all(palette.contrast(back, text) >= 4.5 for back, text in steps)
    light = [palette.contrast(back, "#000000") for back, _ in steps]
    assert light == sorted(light, reverse=True)


def test_modes_differ_by_more_than_colour() -> None:
    """Dash and marker differ for every two modes that can meet in one plot."""
    modes = ("vxlan", "ipip", "bgp")

    assert len({palette.dash_of_mode(m) for m in modes}) == 3
    assert len({palette.marker_of_mode(m) for m in modes}) == 3


def test_contrast_of_black_and_white_is_21() -> None:
    """The ends of the WCAG formula."""
    assert palette.contrast("#000000", "#ffffff") == pytest.approx(21.0)
