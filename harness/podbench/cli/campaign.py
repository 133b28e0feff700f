"""From options to a report: makes the run directory, measures in isolation, analyses, renders."""

import sys
from pathlib import Path

import msgspec
from rich.console import Console

from podbench.cli.progress import Screen
from podbench.model.errors import PodbenchError
from podbench.run import conduct, plan, prerequisites, record, results
from podbench.run.options import Options
from podbench.run.spec import RunSpec, kubeconfig
from podbench.store import rundir as store
from podbench.store.rundir import RunDir
from podbench.target.lab import isolate

FLAGGED = 3


def begin(options: Options, spec: RunSpec) -> int:
    """Starts a new run and sees it through; returns the exit code."""
    prerequisites.require(prerequisites.needed(spec))
    plan.draw(
        spec, spec.lab.names, exclusive=True
    )  # refuses a budget too short before anything is made
    where = Path(options.out) if options.out else record.default_directory(spec)
    isolate.refuse_hidden([where])
    rundir = store.create(where)
    console = Console(stderr=True)
    _first_lines(console, options, spec, rundir)
    rundir.write_json(
        rundir.run_json,
        record.RunRecord(
            run_id=rundir.path.resolve().name,
            name=spec.name,
            labels=spec.labels,
            status="running",
            started=record.now(),
            ended=None,
            target=spec.target,
            spec=spec,
            options=msgspec.to_builtins(options),
            seed=spec.seed,
            versions=record.versions(),
        ),
    )
    return see_through(rundir, console, quiet=options.quiet, as_json=options.json)


def see_through(rundir: RunDir, console: Console, *, quiet: bool, as_json: bool) -> int:
    """Measures what is missing, then analyses and renders; returns the exit code."""
    code = isolate.run_isolated(lambda: _inside(rundir, console, quiet=quiet), paths=[rundir.path])
    if code == conduct.INTERRUPTED:
        console.print(
            f"interrupted: what was measured is kept in {rundir.path}\n"
            f"  -> bench resume {rundir.path} goes on after the last whole round;\n"
            f"     bench report {rundir.path} shows what there is",
            highlight=False,
            soft_wrap=True,
        )
    if code:
        return code
    return conclude(rundir, console, quiet=quiet, as_json=as_json)


def conclude(rundir: RunDir, console: Console, *, quiet: bool, as_json: bool) -> int:
    """Analyses the samples, writes summary.json and report.html; returns the exit code."""
    bundle = results.conclude(rundir)
    from podbench_report import build

    build.write(bundle, rundir.report_html)
    flags = results.flags(bundle)
    for flag in flags:
        console.print(f"flagged: {flag}", highlight=False, markup=False, soft_wrap=True)
    for damage in bundle.damages:
        text = f"damaged: {damage.file}: {damage.reason}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
    if as_json:
        sys.stdout.write(rundir.summary_json.read_text(encoding="utf-8"))
    elif not quiet:
        print(f"report: {rundir.report_html}")
    return FLAGGED if flags or bundle.damages else 0


def _first_lines(console: Console, options: Options, spec: RunSpec, rundir: RunDir) -> None:
    if options.quiet:
        return
    found = kubeconfig()
    why = "no kubeconfig found, so " if options.target == "auto" and found is None else ""
    if options.target == "auto" and found is not None:
        why = f"{found} is there, but this version measures on the lab only, so "
    lines = [
        f"{why}measuring on the lab: network namespaces on one machine, not your cluster",
        f"{spec.cni}: {', '.join(spec.modes)} on {spec.lab.nodes} nodes",
        f"run directory: {rundir.path}",
    ]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _inside(rundir: RunDir, console: Console, *, quiet: bool) -> int:
    screen = Screen(console, quiet=quiet)
    try:
        return conduct.measure(rundir, screen)
    except PodbenchError as error:
        screen.close()
        console.print(f"bench: {error}", highlight=False, markup=False, soft_wrap=True)
        if error.advice:
            console.print(f"  -> {error.advice}", highlight=False, markup=False, soft_wrap=True)
        return error.exit_code
    finally:
        screen.close()
