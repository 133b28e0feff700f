"""OpenMetrics text 1.0: families with TYPE, UNIT and HELP, samples grouped, `# EOF` at the end.

Source: OpenMetrics specification, github.com/prometheus/OpenMetrics, "Text format". This file knows
the format; `export_openmetrics` knows what a run has to say in it.
"""

import math
from collections.abc import Iterator, Mapping

import msgspec

from podbench.model import plain

Labels = Mapping[str, str | None]
"""Label values by name; null leaves the label out."""


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """A metric family. `name` has no `_total` or the like, and ends in the unit if it has one."""

    name: str
    kind: str
    help: str
    unit: str = ""

    def __post_init__(self) -> None:
        """A unit that is not the end of the name makes the whole exposition invalid.

        Raises:
            ValueError: It is not.
        """
        if self.unit and not self.name.endswith(f"_{self.unit}"):
            raise ValueError(f"{self.name} must end in its unit {self.unit}")


class Exposition:
    """Samples by family, families in the order of their first sample."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}
        self._lines: dict[str, list[str]] = {}

    def gauge(self, family: Family, labels: Labels, value: float | None) -> None:
        """A figure that stands; null says nothing, as absence is how OpenMetrics says it."""
        if value is not None:
            self._add(family, "", labels, value)

    def counter(self, family: Family, labels: Labels, value: int | None) -> None:
        """A count of events."""
        if value is not None:
            self._add(family, "_total", labels, value)

    def info(self, family: Family, labels: Labels) -> None:
        """Facts as labels."""
        self._add(family, "_info", labels, 1)

    def states(self, family: Family, labels: Labels, states: tuple[str, ...], now: str) -> None:
        """Which of these states holds; the family's own name is the label of the state."""
        for state in dict.fromkeys((*states, now)):
            self._add(family, "", {**labels, family.name: state}, int(state == now))

    def histogram(
        self,
        family: Family,
        labels: Labels,
        buckets: list[tuple[float, int]],
        n: int,
        total: float,
    ) -> None:
        """A histogram; `buckets`: (upper bound, samples at or below), ascending, without +Inf."""
        for bound, count in buckets:
            self._add(family, "_bucket", {**labels, "le": number(bound)}, count)
        self._add(family, "_bucket", {**labels, "le": "+Inf"}, n)
        self._add(family, "_count", labels, n)
        self._add(family, "_sum", labels, total)

    def _add(self, family: Family, suffix: str, labels: Labels, value: float) -> None:
        held = self._families.setdefault(family.name, family)
        if held != family:
            raise ValueError(f"two families are called {family.name}")
        line = f"{family.name}{suffix}{_labels(labels)} {number(value)}"
        self._lines.setdefault(family.name, []).append(line)

    def text(self) -> str:
        """The whole exposition."""
        return "".join(f"{line}\n" for line in self._all())

    def _all(self) -> Iterator[str]:
        for name, family in self._families.items():
            yield f"# TYPE {name} {family.kind}"
            if family.unit:
                yield f"# UNIT {name} {family.unit}"
            yield f"# HELP {name} {_escape(family.help)}"
            yield from self._lines[name]
        yield "# EOF"


def number(value: float) -> str:
    """A number as the format writes it: `1.5e-06`, `42`, `+Inf`."""
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)


def _labels(labels: Labels) -> str:
    held = [f'{name}="{_escape(value)}"' for name, value in labels.items() if value is not None]
    return f"{{{','.join(held)}}}" if held else ""


def _escape(text: str) -> str:
    text = plain.lines(text).replace("\r", "\ufffd")
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def label_name(text: str) -> str:
    """A label name made of any text: what is not a letter, digit or underscore becomes one."""
    name = "".join(char if char.isascii() and char.isalnum() else "_" for char in text)
    return name if name and not name[0].isdigit() else f"_{name}"
