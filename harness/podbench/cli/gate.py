"""`bench gate RUN --slo FILE`: checks a run against limits, for pipelines."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from podbench.campaign.options.table import Options
from podbench.cli import flags


@flags.takes("gate")
def gate(
    options: Options,
    run: flags.RunDirectory,
    slo: Annotated[
        Path, typer.Option("--slo", metavar="FILE", help="YAML file of limits (docs/gate.md)")
    ],
    unknown: Annotated[
        str | None,
        typer.Option(metavar="pass|fail", help="What `cannot tell` counts as [default: exit 3]"),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write JUnit XML to this file")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a Markdown table to this file")
    ] = None,
) -> None:
    """Check a run against limits.

    Exit code: 0 all pass, 4 one fails, 3 the gate cannot tell.
    """
    from podbench.gate import decision as gates
    from podbench.gate import files
    from podbench.gate import slo as slos
    from podbench.model import words
    from podbench.store import rundir

    if unknown is not None:
        words.check(unknown, ("pass", "fail"), "--unknown")
    found = gates.judge(run, slos.read(slo), slo)
    code = gates.exit_code(found.verdict, unknown)
    if junit is not None:
        rundir.write_whole(junit, files.junit_xml(found, unknown).encode())
    if markdown is not None:
        rundir.write_whole(markdown, files.markdown(found).encode())
    if options.json:
        sys.stdout.write(files.as_json(found, code).decode())
    else:
        for line in files.lines(found):
            print(line)
    sys.exit(code)
