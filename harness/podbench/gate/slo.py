"""SLO files: read, checked word by word, limits turned into numbers. `gate` decides them.

A file is YAML: `slos:`, a list of limits. Scalars are taken as they are written (`src: 1` is the
node `1`), so YAML's own ideas of numbers and truth cannot change them. Every complaint names the
file and the line. docs/gate.md is the reference.
"""

from pathlib import Path

import msgspec
import yaml

from podbench.analysis.figures import dotted
from podbench.gate import limits
from podbench.model import words
from podbench.model.arms import Mode
from podbench.model.arms import Path as ArmPath
from podbench.model.errors import ConfigError

FIELDS = (
    "metric",
    "path",
    "mode",
    "src",
    "dst",
    "zone",
    "max",
    "min",
    "confidence",
    "baseline",
    "worse_by",
    "name",
)
DEFAULT_CONFIDENCE = 0.95
_KINDS = {yaml.ScalarNode: "a single value", yaml.SequenceNode: "a list"}


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which pairs a limit is for; null: any. `zone` is written as docs/gate.md says."""

    path: str
    mode: str | None = None
    src: str | None = None
    dst: str | None = None
    zone: str | None = None

    def __str__(self) -> str:
        arm = f"{self.mode or 'every mode'}/{self.path}"
        ends = f" {self.src or 'any'} > {self.dst or 'any'}" if self.src or self.dst else ""
        return arm + ends + (f" in zone {self.zone}" if self.zone else "")


class Slo(msgspec.Struct, frozen=True, kw_only=True):
    """One limit: `bound` of `side` (`max` or `min`), or `worse_by` against a `baseline` run."""

    line: int
    figure: dotted.Figure
    selection: Selection
    confidence: float = DEFAULT_CONFIDENCE
    side: str | None = None
    bound: float | None = None
    baseline: Path | None = None
    worse_by: float | None = None
    written: str
    """The limit as the user wrote it: `max 2ms`, `worse by 5% than runs/old`."""
    name: str | None = None

    def __str__(self) -> str:
        said = f"{self.figure.name} {self.written}, {self.selection}"
        return f"{self.name}: {said}" if self.name else said


class _Text(msgspec.Struct, frozen=True):
    """A scalar as written, and its line."""

    value: str
    line: int


class _Entry(msgspec.Struct, frozen=True):
    """One item of the list; `place` is `FILE, line N`."""

    file: Path
    line: int
    fields: dict[str, _Text]

    @property
    def place(self) -> str:
        return f"--slo: {self.file}, line {self.line}"

    def at(self, field: str) -> str:
        """Where a field stands."""
        return f"--slo: {self.file}, line {self.fields[field].line}: {field}"

    def get(self, field: str) -> str | None:
        """A field's text, null where it is not given."""
        return self.fields[field].value if field in self.fields else None


def read(path: Path) -> tuple[Slo, ...]:
    """Reads an SLO file.

    Raises:
        ConfigError: It cannot be read, is no YAML, or says something that cannot be held against a
            run; names the file and the line.
    """
    return tuple(_slo(entry) for entry in _entries(path))


def _entries(path: Path) -> list[_Entry]:
    root = _compose(path)
    example = "start it with `slos:` and a list, as docs/gate.md shows"
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"--slo: {path} holds no `slos:` list", advice=example)
    for key, _ in root.value:
        if key.value != "slos":
            near = words.nearest(str(key.value), ["slos"])
            line = key.start_mark.line + 1
            raise ConfigError(
                f"--slo: {path}, line {line}: there is no field {key.value!r}{near}",
                advice=example,
            )
    held = root.value[0][1] if root.value else None
    if not isinstance(held, yaml.SequenceNode) or not held.value:
        raise ConfigError(f"--slo: {path}: `slos:` holds no list of limits", advice=example)
    return [_entry(path, node) for node in held.value]


