"""`bench doctor`: what this machine or a cluster can and cannot do, each with its fix."""

import json
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from podbench.campaign.options.table import Options
from podbench.cli import flags
from podbench.doctor import checks
from podbench.doctor.checks import Check, Need
from podbench.model.errors import PodbenchError

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_WITHOUT_TERMINAL = 110
"""Columns of the table in a file or a pipe; rich would take 80."""


@flags.takes("doctor")
def doctor(
    options: Options,
    instrument: Annotated[
        bool,
        typer.Option(
            "--instrument",
            help="Measure the instrument too: clock, timers, noise floor, CPU cost, other tools",
        ),
    ] = False,
) -> None:
    """Check this machine or a cluster; each problem with its fix.

    Exit code: 0 all modes can be measured, 3 not all of them or some check is inconclusive, 2 no
    run is possible. Nothing is created on a cluster: what a run would create is tried by dry runs.
    """
    from podbench.campaign import spec

    # Where `bench run` with the same options would measure.
    place = spec.chosen_target(options)
    found = _examine_lab() if place == "lab" else _examine_cluster(options)
    if instrument:
        found += _examine_instrument()
    code = checks.exit_code(found)
    if options.json:
        print(json.dumps(_document(found, code, place), indent=2))
    else:
        _show(found, code, place)
    raise typer.Exit(code)


def _examine_lab() -> list[Check]:
    # Late: these bring NumPy and pyroute2.
    from podbench.doctor import lab
    from podbench.doctor.machine import host_checks
    from podbench.wire.replies import STAMP_SOURCES
    from podbench_agent import timestamping

    def source_towards(address: str) -> str:
        return STAMP_SOURCES[timestamping.choose_source(address)]

    stamps = partial(lab.veth_stamps, source_towards)
    return [*host_checks(), *lab.lab_checks([stamps])]


def _examine_cluster(asked: Options) -> list[Check]:
    # Late: brings the kubernetes client.
    from podbench.campaign.cluster import survey
    from podbench.doctor import cluster
    from podbench.model import published

    look = cluster.Asked(
        context=asked.context,
        image=asked.image or published.image(),
        broker=asked.broker,
        kubeconfig=asked.kubeconfig,
        wanted=survey.wanted(asked),
    )
    return [*cluster.here_checks(), *cluster.examined_checks(look)]


def _examine_instrument() -> list[Check]:
    # Late: these bring NumPy.
    from podbench.doctor import floor, instrument, lab
    from podbench_agent.probes import selftest

    measure = partial(selftest.measure, floor.entered)
    found = instrument.instrument_checks()
    try:
        return found + lab.ask_inside(partial(floor.floors, measure))
    except PodbenchError as error:
        return [*found, floor.failed("veth floor", error)]


def _document(found: Sequence[Check], code: int, place: str) -> dict[str, object]:
    from podbench.doctor.machine import machine

    return {
        "target": place,
        "machine": machine(),
        "exit_code": code,
        "verdict": verdict(code, place),
        "install": checks.apt_line(found),
        "checks": msgspec.to_builtins(found),
    }


def verdict(code: int, place: str) -> str:
    """What an exit code of this command means, as a sentence."""
    where = "here on the lab" if place == "lab" else "on this cluster"
    return {
        0: f"bench run works {where}, with all modes.",
        2: f"bench run cannot work {where} yet.",
        3: f"bench run works {where}, but some modes or checks are missing or inconclusive.",
    }[code]


def _show(found: Sequence[Check], code: int, place: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from podbench.doctor.machine import machine

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
    console.print(_ascii(machine(), plain=plain))
    console.print(table)
    _show_remedies(found, console, plain=plain)
    console.print(verdict(code, place))


def _mark(check: Check) -> tuple[str, str]:
    """A word that works without colour, and the colour."""
    if check.ok:
        return "ok", "green"
    if check.ok is None:
        return "?", "yellow"
    return ("note", "yellow") if check.need == Need.ADVICE else ("NO", "bold red")


def _show_remedies(found: Sequence[Check], console: "Console", *, plain: bool) -> None:
    """One line for each fix, unwrapped so that commands can be copied."""
    for check in found:
        if not check.ok and check.advice:
            text = _ascii(f"{check.name}: {check.advice}", plain=plain)
            console.print(text, soft_wrap=True)
    line = checks.apt_line(found)
    if line is not None:
        console.print(f"Install what is missing: {line}", soft_wrap=True)


def _ascii(text: str, *, plain: bool) -> str:
    """The text without characters that an ASCII terminal cannot show."""
    return text.replace("µ", "u").encode("ascii", "replace").decode() if plain else text
