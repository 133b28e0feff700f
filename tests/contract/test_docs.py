"""The documentation against the code: every column, every field, the schema, every link."""

import json
import re
from pathlib import Path

import msgspec
import pytest
import typer.core
import typer.main
import yaml
from support import docs

from podbench.campaign.evidence import Evidence
from podbench.campaign.journal import Entry
from podbench.campaign.options import config
from podbench.campaign.options.table import Options
from podbench.campaign.plan import Plan
from podbench.campaign.record import RunRecord
from podbench.cli import main
from podbench.model.summary import Summary
from podbench.store import schemas

DATA = docs.DATA.read_text(encoding="utf-8")
PAGES = sorted([*docs.ROOT.glob("*.md"), *docs.ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def test_the_tables_are_what_the_code_has() -> None:
    """`scripts/docs` would change nothing: names, types, units and column meanings are current."""
    assert docs.rendered(DATA) == DATA, "run scripts/docs"


@pytest.mark.parametrize("probe", sorted(schemas.BY_PROBE))
def test_every_kind_of_sample_has_its_table(probe: str) -> None:
    """Each Parquet schema has a column table."""
    assert f"<!-- columns: {probe} -->" in DATA


@pytest.mark.parametrize("whole", [Summary, RunRecord, Plan, Entry, Evidence])
def test_every_record_in_a_file_has_its_table(whole: type[msgspec.Struct]) -> None:
    """No record that can be met in a run directory is left undescribed."""
    missing = set(docs.structs_of(whole)) - docs.marked(DATA)
    assert not missing, f"add `<!-- fields: ... -->` for these to docs/data.md: {missing}"


def test_every_field_has_a_meaning() -> None:
    """A new field comes with a word on what it is."""
    empty = [line for line in DATA.splitlines() if re.fullmatch(r"\| `.*\|\s*\|", line)]
    assert not empty, f"write what these mean into docs/data.md: {empty}"


def test_a_forgotten_field_would_be_noticed() -> None:
    """The check can fail: a row taken out, or a type changed, is put back by rendering."""
    without = DATA.replace("| `seed` | integer |  | of every random choice |\n", "", 1)
    changed = DATA.replace("| `pairs_total` | integer |", "| `pairs_total` | text |", 1)
    assert without != DATA
    assert changed != DATA
    assert docs.rendered(without) != without
    assert docs.rendered(changed) == DATA


def test_a_new_field_is_described_by_its_docstring() -> None:
    """So a figure needs no hand on docs/data.md; what people wrote there stays."""
    table = docs.field_table(RunRecord, {"seed": "written by hand"})
    assert "| `most_bps` | integer or null | bit/s | The most one transfer sent; null" in table
    assert "| `seed` | integer |  | written by hand |" in table


def test_the_schema_of_the_configuration_is_current() -> None:
    """docs/config.schema.json is what the options are now."""
    assert docs.SCHEMA.read_text(encoding="utf-8") == config.schema(), "run scripts/docs"


def test_the_picture_shows_its_drawing() -> None:
    """docs/images/architecture.svg was drawn from what architecture.dot says now."""
    assert docs.drawn_from() in docs.PICTURE.read_text(encoding="utf-8"), "run scripts/docs"


def test_every_room_is_in_the_architecture() -> None:
    """Each package of the tree has its row on docs/architecture.md."""
    text = (docs.ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rooms = [p.parent for p in (docs.ROOT / "harness/podbench").glob("*/__init__.py")]
    assert not {room.name for room in rooms if f"| `{room.name}/` |" not in text}


def test_the_schema_knows_every_option_and_no_other() -> None:
    """A file with an unknown name is wrong by the schema as by the program."""
    schema = json.loads(docs.SCHEMA.read_text(encoding="utf-8"))
    assert list(schema["properties"]) == list(config.KEYS)
    assert schema["additionalProperties"] is False


def test_the_schema_takes_what_print_config_writes() -> None:
    """Each value of a printed configuration is of a type its schema allows."""
    schema = json.loads(docs.SCHEMA.read_text(encoding="utf-8"))
    written = yaml.safe_load(config.show(Options(modes=["vxlan"])))
    kinds = {str: "string", bool: "boolean", int: "integer", list: "array", dict: "object"}
    for name, value in written.items():
        described = schema["properties"][name]
        allowed = {branch.get("type") for branch in [described, *described.get("anyOf", [])]}
        expected = "null" if value is None else kinds[type(value)]
        assert expected in allowed, name


FORESEEN = {
    "run",
    "plan",
    "report",
    "compare",
    "gate",
    "resume",
    "restore",
    "clean",
    "doctor",
    "export",
    "lab",
    "version",
    "agent",
}
"""The commands users and scripts may count on, sooner or later."""


def _commands() -> set[str]:
    command = typer.main.get_command(main.app)
    assert isinstance(command, typer.core.TyperGroup)
    return set(command.commands)


def test_what_is_not_there_yet_is_said_plainly() -> None:
    """docs/limitations.md names exactly the commands that are foreseen and missing."""
    text = (docs.ROOT / "docs/limitations.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if "foreseen and not there yet" in line]
    assert set(re.findall(r"`bench (\w+)`", " ".join(lines))) == FORESEEN - _commands()


def test_every_command_is_in_the_changelog() -> None:
    """What can be typed was announced."""
    text = (docs.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert not {name for name in _commands() if f"`bench {name}" not in text}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(docs.ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link in every page names a file that exists."""
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    local = [t for t in targets if not t.startswith(("http://", "https://", "mailto:"))]
    gone = [target for target in local if not (page.parent / target).exists()]
    assert not gone
