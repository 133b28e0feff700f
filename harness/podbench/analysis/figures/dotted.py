"""Every figure of a directed pair by its dotted place in summary.json, with unit and interval.

`gate` sets limits on them, `export` writes them down. The list is read off the record `Pair`, so a
figure added there is known here. Three kinds: an `estimate` stands for what the path does and needs
an interval to be judged; an `extreme` (the smallest and largest seen) and a `count` are facts about
the run itself. Choosing and naming only: no figure is made here.
"""

import types
import typing
from collections.abc import Iterator
from enum import StrEnum

import msgspec

from podbench.model.summary import Interval, Pair, Quantiles, Rate


class Kind(StrEnum):
    """What a figure can be held against."""

    ESTIMATE = "estimate"
    EXTREME = "extreme"
    COUNT = "count"

    @property
    def in_words(self) -> str:
        """With its article."""
        return f"a{'n' if self.value[0] == 'e' else ''} {self.value}"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: its dotted name, its unit (`ns`, `bit/s`, `packets/s`, `ratio`, empty: a count).

    `series` is the part of the name that names the quantity (`rtt_app_ns`, `goodput_bps.tcp`).
    """

    name: str
    series: str
    unit: str
    kind: Kind
    more_is_better: bool = False


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one pair. `measured`: its quantity is there, even where the value is null."""

    value: float | None
    ci95: Interval | None = None
    n: int | None = None
    measured: bool = True
    coarse: bool = False


_UNITS = {"_ns": "ns", "_bps": "bit/s", "_pps": "packets/s", "_ratio": "ratio"}
_COUNTS = {
    *("n", "n_effective", "sent", "lost_forward", "lost_backward", "lost_unknown"),
    *("episodes", "longest", "sessions"),
}
_EXTREMES = {"min", "max"}
_NOT_FIGURES = {"ci95", "coarse", "none_lost"}


def _inner(kind: object) -> object:
    """The type beside None in `X | None`."""
    if isinstance(kind, types.UnionType):
        return next(part for part in kind.__args__ if part is not type(None))
    return kind


def _leaves(record: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    for name, kind in typing.get_type_hints(record).items():
        inner, place = _inner(kind), f"{prefix}{name}"
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            if name != "proof":
                yield from _leaves(inner, f"{place}.")
        elif inner in {int, float} and name not in _NOT_FIGURES:
            yield place


def _unit(place: str) -> str:
    last = place.rpartition(".")[2]
    if last in _COUNTS:
        return ""
    if last == "ratio":
        return "ratio"
    whole = place.split(".")
    return next((unit for part in whole for end, unit in _UNITS.items() if part.endswith(end)), "")


def _figure(place: str) -> Figure:
    last = place.rpartition(".")[2]
    kind = Kind.COUNT if last in _COUNTS else Kind.EXTREME if last in _EXTREMES else Kind.ESTIMATE
    series = place.rpartition(".")[0] or place
    better = series.startswith(("goodput_bps", "small_packets_pps"))
    return Figure(name=place, series=series, unit=_unit(place), kind=kind, more_is_better=better)


FIGURES: dict[str, Figure] = {place: _figure(place) for place in _leaves(Pair)}
"""By dotted name, in the order of the record."""


def read(pair: Pair, figure: Figure) -> Reading:
    """One figure of one pair; `measured` false where its whole quantity is null."""
    *places, last = figure.name.split(".")
    holder: object = pair
    for place in places:
        holder = getattr(holder, place)
        if holder is None:
            return Reading(value=None, measured=False)
    value = getattr(holder, last)
    if holder is pair:
        return Reading(value=value, measured=value is not None)
    n = getattr(holder, "n", getattr(holder, "sent", None))
    coarse = isinstance(holder, Quantiles) and last in holder.coarse
    return Reading(value=value, ci95=_interval(holder, last), n=n, coarse=coarse)


def _interval(holder: object, last: str) -> Interval | None:
    """The interval that belongs to a field, where its record has one."""
    if isinstance(holder, Quantiles):
        return holder.ci95.get(last)
    owner = "p50" if isinstance(holder, Rate) else "ratio"
    found: Interval | None = getattr(holder, "ci95", None) if last == owner else None
    return found
