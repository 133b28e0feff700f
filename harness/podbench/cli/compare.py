"""`bench compare RUN RUN [RUN ...]`: two to twelve runs side by side on one page."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podbench.campaign.options.table import Options
from podbench.cli import browser, flags

if TYPE_CHECKING:
    from podbench.analysis.compare.bundle import SideBySide

DEFAULT = Path("compare.html")


@flags.takes("compare")
def compare(
    options: Options,
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="[NAME=]RUN[,RUN...]...",
            help="Two to twelve run directories, or places with several campaigns each: "
            "A=RUN,RUN,RUN B=RUN,RUN,RUN; `latest` is the newest in runs/",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="Page to write; replaces a page of podbench, no other file"
        ),
    ] = DEFAULT,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="Title of the page")] = None,
) -> None:
    """Compare runs side by side on one page."""
    from podbench.model.errors import ConfigError
    from podbench.results import side_by_side
    from podbench_report.compare import build as pages

    if out.exists() and not pages.is_page(out):
        raise ConfigError(
            f"--out: {out} exists and is not a page of podbench",
            advice="name another file with --out",
        )
    paths, columns = _columns(runs)
    page = side_by_side.side_by_side(paths, name, columns)
    if options.redact:
        from podbench.results import redact

        folders = {card.path: "directory" for card in page.cards}
        page = redact.redacted(page, [card.summary for card in page.cards], folders)
    replaced = out.exists()
    pages.write(page, out)
    for line in _said(page):
        print(line, file=sys.stderr)
    print(f"{'replaced' if replaced else 'wrote'} {out}", file=sys.stderr)
    if options.json:
        sys.stdout.write(_as_json(page))
    else:
        print(f"comparison: {out}")
    if options.open:
        browser.show(out)


def _columns(given: list[str]) -> tuple[list[Path], list[tuple[str, int]]]:
    """Run directories in order, and the columns they stand in where any was named."""
    paths: list[Path] = []
    columns: list[tuple[str, int]] = []
    named = False
    for text in given:
        name, equals, rest = text.partition("=")
        if not equals or "/" in name or Path(text).exists():
            name, rest = "", text
        own = [flags.located(one) for one in (rest.split(",") if name else [rest])]
        named |= bool(name)
        columns.append((name or own[0].name, len(own)))
        paths += own
    return paths, columns if named else []


def _said(page: "SideBySide") -> list[str]:
    """What is comparable and what is not, for stderr."""
    said = [f"left out: {one.path}: {one.reason}" for one in page.left_out]
    for card in page.cards:
        said += [f"note: {card.label}: {card.note}"] if card.note else []
        said += [f"damaged: {card.label}: {d.file}: {d.reason}" for d in card.damages]
    said += [
        f"{'refused' if remark.refused else 'caveat'}: {remark.message} ({remark.touches})"
        for remark in page.remarks
    ]
    return said


def _as_json(page: "SideBySide") -> str:
    import msgspec

    found = {
        "format": 1,
        "title": page.title,
        "runs": [
            {"label": c.label, "path": c.path, "run_id": c.summary.run_id, "note": c.note}
            for c in page.cards
        ],
        "left_out": page.left_out,
        "remarks": page.remarks,
        "comparisons": [c for line in page.lines for c in line.contrasts],
        "hosts": page.hosts,
        "machines": page.machines,
        "groups": [c for line in page.group_lines for c in line.contrasts],
        "rankings": page.rankings,
    }
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n"
