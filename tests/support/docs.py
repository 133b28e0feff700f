"""Keeps docs/ in step with the code: column and field tables, `--config`'s schema, the picture.

`python -m support.docs` (scripts/docs) rewrites them; tests/contract/test_docs.py fails where that
would change anything. Column tables come whole from the Parquet schemas. Field tables take names
and types from the records; a field's meaning is its docstring until somebody writes another here.
"""

import ast
import hashlib
import importlib
import inspect
import itertools
import re
import shutil
import subprocess
import sys
import textwrap
import types
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

import msgspec

from podbench.campaign.options import config
from podbench.store import schemas

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "docs" / "data.md"
SCHEMA = ROOT / "docs" / "config.schema.json"
DRAWING = ROOT / "docs" / "images" / "architecture.dot"
PICTURE = DRAWING.with_suffix(".svg")

COLUMNS = re.compile(r"(<!-- columns: (\w+) -->\n)\n(?:\|.*\n)*\n?")
FIELDS = re.compile(r"(<!-- fields: ([\w.]+) -->\n)\n((?:\|.*\n)*)\n?")

UNITS = {
    "_ns": "ns",
    "_us": "µs",
    "_ms": "ms",
    "_s": "s",
    "_bytes": "octets",
    "_ratio": "0 to 1",
    "_pps": "packets/s",
    "_bps": "bit/s",
    "bits_per_second": "bit/s",
}
"""What the end of a name says about its unit."""
RATIOS = {"effect_ratio", "smallest_detectable_ratio", "hodges_lehmann_ratio"}
"""One quantity over another: not a share of a whole."""


def unit(name: str) -> str:
    """The unit a column's or field's name carries; empty where it has none."""
    if name in RATIOS:
        return "ratio"
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), "")


def column_table(probe: str) -> str:
    """Every column of a probe's samples as a table."""
    lines = ["| column | type | unit | meaning |", "|---|---|---|---|"]
    for field in schemas.BY_PROBE[probe]:
        meaning = (field.metadata or {})[b"description"].decode()
        measure = unit(field.name)
        meaning = _cell(meaning.removesuffix(f", {measure}"))
        lines.append(f"| `{field.name}` | {field.type} | {measure} | {meaning} |")
    return "\n".join(lines) + "\n"


def field_table(record: type[msgspec.Struct], meanings: dict[str, str]) -> str:
    """Every field of a record as a table; a new field's meaning is its docstring."""
    lines = ["| field | type | unit | meaning |", "|---|---|---|---|"]
    hints = typing.get_type_hints(record)
    meanings = _documented(record) | meanings
    for field in msgspec.structs.fields(record):
        name = field.encode_name
        meaning = meanings.get(name, "")
        lines.append(f"| `{name}` | {_cell(words(hints[field.name]))} | {unit(name)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _documented(record: type[msgspec.Struct]) -> dict[str, str]:
    """The docstrings under a record's fields, each as one line without a full stop."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(record))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, text in itertools.pairwise(body.body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            assert isinstance(field.target, ast.Name)
            meaning = " ".join(str(ast.literal_eval(text.value)).split())
            found[field.target.id] = _cell(meaning).removesuffix(".")
    return found


PLAIN = {str: "text", int: "integer", float: "number", bool: "boolean", object: "any"}


def words(kind: object) -> str:
    """A type in the words of JSON."""
    if isinstance(kind, type) and typing.get_origin(kind) is None:
        if issubclass(kind, Enum):
            return " or ".join(f"`{member.value}`" for member in kind)
        return PLAIN.get(kind, kind.__name__)
    if isinstance(kind, typing.NewType):
        return words(kind.__supertype__)
    return _composed(typing.get_origin(kind), typing.get_args(kind))


def _composed(origin: object, arguments: tuple[typing.Any, ...]) -> str:
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in {types.UnionType, typing.Union}:
        some = [words(a) for a in arguments if a is not types.NoneType]
        return " or ".join([*some, "null"] if types.NoneType in arguments else some)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"[{', '.join(words(a) for a in arguments)}]"
    if origin is dict:
        return f"map of {words(arguments[1])}"
    assert origin in {tuple, list}
    return f"list of {words(arguments[0])}"


def structs_of(kind: object) -> Iterator[type[msgspec.Struct]]:
    """A record and every record inside it, each once."""
    seen: set[type[msgspec.Struct]] = set()

    def walk(part: object) -> Iterator[type[msgspec.Struct]]:
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            if part in seen:
                return
            seen.add(part)
            yield part
            for hint in typing.get_type_hints(part).values():
                yield from walk(hint)
        for argument in typing.get_args(part):
            yield from walk(argument)

    return walk(kind)


def record_named(name: str) -> type[msgspec.Struct]:
    """The record a marker names: `podbench.model.summary.Pair`."""
    module, _, attribute = name.rpartition(".")
    found = getattr(importlib.import_module(module), attribute)
    assert issubclass(found, msgspec.Struct)
    return typing.cast("type[msgspec.Struct]", found)


def meanings(table: str) -> dict[str, str]:
    """What people wrote into a field table, by field."""
    rows = [[cell.strip() for cell in _split(line)] for line in table.splitlines()]
    return {row[0].strip("`"): row[-1] for row in rows if row[0].startswith("`")}


def rendered(text: str) -> str:
    """The text of docs/data.md with every table as the code has it now."""
    text = COLUMNS.sub(lambda m: f"{m[1]}\n{column_table(m[2])}\n", text)
    text = FIELDS.sub(
        lambda m: f"{m[1]}\n{field_table(record_named(m[2]), meanings(m[3]))}\n", text
    )
    return text.rstrip("\n") + "\n"


def marked(text: str) -> set[type[msgspec.Struct]]:
    """The records that have a table."""
    return {record_named(match[2]) for match in FIELDS.finditer(text)}


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _split(line: str) -> list[str]:
    return [part.replace("\\|", "|") for part in re.split(r"(?<!\\)\|", line)[1:-1]]


def drawn_from() -> str:
    """The line of a picture that says which drawing it shows: Graphviz versions draw otherwise."""
    digest = hashlib.sha256(DRAWING.read_bytes()).hexdigest()
    return f"<!-- drawn from {DRAWING.name}, sha256 {digest} -->\n"


def _draw() -> None:
    """Draws the picture anew where its drawing changed and Graphviz is installed."""
    dot = shutil.which("dot")
    if drawn_from() in PICTURE.read_text(encoding="utf-8"):
        return
    if dot is None:
        sys.exit(f"{DRAWING.name} has changed: install graphviz, then call scripts/docs again")
    svg = subprocess.run([dot, "-Tsvg", DRAWING], capture_output=True, text=True, check=True).stdout
    PICTURE.write_text(svg.rstrip("\n") + "\n" + drawn_from(), encoding="utf-8")


def main() -> int:
    """Rewrites what is out of step."""
    DATA.write_text(rendered(DATA.read_text(encoding="utf-8")), encoding="utf-8")
    SCHEMA.write_text(config.schema(), encoding="utf-8")
    _draw()
    return 0


if __name__ == "__main__":
    sys.exit(main())