def _compose(path: Path) -> yaml.Node | None:
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(f"--slo: {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"--slo: {path} is not UTF-8 text: {error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"--slo: {place}: {problem}") from error


def _entry(path: Path, node: yaml.Node) -> _Entry:
    line = node.start_mark.line + 1
    place = f"--slo: {path}, line {line}"
    if not isinstance(node, yaml.MappingNode):
        raise ConfigError(
            f"{place}: expected `metric: ...` and a limit, "
            f"found {_KINDS.get(type(node), 'nothing')}",
            advice="write it like `- {metric: rtt_app_ns.p99, path: pod, max: 2ms}`",
        )
    fields: dict[str, _Text] = {}
    for key, value in node.value:
        name, at = str(key.value), key.start_mark.line + 1
        if name not in FIELDS:
            near = words.nearest(name, FIELDS)
            raise ConfigError(
                f"--slo: {path}, line {at}: there is no field {name!r}{near}",
                advice=f"the fields are {', '.join(FIELDS)}",
            )
        if name in fields:
            raise ConfigError(f"--slo: {path}, line {at}: {name} is given twice in one limit")
        if not isinstance(value, yaml.ScalarNode) or not value.value.strip():
            raise ConfigError(f"--slo: {path}, line {at}: {name} must be one value")
        fields[name] = _Text(value.value.strip(), at)
    return _Entry(path, line, fields)


def _slo(entry: _Entry) -> Slo:
    confidence = entry.get("confidence")
    bare = Slo(
        line=entry.line,
        figure=_metric(entry),
        selection=_selection(entry),
        confidence=DEFAULT_CONFIDENCE
        if confidence is None
        else limits.confidence(confidence, entry.at("confidence")),
        written="",
        name=entry.get("name"),
    )
    if "baseline" in entry.fields or "worse_by" in entry.fields:
        return _against_baseline(entry, bare)
    sides = [side for side in ("max", "min") if side in entry.fields]
    if len(sides) != 1:
        raise ConfigError(
            f"{entry.place}: {'both max and min' if sides else 'no limit'} for {bare.figure.name}",
            advice="give one of max or min, or baseline and worse_by; two limits are two entries",
        )
    side, text = sides[0], entry.fields[sides[0]].value
    return msgspec.structs.replace(
        bare,
        side=side,
        bound=limits.bound(text, bare.figure, entry.at(side)),
        written=f"{side} {text}",
    )


def _against_baseline(entry: _Entry, bare: Slo) -> Slo:
    baseline, worse = entry.get("baseline"), entry.get("worse_by")
    if baseline is None or worse is None:
        missing = "worse_by" if worse is None else "baseline"
        raise ConfigError(
            f"{entry.place}: {missing} is missing: the two belong together",
            advice="write them like `baseline: runs/old, worse_by: 5%`",
        )
    stray = [side for side in ("max", "min") if side in entry.fields]
    if stray:
        raise ConfigError(
            f"{entry.place}: {stray[0]} beside baseline",
            advice="a fixed limit and a baseline are two entries",
        )
    if bare.figure.kind is not dotted.Kind.ESTIMATE:
        raise ConfigError(
            f"{entry.at('baseline')}: {bare.figure.name} is {bare.figure.kind.in_words} of one "
            "run, which says nothing about another run's",
            advice="compare a quantile, loss.ratio or a goodput; or set max or min",
        )
    return msgspec.structs.replace(
        bare,
        baseline=_run_path(entry.file, baseline),
        worse_by=limits.worse_by(worse, entry.at("worse_by")),
        written=f"at most {worse} worse than {baseline}",
    )


def _run_path(file: Path, text: str) -> Path:
    """Relative to the SLO file, as the file's author sees it; else to where bench was started."""
    beside = file.parent / text
    return beside if beside.exists() else Path(text)


def _metric(entry: _Entry) -> dotted.Figure:
    name = entry.get("metric")
    if name is None:
        raise ConfigError(
            f"{entry.place}: no metric", advice="name one, such as metric: rtt_app_ns.p99"
        )
    if name not in dotted.FIGURES:
        near = words.nearest(name, dotted.FIGURES)
        raise ConfigError(
            f"{entry.at('metric')}: there is no {name!r} in summary.json{near}",
            advice=_advice(name),
        )
    return dotted.FIGURES[name]


def _advice(name: str) -> str:
    """The figures of the same quantity, or the quantities."""
    stem = name.split(".", maxsplit=1)[0]
    same = [known for known in dotted.FIGURES if known.split(".")[0] == stem]
    if same:
        return f"{stem} has {', '.join(same)}"
    series = dict.fromkeys(figure.series for figure in dotted.FIGURES.values())
    return f"there is {', '.join(series)}"


def _selection(entry: _Entry) -> Selection:
    path, mode = entry.get("path"), entry.get("mode")
    paths = [str(known) for known in ArmPath]
    if path is None:
        raise ConfigError(
            f"{entry.place}: no path", advice=f"say which: path: {' or path: '.join(paths)}"
        )
    words.check(path, paths, entry.at("path"))
    if mode is not None:
        words.check(mode, [str(known) for known in Mode], entry.at("mode"))
    return Selection(
        path=path, mode=mode, src=entry.get("src"), dst=entry.get("dst"), zone=entry.get("zone")
    )
