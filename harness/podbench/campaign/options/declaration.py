"""What an option is: everything that is declared about it, in one place.

`options` declares them with these words, one entry each. `validate` checks values against an entry,
`config` reads and writes YAML and the JSON schema, `cli.flags` makes flags and help panels of it.
Nothing here knows a particular option.
"""

import types
import typing
from collections.abc import Callable
from enum import StrEnum

import msgspec

RUN = ("run", "plan")
"""Commands that take every option of a run; the keys of `--config` are those of `run`."""


class Group(StrEnum):
    """A panel of `--help`, in this order."""

    MEASURE = "What to measure"
    EFFORT = "How much"
    METHOD = "How"
    LAB = "Lab"
    CLUSTER = "Cluster"
    OUTPUT = "Output"
    CONFIG = "Configuration file"


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One option. `name` is the YAML key; the flag is the same with dashes."""

    help: str
    """An imperative, without a full stop. Default and valid words are added to it."""
    group: Group
    commands: tuple[str, ...] = RUN
    target: str | None = None
    """The only target it has a meaning on; null: both."""
    choices: tuple[str, ...] = ()
    """Valid words, of the value or of each element."""
    checked: bool = True
    """Whether `choices` are all; otherwise they are suggestions, and whoever resolves checks."""
    least: int | None = None
    most: int | None = None
    reads: Callable[[str, str], object] | None = None
    """Parses a value, or each element, by its unit: `units.parse_rate_bps`."""
    needs: tuple[str, str] | None = None
    """Another option and the value it must have, else this one has no effect."""
    default_text: str | None = None
    """What a default of null becomes, in words."""
    metavar: str | None = None
    advice: str | None = None
    """What to do about a bad value, where the check itself does not say."""
    repeated: bool = False
    """Of a list: each element is a flag of its own, instead of one flag with commas."""
    measured: bool = True
    """Whether it is part of what is measured, not where results go or how they look."""
    name: str = ""
    kind: type = str
    """bool, int, str, list or dict; filled in from the annotation, as `item` and `default`."""
    item: type = str
    default: object = None

    @property
    def flag(self) -> str:
        """`--lab-loss`."""
        return "--" + self.name.replace("_", "-")


def option(help: str, group: Group, **more: typing.Any) -> msgspec.Meta:  # noqa: A002 - fields of Option
    """Declares an option, as metadata of its annotation; `more` are fields of `Option`."""
    return msgspec.Meta(description=help, extra={"option": Option(help=help, group=group, **more)})


def table(record: type[msgspec.Struct]) -> dict[str, Option]:
    """The options a record declares, by name and in its order."""
    hints = typing.get_type_hints(record, include_extras=True)
    return {
        field.name: _declared(field, hints[field.name]) for field in msgspec.structs.fields(record)
    }


def _declared(field: msgspec.structs.FieldInfo, hint: object) -> Option:
    plain, *metadata = typing.get_args(hint)
    (meta,) = (each for each in metadata if isinstance(each, msgspec.Meta))
    declared = (meta.extra or {})["option"]
    assert isinstance(declared, Option)
    if isinstance(plain, types.UnionType):
        (plain,) = (each for each in typing.get_args(plain) if each is not types.NoneType)
    items = typing.get_args(plain)
    default = (
        field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    )
    return msgspec.structs.replace(
        declared,
        name=field.name,
        kind=typing.get_origin(plain) or plain,
        item=items[-1] if items else str,
        default=default,
    )
