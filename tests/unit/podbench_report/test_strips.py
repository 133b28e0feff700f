"""Strips: places on a common axis."""

from podbench_report import strips


def test_an_axis_has_round_ticks_round_all_values() -> None:
    """Ticks are round numbers, labels say what they are, zero is on the axis."""
    axis = strips.nice_axis([2_690.0, 8_580.0], unit_factor=1_000.0)

    assert axis.low <= 0
    assert axis.high >= 8_580
    assert [label for _, label in axis.ticks] == ["0.0", "2.5", "5.0", "7.5", "10.0"]
    assert [value for value, _ in axis.ticks] == [0, 2_500, 5_000, 7_500, 10_000]


def test_an_axis_of_nothing_still_exists() -> None:
    """No value, or only zeros, gives an axis, not a division by zero."""
    assert strips.nice_axis([]).high > 0
    assert strips.nice_axis([0.0, 0.0]).high > 0


def test_a_value_beyond_the_axis_is_an_arrow_at_its_end() -> None:
    """It is never drawn as if it were at the end itself."""
    axis = strips.Axis(low=0.0, high=10.0)

    assert "<polygon" in strips.whisker(axis, 99.0, None, ink="vxlan")
    assert "<circle" in strips.whisker(axis, 9.0, (8.0, 10.0), ink="vxlan")


def test_null_draws_nothing() -> None:
    """No dot, no bar, no whisker where nothing was measured."""
    axis = strips.Axis(low=1.0, high=10.0)

    for strip in (
        strips.whisker(axis, None, None, ink="vxlan"),
        strips.dumbbell(axis, None, None, ink="vxlan"),
        strips.bullet(axis, None, None, ink="vxlan"),
    ):
        assert not any(tag in strip for tag in ("<circle", "<rect", "<line", "<polygon"))
