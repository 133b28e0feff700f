"""`bench gate RUN --slo FILE`: limits held against a run, for pipelines."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def gate(
    run: Annotated[Path, typer.Argument(help="The run directory.")],
    slo: Annotated[Path, typer.Option("--slo", help="YAML file of limits (docs/gate.md).")],
    unknown: Annotated[
        str | None, typer.Option(help="What `cannot tell` counts as: pass or fail.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a Markdown table here.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Hold limits against a run: exits 0 when all pass, 4 when one fails, 3 when it cannot tell."""
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
    if json:
        sys.stdout.write(files.as_json(found, code).decode())
    else:
        for line in files.lines(found):
            print(line)
    sys.exit(code)
