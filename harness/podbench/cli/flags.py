"""Flags from the table of options (`campaign.options.table`), and their lines in `--help`.

A command is a function of `Options` and of its own parameters; `takes` turns it into
what typer expects. Below: `campaign.options.validate`. `panels` lays out the help.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from podbench.campaign.options import validate
from podbench.campaign.options.declaration import Group, Option
from podbench.campaign.options.table import Options, taken_by

METAVARS = {int: "N", str: "TEXT", dict: "K=V", list: "A,B"}
"""What stands for a value whose option names nothing better."""


def located(text: str) -> Path:
    """A run directory as a command line names it; `latest` is the newest in runs/."""
    # Late: reading runs brings msgspec's records of them, which `--help` does without.
    from podbench.results import listing

    return listing.located(text)


RunDirectory = Annotated[
    Path,
    typer.Argument(
        metavar="RUN", help="Run directory; `latest` is the newest in runs/", parser=located
    ),
]
PrintConfig = Annotated[
    bool,
    typer.Option(
        "--print-config",
        help="Print the resolved options as such a file and exit",
        rich_help_panel=Group.CONFIG,
    ),
]
_Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="YAML file of options; flags win over it",
        rich_help_panel=Group.CONFIG,
    ),
]


def takes(
    command: str, *, config: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command the options that name it in the table, as its first argument.

    Args:
        command: As the table calls it: `run`, `lab up`.
        config: Whether it takes `--config`, whose file lies below the flags.
    """
    declared = taken_by(command)

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        def call(**given: Any) -> None:
            file = given.pop("config", None) if config else None
            options = _merged(file, declared, {name: given.pop(name, None) for name in declared})
            validate.values(options, command)
            function(options, **given)

        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
        parameters = [_parameter(option) for option in declared.values()]
        parameters += [_keyword("config", _Config)] if config else []
        parameters += [each.replace(kind=each.KEYWORD_ONLY) for each in own]
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # PEP 362
        call.__annotations__ = {each.name: each.annotation for each in parameters}
        call.__doc__ = function.__doc__
        return call

    return decorate


def _merged(file: Path | None, declared: dict[str, Option], flags: dict[str, Any]) -> Options:
    """Merges flags over a file's options; a flag that is not given leaves the file's value."""
    below = Options()
    if file is not None:
        from podbench.campaign.options import config  # late: brings yaml

        below = config.read(file)
    given = {
        name: value if isinstance(value, bool) else validate.from_flag(declared[name], value)
        for name, value in flags.items()
        if value is not None and value != []
    }
    return msgspec.structs.replace(below, **given)


def _parameter(option: Option) -> inspect.Parameter:
    many = option.repeated or option.kind is dict
    kind: Any = bool if option.kind is bool else list[str] if many else str
    declared = typer.Option(
        option.flag,
        help=_help(option),
        metavar=_metavar(option),
        show_default=False,
        rich_help_panel=option.group,
        autocompletion=_completion(option),
    )
    return _keyword(option.name, Annotated[kind | None, declared])


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _metavar(option: Option) -> str | None:
    if option.metavar or option.kind is bool:
        return option.metavar
    return option.name.upper() if option.choices and option.kind is str else METAVARS[option.kind]


def _help(option: Option) -> str:
    words = f" ({', '.join(option.choices)})" if option.choices else ""
    default = option.default_text
    if default is None and option.default and option.kind is not bool:
        default = str(option.default)
    return option.help + words + (f" [default: {default}]" if default else "")


def _completion(option: Option) -> Callable[[str], list[str]] | None:
    if not option.choices:
        return None

    def complete(incomplete: str) -> list[str]:
        """Completes a word; of a list the last one."""
        before, comma, _ = incomplete.rpartition(",") if option.kind is list else ("", "", "")
        return [before + comma + word for word in option.choices]

    return complete
