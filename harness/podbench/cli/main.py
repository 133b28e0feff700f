"""`bench`: the commands, and what an error looks like.

Heavy modules are imported inside the commands, so that `bench --help` answers at once.
"""

import sys
from typing import Annotated

import typer

from podbench.cli import (
    agent,
    clean,
    compare,
    doctor,
    export,
    gate,
    lab,
    report,
    restore,
    resume,
    run,
)
from podbench.model.errors import PodbenchError

app = typer.Typer(
    name="bench",
    help="Measures what a pod network really does, and proves which way its packets went.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.command("plan")(run.plan)
app.command("report")(report.report)
app.command("resume")(resume.resume)
app.command("compare")(compare.compare)
app.command("gate")(gate.gate)
app.command("export")(export.export)
app.command("restore")(restore.restore)
app.command("clean")(clean.clean)
app.command("doctor")(doctor.doctor)
app.add_typer(lab.app, name="lab", help="Look around in the embedded lab.")
app.add_typer(agent.app, name="agent", help="The instrument on its own.")

DEBUG = False
"""Set by `--debug`: an error then shows its traceback."""


@app.callback()
def _global(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    global DEBUG  # noqa: PLW0603 - read once, after the command has failed
    DEBUG = DEBUG or debug


@app.command()
def version() -> None:
    """Print the version."""
    import podbench

    print(podbench.__version__)


def main() -> None:
    """Runs a command; errors become one sentence, the way out and an exit code."""
    debug = "--debug" in sys.argv
    arguments = [a for a in sys.argv[1:] if a != "--debug"]
    try:
        app(args=arguments, prog_name="bench")
    except PodbenchError as error:
        if debug:
            raise
        print(f"bench: {error}", file=sys.stderr)
        if error.advice:
            print(f"  -> {error.advice}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        print(f"bench: a defect of its own: {type(error).__name__}: {error}", file=sys.stderr)
        print("  -> --debug shows the traceback, which a report needs", file=sys.stderr)
        sys.exit(1)
