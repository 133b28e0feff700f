"""Markdown that its content cannot break."""

from hypothesis import given
from hypothesis import strategies as st

from podbench.model import markdown


@given(st.lists(st.text(max_size=20), min_size=2, max_size=2))
def test_a_row_keeps_its_cells(cells: list[str]) -> None:
    """Whatever the cells hold, a row is one line with as many cells as the head."""
    row = markdown.table(("a", "b"), [cells])[-1]
    assert len(row.splitlines()) == 1
    assert row.replace("\\\\", "").replace("\\|", "").count("|") == 3


def test_names_are_readable() -> None:
    """Metric names stand as they are; markup is made plain."""
    assert markdown.text("rtt_app_ns.p99") == "rtt_app_ns.p99"
    assert markdown.text("<b>*x*</b>\n|") == "&lt;b>\\*x\\*&lt;/b> \\|"
    assert markdown.code("a`b\nc") == "`a'b c`"
