"""From options to a report: makes the run directory, measures, analyses, renders."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from podbench.campaign import conduct, plan, prerequisites, record
from podbench.campaign.options.table import Options
from podbench.campaign.spec import RunSpec
from podbench.cli import browser, closing
from podbench.cli.progress import Screen
from podbench.model import plain
from podbench.model.errors import PodbenchError
from podbench.results import conclude as results
from podbench.store import lock
from podbench.store import rundir as store
from podbench.store.rundir import RunDir
from podbench.target.lab import isolate

if TYPE_CHECKING:
    from podbench.analysis.samples.inputs import Inputs

FLAGGED = 3


def begin(options: Options, spec: RunSpec, cluster: record.ClusterRecord | None = None) -> int:
    """Starts a new run and carries it out; returns the exit code.

    Args:
        options: As the user gave them.
        spec: What they were resolved to.
        cluster: What was found of the cluster; null on the lab.
    """
    prerequisites.require(prerequisites.needed(spec))
    if spec.cluster is None:
        # Refuses a budget too short before anything is made.
        plan.draw(spec, spec.lab.names, exclusive=True)
    where = Path(options.out) if options.out else record.default_directory(spec)
    if spec.cluster is None:
        isolate.refuse_hidden([where])
    rundir = store.create(where)
    console = Console(stderr=True)
    if not options.quiet:
        for line in (*_first_lines(options, spec), f"run directory: {rundir.path}"):
            tell(console, line)
    with lock.held(rundir.path):
        record.begin(rundir, options, spec, cluster)
        return see_through(rundir, console, options)


def see_through(rundir: RunDir, console: Console, options: Options) -> int:
    """Measures what is missing, then analyses and renders; returns the exit code."""
    begun = rundir.read_json(rundir.run_json, record.RunRecord)
    if begun.spec.cluster is None:
        code = isolate.run_isolated(
            lambda: _measure(rundir, console, quiet=options.quiet), paths=[rundir.path]
        )
    else:
        code = _measure(rundir, console, quiet=options.quiet)
    if code == conduct.INTERRUPTED:
        tell(console, f"interrupted: measurements so far are kept in {rundir.path}")
        again = record.resume_command(rundir.path, begun.spec)
        tell(console, f"  -> {again} continues after the last complete round;")
        tell(console, f"     bench report {shlex.quote(str(rundir.path))} shows the results so far")
    _tell_aftermath(rundir, console, quiet=options.quiet)
    if code:
        return code
    return conclude(rundir, console, options)


def conclude(rundir: RunDir, console: Console, options: Options) -> int:
    """Analyses the samples, writes summary.json and report.html; returns the exit code."""
    from podbench.analysis.findings import flagged

    bundle = results.conclude(rundir, options.traffic)
    from podbench_report import build

    flags = flagged.reasons(bundle) + results.left_behind(rundir)
    if options.redact:
        from podbench.results import redact

        # summary.json keeps its names: it stays with the samples, which have them too.
        bundle = redact.redacted(bundle, [bundle.summary])
    build.write(bundle, rundir.report_html)
    if not options.quiet:
        for line in closing.lines(bundle.summary):
            tell(console, line)
    for flag in flags:
        tell(console, f"flagged: {flag}")
    for damage in bundle.damages:
        tell(console, f"damaged: {damage.file}: {damage.reason}")
    if options.json:
        import msgspec

        printed = msgspec.json.format(msgspec.json.encode(bundle.summary), indent=2)
        sys.stdout.write(printed.decode() + "\n")
    else:
        print(rundir.report_html if options.quiet else f"report: {rundir.report_html}")
    if options.open:
        browser.show(rundir.report_html)
    return FLAGGED if flags or bundle.damages else 0


def tell(console: Console, text: str) -> None:
    """Prints one line verbatim: names from a cluster or a user are not markup."""
    console.print(plain.lines(text), highlight=False, markup=False, soft_wrap=True)


def _first_lines(options: Options, spec: RunSpec) -> list[str]:
    if spec.cluster is None:
        why = "no kubeconfig found, so " if options.target == "auto" else ""
        return [
            f"{why}measuring on the lab: network namespaces on one machine, not your cluster",
            f"{spec.cni}: {', '.join(spec.modes)} on {spec.lab.nodes} nodes",
        ]
    return [
        f"measuring on the cluster of context {spec.cluster.context} at {spec.cluster.server}",
        f"{spec.cni} ({spec.method}): {', '.join(spec.possible)}"
        f" on {len(spec.cluster.nodes)} nodes",
    ]


def _tell_aftermath(rundir: RunDir, console: Console, *, quiet: bool) -> None:
    """Prints what was removed from a cluster; what is left is printed even with --quiet."""
    found = rundir.read_json(rundir.run_json, record.RunRecord).aftermath
    if found is None:
        return
    for each in found.left:
        tell(console, f"left in the cluster: {each}")
    if found.left:
        tell(console, f"  -> bench restore {shlex.quote(str(rundir.path))} removes it")
    elif not quiet:
        gone = [each for each in found.made if each in found.gone]
        wide = [each for each in gone if "/" not in each]
        rest = (
            f" and {len(gone) - len(wide)} objects in the namespaces"
            if len(gone) > len(wide)
            else ""
        )
        tell(console, f"removed and checked: {', '.join(wide)}{rest}")
    if found.restored and not quiet:
        tell(console, f"restored: {', '.join(found.restored)}")


def _read(rundir: RunDir, begun: record.RunRecord) -> "Inputs":
    # Late: pandas takes half a second, and only runs long enough for a look need it.
    from podbench.results import gather

    return gather.inputs(rundir, begun)


def _measure(rundir: RunDir, console: Console, *, quiet: bool) -> int:
    screen = Screen(console, quiet=quiet)
    try:
        return conduct.measure(rundir, screen, _read)
    except PodbenchError as error:
        screen.close()
        tell(console, f"bench: {error}")
        if error.advice:
            tell(console, f"  -> {error.advice}")
        return error.exit_code
    finally:
        screen.close()
