"""The report's entry: a bundle in, one HTML file out. Sections say what, templates say how.

The page holds everything it needs; its content security policy forbids every request.
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
    ("found", "What was found"),
    ("untold", "What could not be told"),
    ("proof", "Proof of modes"),
    ("overlay", "Overlay tax"),
    ("matrices", "Every pair"),
    ("distributions", "Distributions and jitter"),
    ("blocks", "Blocks"),
    ("timeline", "Time line"),
    ("loss", "Loss"),
    ("throughput", "Throughput"),
    ("blame", "Who stands out"),
    ("method", "Method and limits"),
    ("appendix", "Appendix"),
)


def render(bundle: Bundle) -> str:
    """The whole page as text.

    Raises:
        ReportError: The page cannot be made from this bundle.
    """
    view = RunView(bundle)
    return frame.render(
        "report.html.j2",
        _CONTENTS,
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
        throughput=throughput.build(view),
        outliers=outliers.build(view),
        method=method.build(view),
        appendix=appendix.build(view),
    )


def write(bundle: Bundle, path: Path) -> None:
    """Renders and writes the page; a reader sees the old file or the whole new one.

    Raises:
        ReportError: It cannot be rendered or written.
    """
    frame.write(render(bundle), path)
