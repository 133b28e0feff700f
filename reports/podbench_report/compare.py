"""The compare page's entry: a `SideBySide` in, one HTML file out, in the frame of the report.

Sections say what (`sections/compare_*`), one template says how. Everything drawn was computed by
`podbench.analysis.compare`.
"""

from pathlib import Path

import jinja2
from markupsafe import Markup

import podbench
from podbench.analysis.compare_bundle import SideBySide
from podbench.model.errors import ReportError
from podbench_report import build
from podbench_report.sections import (
    compare_basis,
    compare_closing,
    compare_found,
    compare_lines,
)

MARK = '<meta name="generator" content="podbench'
"""What every page of this package holds: how one tells it from somebody's own file."""
_CONTENTS = (
    ("found", "What was found"),
    ("untold", "What could not be told"),
    ("figures", "Side by side"),
    ("pairs", "The same pairs"),
    ("method", "Method and limits"),
    ("appendix", "Appendix"),
)


def render(page: SideBySide) -> str:
    """The whole page as text.

    Raises:
        ReportError: The page cannot be made.
    """
    script = build.text("script.js")
    try:
        return (
            build.environment()
            .get_template("compare.html.j2")
            .render(
                version=podbench.__version__,
                csp=build.policy(script),
                style=build.style() + Markup(build.text("compare.css")),  # noqa: S704 - our own file
                script=Markup(script),  # noqa: S704 - our own file
                contents=_CONTENTS,
                basis=compare_basis.build(page),
                found=compare_found.build(page),
                lines=compare_lines.build(page),
                groups=compare_lines.groups(page),
                closing=compare_closing.build(page),
            )
        )
    except jinja2.TemplateError as error:
        raise ReportError(f"the comparison cannot be rendered: {error}") from error


def write(page: SideBySide, path: Path) -> None:
    """Renders and writes the page.

    Raises:
        ReportError: It cannot be rendered or written.
    """
    build.write_page(render(page), path)


def is_page(path: Path) -> bool:
    """Whether a file is a page made here, so that writing it anew destroys nothing of anybody's."""
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(4096)
    except OSError:
        return False
