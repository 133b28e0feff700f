"""Entry point of the report: renders a bundle into one HTML file.

Sections prepare the content, templates lay it out. The page is self-contained; its content security
policy forbids every request.
"""

from pathlib import Path

from podbench.analysis.bundle import Bundle
from podbench_report import frame, palette, wording
from podbench_report.sections import (
    appendix,
    blocks,
    distributions,
    findings,
    header,
    jitter,
    load,
    loss,
    matrices,
    method,
    open_questions,
    outliers,
    overlay,
    proof,
    shifts,
    throughput,
    timeline,
)
from podbench_report.view import RunView

_CONTENTS = (
    ("reading", "How to read this page"),
    ("decision", "Decision"),
    ("found", "Findings"),
    ("untold", "Open questions"),
    ("proof", "Proof of modes"),
    ("overlay", "Pod-network cost"),
    ("matrices", "All pairs"),
    ("distributions", "Distributions and jitter"),
    ("blocks", "Blocks"),
    ("timeline", "Timeline"),
    ("loss", "Loss"),
    ("load", "What traffic costs"),
    ("throughput", "Throughput"),
    ("blame", "Outliers"),
    ("method", "Method and limits"),
    ("appendix", "Appendix"),
)


def render(bundle: Bundle) -> str:
    """Renders the page as text.

    Raises:
        ReportError: Rendering fails.
    """
    view = RunView(bundle)
    absent = set() if view.summary.recommendation else {"decision"}
    return frame.render(
        "report.html.j2",
        [one for one in _CONTENTS if one[0] not in absent],
        steps=palette.STEPS,
        words=wording.WORDS,
        header=header.build(view),
        findings=findings.build(view),
        open_questions=open_questions.build(view),
        proof=proof.build(view),
        overlay=overlay.build(view),
        matrices=matrices.build(view),
        distributions=distributions.build(view),
        jitter=jitter.build(view),
        shifts=shifts.build(view),
        blocks=blocks.build(view),
        timeline=timeline.build(view),
        loss=loss.build(view),
        load=load.build(view),
        throughput=throughput.build(view),
        outliers=outliers.build(view),
        method=method.build(view),
        appendix=appendix.build(view),
    )


def write(bundle: Bundle, path: Path) -> None:
    """Renders the page and replaces the file atomically.

    Raises:
        ReportError: Rendering or writing fails.
    """
    frame.write(render(bundle), path)
