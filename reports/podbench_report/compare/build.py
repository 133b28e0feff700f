"""The compare page's entry: a `SideBySide` in, one HTML file out, in the frame of the report.

Sections say what (`sections/compare_*`), one template says how. Everything drawn was computed by
`podbench.analysis.compare.side_by_side`.
"""

from pathlib import Path

from podbench.analysis.compare.bundle import SideBySide
from podbench_report import frame
from podbench_report.compare import basis, closing, findings, lines, tails

_CONTENTS = (
    ("reading", "How to read this page"),
    ("comparable", "What may be compared"),
    ("found", "What was found"),
    ("untold", "What could not be told"),
    ("figures", "Side by side"),
    ("tails", "Tails"),
    ("pairs", "The same pairs"),
    ("method", "Method and limits"),
    ("appendix", "Appendix"),
)


def render(page: SideBySide) -> str:
    """The whole page as text.

    Raises:
        ReportError: The page cannot be made.
    """
    return frame.render(
        "compare.html.j2",
        _CONTENTS,
        basis=basis.build(page),
        found=findings.build(page),
        lines=lines.build(page),
        groups=lines.groups(page),
        tails=tails.build(page),
        letters=len(page.cards) > 2,
        closing=closing.build(page),
    )


def write(page: SideBySide, path: Path) -> None:
    """Renders and writes the page.

    Raises:
        ReportError: It cannot be rendered or written.
    """
    frame.write(render(page), path)


is_page = frame.is_page
"""Whether a file is a page made here."""
