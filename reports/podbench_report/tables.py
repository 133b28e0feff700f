"""Tables as data: sections fill them, a template macro draws them, a script sorts them."""

from collections.abc import Sequence

import msgspec
from markupsafe import Markup

from podbench_report import numbers


class Column(msgspec.Struct, frozen=True):
    """One column. `kind`: `text`, `number` (right-aligned, sorts by value) or `strip`."""

    title: str
    kind: str = "text"
    unit: str = ""
    header: Markup | None = None
    """An axis below the title."""


class Cell(msgspec.Struct, frozen=True):
    """One cell. `below` is small print under the value, usually its interval."""

    text: str | Markup
    sort: float | None = None
    below: str = ""
    title: str = ""
    css: str = ""


class Row(msgspec.Struct, frozen=True):
    """One row; the first cell heads it. `group` starts a new group with that heading."""

    cells: tuple[Cell, ...]
    group: str = ""
    css: str = ""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """One table with its caption."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    sortable: bool = True

    def __bool__(self) -> bool:
        """True if the table has rows."""
        return bool(self.rows)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One plot with its caption; the title is outside the plot."""

    title: str
    svg: Markup
    caption: str = ""


def row(*cells: Cell | str, group: str = "", css: str = "") -> Row:
    """A row of cells; bare text becomes a cell."""
    made = tuple(c if isinstance(c, Cell) else Cell(c) for c in cells)
    return Row(made, group=group, css=css)


def figure_cell(
    value: float | None, scale: numbers.Scale, bounds: tuple[float, float] | None = None
) -> Cell:
    """Returns a value in its column's scale, its interval below; null becomes `not measured`."""
    return Cell(
        scale.number(value),
        sort=value,
        below=numbers.interval_numbers(bounds, scale) if value is not None else "",
        css="null" if value is None else "",
    )


def estimate_cell(
    value: float | None, bounds: tuple[float, float] | None, unit: str, shown: str
) -> Cell:
    """Returns a value and its interval, rounded as in sentences; `shown` is the column's unit."""
    if value is None:
        return Cell(numbers.NOT_MEASURED, css="null")
    text, below = (
        part.removesuffix(shown).rstrip(numbers.NBSP)
        for part in numbers.estimate(value, bounds, unit)
    )
    return Cell(text, sort=value, below=below)


def quantity_cell(value: float | None, unit: str, *, signed: bool = False) -> Cell:
    """Returns a value with its unit, for columns with mixed units."""
    return Cell(
        numbers.quantity(value, unit, signed=signed),
        sort=value,
        css="null" if value is None else "",
    )


def count_cell(value: int | None) -> Cell:
    """A count."""
    return Cell(numbers.count(value), sort=value, css="null" if value is None else "")


def number_columns(titles: Sequence[tuple[str, str]]) -> tuple[Column, ...]:
    """Number columns from (title, unit)."""
    return tuple(Column(title, "number", unit) for title, unit in titles)
