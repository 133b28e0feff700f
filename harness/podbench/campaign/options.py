"""The options of `bench run` as users write them: as flags and, by the same names, in YAML.

`resolve` (campaign/spec.py) turns them into numbers. The JSON schema of `--config` comes from
this record.
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import yaml

from podbench.model import words
from podbench.model.errors import ConfigError


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user may ask for. Null: not given, the default is resolved later."""

    cni: str = "auto"
    target: str = "auto"
    modes: list[str] | None = None
    probes: list[str] | None = None
    budget: str | None = None
    blocks: int | None = None
    nodes: int | None = None
    seed: int | None = None
    out: str | None = None
    name: str | None = None
    label: dict[str, str] = {}
    yes: bool = False
    json: bool = False
    quiet: bool = False
    method: str | None = None
    equal_mtu: bool = False
    proof: str | None = None
    spin: bool = False
    lab_rate: str | None = None
    lab_loss: list[str] = []
    lab_cpu_noise: int = 0
    context: str | None = None
    disrupt: str | None = None
    pool_cidr: str | None = None
    image: str | None = None
    broker: str | None = None
    max_bandwidth: str | None = None
    saturate: bool = False
    allow_bgp_export: bool = False


def read(path: Path) -> Options:
    """Reads a `--config` file.

    Raises:
        ConfigError: It cannot be read, is no YAML, or has an unknown or ill-typed field; names the
            file, and the line or the field.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"--config: {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"--config: {path} is not UTF-8 text: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"--config: {place}: {problem}") from error
    if content is None:
        return Options()
    if not isinstance(content, dict):
        raise ConfigError(
            f"--config: {path}: expected `name: value` lines, found {type(content).__name__}",
            advice="`bench run --print-config` prints a file to start from",
        )
    for field in content:
        if field not in Options.__struct_fields__:
            near = words.nearest(str(field), Options.__struct_fields__)
            line = _line_of(path, str(field))
            raise ConfigError(
                f"--config: {path}, line {line}: there is no field {field!r}{near}",
                advice="the names are those of the options, with underscores",
            )
    try:
        return msgspec.convert(content, Options, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"--config: {path}{_field_place(path, str(error))}: {error}") from error


def _line_of(path: Path, field: str) -> int:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith((f"{field}:", f'"{field}"', f"'{field}'")):
            return number
    return 1


def _field_place(path: Path, message: str) -> str:
    _, _, where = message.partition("`$.")
    field = where.split("`")[0].split("[")[0].split(".")[0]
    return f", line {_line_of(path, field)}" if field else ""


def merge(below: Options, flags: dict[str, object]) -> Options:
    """Lays flags over a file's options; a flag that was not given (null) leaves the file's."""
    given = {name: value for name, value in flags.items() if value is not None}
    return msgspec.structs.replace(below, **given)


def show(options: Options) -> str:
    """The options as YAML that `--config` takes."""
    content = msgspec.to_builtins(options)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


_NOT_REPEATED = {"out", "yes", "json", "quiet"}
"""Where it goes and how it looks is no part of what is measured."""
_REPEATABLE = {"lab_loss"}
"""Lists of which each element is a flag of its own; other lists are joined by commas."""


def command_line(given: Mapping[str, object]) -> str:
    """The `bench run` that asks for the same; the shell reads it as it stands.

    Args:
        given: options by their field names; null, false, nothing and 0 are left out.
    """
    words = ["bench", "run"]
    for name, value in given.items():
        flag = "--" + name.replace("_", "-")
        if not value or name in _NOT_REPEATED:
            continue
        if value is True:
            words.append(flag)
        elif isinstance(value, Mapping):
            words += [part for key, text in value.items() for part in (flag, f"{key}={text}")]
        elif isinstance(value, Sequence) and not isinstance(value, str):
            parts = value if name in _REPEATABLE else [",".join(map(str, value))]
            words += [word for part in parts for word in (flag, str(part))]
        else:
            words += [flag, str(value)]
    return shlex.join(words)


def labels(given: list[str]) -> dict[str, str]:
    """Reads `k=v` labels.

    Raises:
        ConfigError: One has no `=` or no key.
    """
    found = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError(
                f"--label: {text!r} is not k=v", advice="write it like --label env=lab"
            )
        found[key] = value
    return found
