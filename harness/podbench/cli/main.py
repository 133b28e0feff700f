"""`bench`: the commands, and how errors are printed.

Heavy modules are imported inside the commands, so that `bench --help` answers at once.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
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
    log,
    ls,
    memory,
    panels,
    report,
    restore,
    resume,
    run,
)
from podbench.cli.streams import install
from podbench.model import plain, words
from podbench.model.errors import PodbenchError

app = panels.app("Measure what a pod network really does, and prove which way its packets went.")

MEASURE, READ, CLUSTER, LOOK = "Measure", "Read results", "Clean up a cluster", "Look around"
COMMANDS = (
    ("run", run.run, MEASURE),
    ("plan", run.plan, MEASURE),
    ("resume", resume.resume, MEASURE),
    ("report", report.report, READ),
    ("ls", ls.ls, READ),
    ("compare", compare.compare, READ),
    ("gate", gate.gate, READ),
    ("export", export.export, READ),
    ("restore", restore.restore, CLUSTER),
    ("clean", clean.clean, CLUSTER),
    ("doctor", doctor.doctor, LOOK),
)
for name, function, use in COMMANDS:
    app.command(name, cls=panels.Command, rich_help_panel=use)(function)
app.add_typer(lab.app, name="lab", rich_help_panel=LOOK)
app.add_typer(agent.app, name="agent", rich_help_panel=LOOK)

DEBUG = False
"""Set by `--debug`: an error then shows its traceback."""


def _version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def _global(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks")] = False,
    _: Annotated[
        bool, typer.Option("--version", help="Print the version", is_eager=True, callback=_version)
    ] = False,
) -> None:
    global DEBUG  # noqa: PLW0603 - read once, after the command has failed
    DEBUG = DEBUG or debug


@app.command(cls=panels.Command, rich_help_panel=LOOK)
def version() -> None:
    """Print the version."""
    import podbench

    print(podbench.__version__)


def without_debug(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """The arguments without our own `--debug`, which may stand anywhere; and whether it stood.

    Behind `--`, and behind the node or pod of `lab exec`, every word is the user's command's.
    """
    own = len(arguments)
    names: list[str] = []
    for place, word in enumerate(arguments):
        if word == "--" or (names[:2] == ["lab", "exec"] and len(names) > 2):
            own = place
            break
        if not word.startswith("-"):
            names.append(word)
    kept = [word for word in arguments[:own] if word != "--debug"]
    return [*kept, *arguments[own:]], "--debug" in arguments[:own]


def main() -> None:
    """Runs a command; an error becomes one sentence, advice and an exit code."""
    install()
    log.install()
    arguments, debug = without_debug(sys.argv[1:])
    try:
        memory.require(arguments)
        sys.exit(app(args=arguments, prog_name=_called(), standalone_mode=False))
    except typer.TyperException as error:
        _refuse(error)
    except PodbenchError as error:
        if debug:
            raise
        print(f"bench: {plain.lines(str(error))}", file=sys.stderr)
        if error.advice:
            print(f"  -> {plain.lines(error.advice)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except MemoryError:
        if debug:
            raise
        allowed = memory.limit()
        why = "" if allowed is None else f": `ulimit -v` allows {allowed >> 20} MiB"
        print(f"bench: there is not enough memory{why}", file=sys.stderr)
        print("  -> free some, raise `ulimit -v`, or measure less at once", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        what = plain.lines(f"{type(error).__name__}: {error}")
        print(f"bench: a defect of its own: {what}", file=sys.stderr)
        print("  -> --debug shows the traceback, which a report needs", file=sys.stderr)
        sys.exit(1)


def _called() -> str:
    """What to type, as help and errors show it: kubectl runs its plugins by their file's name."""
    return "kubectl bench" if Path(sys.argv[0]).name == "kubectl-bench" else "bench"


def _refuse(error: typer.TyperException) -> None:
    """Prints a usage error in the same two lines as every other error; exit code 2."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), file=sys.stderr)
        sys.exit(2)
    command = "bench" if context is None else context.command_path
    message = error.message
    possible = getattr(error, "option_name", None)
    if possible and context is not None:
        options = [flag for each in context.command.params for flag in each.opts]
        message += words.nearest(possible, options)
    else:
        message = error.format_message()
    print(f"{command}: {message[:1].lower()}{message[1:]}", file=sys.stderr)
    print(f"  -> {command} -h lists what it takes", file=sys.stderr)
    sys.exit(error.exit_code)
