"""`bench doctor`: what this machine can and cannot do, each with the way to get it."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from podbench.model import words
from podbench.model.errors import ConfigError
from podbench.run import doctor as checks
from podbench.run.doctor import Check, Need

TARGETS = ("auto", "lab", "kubernetes")
WIDTH_WITHOUT_TERMINAL = 110
"""Columns of the table in a file or a pipe; rich would take 80."""


def doctor(
    target: Annotated[str, typer.Option(help="auto, lab or kubernetes.")] = "auto",
    context: Annotated[str | None, typer.Option(help="The kubeconfig context to look at.")] = None,
    instrument: Annotated[
        bool,
        typer.Option("--instrument", help="Also measure the instrument: clock, sleeps, loopback."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.")
    ] = False,
) -> None:
    """Says what this machine can and cannot do, each with the way to get it.

    Exit code: 0 all three modes can be measured, 3 not all of them, 2 nothing can.
    """
    words.check(target, TARGETS, "--target")
    if target == "kubernetes" or context is not None:
        option = "--context" if target != "kubernetes" else "--target kubernetes"
        raise ConfigError(
            f"{option}: this version measures on the lab only, there is no cluster to look at",
            advice="use `bench doctor --target lab`",
        )
    found = _examine(instrument=instrument)
    code = checks.exit_code(found)
    if as_json:
        print(json.dumps(_document(found, code), indent=2))
    else:
        _show(found, code)
    raise typer.Exit(code)


def _examine(*, instrument: bool) -> list[Check]:
    # Late: these bring NumPy and pyroute2.
    from podbench.run import doctor_lab
    from podbench.run import instrument as calibration
    from podbench.wire.replies import STAMP_SOURCES
    from podbench_agent import timestamping

    def source_towards(address: str) -> str:
        return STAMP_SOURCES[timestamping.choose_source(address)]

    stamps = partial(doctor_lab.veth_stamps, source_towards)
    found = [*checks.host_checks(), *doctor_lab.lab_checks([stamps])]
    return [*found, *calibration.instrument_checks()] if instrument else found


def _document(found: Sequence[Check], code: int) -> dict[str, object]:
    return {
        "target": "lab",
        "machine": checks.machine(),
        "exit_code": code,
        "verdict": verdict(code),
        "install": checks.apt_line(found),
        "checks": msgspec.to_builtins(found),
    }


def verdict(code: int) -> str:
    """What an exit code of this command means, as a sentence."""
    return {
        0: "bench run works here on the lab, with all three modes.",
        2: "bench run cannot work here yet.",
        3: "bench run works here on the lab, but not everything can be measured.",
    }[code]


def _show(found: Sequence[Check], code: int) -> None:
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    plain = console.options.ascii_only
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("", "what", "found", "needed for"):
        table.add_column(heading, overflow="fold")
    for check in found:
        word, style = _mark(check)
        cells = [
            Text(_ascii(text, plain=plain)) for text in (check.name, check.found, check.needed_for)
        ]
        table.add_row(Text(word, style), *cells)
    console.print(_ascii(checks.machine(), plain=plain))
    console.print(table)
    _show_remedies(found, console, plain=plain)
    console.print(verdict(code))


def _mark(check: Check) -> tuple[str, str]:
    """A word that says it without colour, and the colour."""
    if check.ok:
        return "ok", "green"
    if check.ok is None:
        return "?", "yellow"
    return ("note", "yellow") if check.need == Need.ADVICE else ("NO", "bold red")


def _show_remedies(found: Sequence[Check], console: Console, *, plain: bool) -> None:
    """One line per thing that can be mended, unwrapped so that commands can be copied."""
    for check in found:
        if not check.ok and check.advice:
            text = _ascii(f"{check.name}: {check.advice}", plain=plain)
            console.print(text, soft_wrap=True)
    line = checks.apt_line(found)
    if line is not None:
        console.print(f"Install what is missing: {line}", soft_wrap=True)


def _ascii(text: str, *, plain: bool) -> str:
    """The text, without letters a plain ASCII terminal cannot show."""
    return text.replace("µ", "u").encode("ascii", "replace").decode() if plain else text
