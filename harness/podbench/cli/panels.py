"""`--help` in panels: options under their group, commands under their use.

Plain text, not rich's boxes: it reads the same in a pipe and in a narrow terminal, and `bench -h`
need not import rich.
"""

from typing import TYPE_CHECKING, Any

import typer
import typer.core

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

COLUMN = 24
"""Help texts begin here at the latest; longer flags stand on a line of their own."""
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
COMMAND_WIDTH = 70
"""Characters of a command's line in the help of its group."""

Rows = list[tuple[str, str]]


class Command(typer.core.TyperCommand):
    """A command whose options are shown in panels."""

    def format_options(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        """Writes arguments, then one panel for each group, all in one column."""
        panels: dict[str, Rows] = {"Arguments": []}
        rest: Rows = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            heading = getattr(parameter, "rich_help_panel", None)
            if parameter.param_type_name == "argument":
                heading = "Arguments"
            if record is not None:
                (panels.setdefault(heading, []) if heading else rest).append(record)
        _write(formatter, {**panels, "Options": rest})


class Group(typer.core.TyperGroup):
    """A group whose commands are shown in panels."""

    def format_commands(self, ctx: "Context", formatter: "HelpFormatter") -> None:  # noqa: ARG002 - click's
        """Writes one panel for each use of the commands."""
        panels: dict[str, Rows] = {}
        for name, command in self.commands.items():
            heading = getattr(command, "rich_help_panel", None) or "Commands"
            line = command.get_short_help_str(COMMAND_WIDTH)
            panels.setdefault(heading, []).append((name, line))
        _write(formatter, panels)


def _write(formatter: "HelpFormatter", panels: dict[str, Rows]) -> None:
    width = min(COLUMN, max(len(first) for rows in panels.values() for first, _ in rows))
    for heading, rows in panels.items():
        if rows:
            with formatter.section(heading):
                aligned = [(first.ljust(width), text) for first, text in rows]
                formatter.write_dl(aligned, col_max=COLUMN)


def app(help: str, **more: Any) -> typer.Typer:  # noqa: A002 - typer's
    """A group of commands with these panels; without a command it shows its help."""
    return typer.Typer(
        cls=Group,
        help=help,
        no_args_is_help=True,
        context_settings=SETTINGS,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        **more,
    )
