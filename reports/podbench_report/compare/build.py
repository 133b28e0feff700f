"""Entry point of the compare page: renders a `SideBySide` into one HTML file.

The other modules prepare the sections, one template lays them out. `podbench.analysis.compare`
computes everything shown.
"""

from pathlib import Path

from podbench.analysis.compare.bundle import SideBySide
from podbench_report import frame
from podbench_report.compare import basis, closing, findings, lines, tails

_CONTENTS = (
    ("reading", "How to read this page"),
    ("comparable", "Comparability"),
    ("found", "Findings"),
    ("untold", "Open questions"),
    ("figures", "Side by side"),
    ("tails", "Tails"),
    ("pairs", "Matched pairs"),
    ("method", "Method and limits"),
    ("appendix", "Appendix"),
)


def render(page: SideBySide) -> str:
    """Renders the page as text.

    Raises:
        ReportError: Rendering fails.
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
    """Renders the page and writes it.

    Raises:
        ReportError: Rendering or writing fails.
    """
    frame.write(render(page), path)


is_page = frame.is_page
"""Reports whether podbench wrote a file."""
