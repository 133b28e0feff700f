"""Options as YAML: the file of `--config`, what `--print-config` prints, and the JSON schema."""

import json
import re
import shlex
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from podbench.campaign.options.declaration import Option
from podbench.campaign.options.table import OPTIONS, Options, taken_by
from podbench.model import words
from podbench.model.errors import ConfigError

KEYS = taken_by("run")


def read(path: Path) -> Options:
    """Reads a `--config` file.

    Raises:
        ConfigError: It cannot be read, is not YAML, or has an unknown, repeated or ill-typed key;
            names the file, the line and the key.
    """
    content, lines = _load(path)
    for key in content:
        if key not in KEYS:
            raise ConfigError(
                f"--config: {path}, line {lines[key]}: unknown key {key!r}"
                + words.nearest(key, KEYS),
                advice="keys are the option names with underscores: bench run --print-config",
            )
    try:
        return msgspec.convert(content, Options, strict=True)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$.")
        key = re.split(r"[`.\[]", place)[0]
        where = f", line {lines[key]}: {key}" if key in lines else ""
        raise ConfigError(f"--config: {path}{where}: {message}") from error


def _load(path: Path) -> tuple[dict[str, object], dict[str, int]]:
    """A file's values and the line of each, by key."""
    import yaml

    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        pairs = _pairs(root, path)
        # A key is its text: a bare `yes` is an option's name, not a truth value.
        values = {key.value: loader.construct_object(value, deep=True) for key, value in pairs}
    except OSError as error:
        raise ConfigError(f"--config: {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"--config: {path} is not UTF-8 text: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"--config: {place}: {problem}") from error
    return values, {key.value: key.start_mark.line + 1 for key, _ in pairs}


def _pairs(root: typing.Any, path: Path) -> list[tuple[typing.Any, typing.Any]]:
    """The keys and values of a mapping, none of them twice."""
    if root is None:
        return []
    if root.id != "mapping":
        raise ConfigError(
            f"--config: {path}: expected `name: value` lines, found a {root.id}",
            advice="`bench run --print-config` prints a file to start from",
        )
    lines: dict[str, int] = {}
    for key, _ in root.value:
        line = key.start_mark.line + 1
        if str(key.value) in lines:
            raise ConfigError(
                f"--config: {path}, line {line}: {key.value} is on line {lines[key.value]} already"
            )
        lines[str(key.value)] = line
    return list(root.value)


def show(options: Options) -> str:
    """The options as YAML that `--config` takes, by group."""
    import yaml

    content = msgspec.to_builtins(options)
    lines = ["# podbench: bench run --config FILE"]
    group = None
    for option in KEYS.values():
        if option.group != group:
            group = option.group
            lines += ["", f"# {group}"]
        lines.append(
            yaml.safe_dump(
                {option.name: content[option.name]}, allow_unicode=True, width=1000
            ).rstrip()
        )
    return "\n".join(lines) + "\n"


def command_line(given: Mapping[str, object]) -> str:
    """The `bench run` command with these options, quoted for the shell.

    Args:
        given: Options by name; null, false, nothing and 0 are left out.
    """
    parts = ["bench", "run"]
    for name, value in given.items():
        option = OPTIONS.get(name)
        if option is not None and value and option.measured:
            parts += _flags(option, value)
    return shlex.join(parts)


def _flags(option: Option, value: object) -> list[str]:
    if value is True:
        return [option.flag]
    if isinstance(value, Mapping):
        return [part for key, text in value.items() for part in (option.flag, f"{key}={text}")]
    if isinstance(value, Sequence) and not isinstance(value, str):
        texts = map(str, value) if option.repeated else [",".join(map(str, value))]
        return [part for text in texts for part in (option.flag, text)]
    return [option.flag, str(value)]


def schema() -> str:
    """The JSON schema of `--config`."""
    (body,) = msgspec.json.schema(Options)["$defs"].values()
    body["properties"] = {
        name: _described(option, body["properties"][name]) for name, option in KEYS.items()
    }
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **body,
        "title": "podbench configuration (bench run --config FILE)",
        "description": "The options of bench run, with underscores; flags win over the file.",
    }
    return json.dumps(document, indent=2) + "\n"


def _described(option: Option, described: dict[str, typing.Any]) -> dict[str, typing.Any]:
    """Adds valid words and bounds to the schema of an option."""
    described["description"] = option.help
    branches = [described, *described.get("anyOf", [])]
    for branch in [*branches, *(b["items"] for b in branches if "items" in b)]:
        if branch.get("type") == "string" and option.choices:
            branch["enum"] = list(option.choices)
        if branch.get("type") == "integer":
            bounds = {"minimum": option.least, "maximum": option.most}
            branch.update({k: v for k, v in bounds.items() if v is not None})
    return described
