"""The report's entry: a bundle in, one HTML file out. Sections say what, templates say how.

The page holds everything it needs; its content security policy forbids every request.
"""

import base64
import functools
import hashlib
import os
import tempfile
from pathlib import Path

import jinja2
from markupsafe import Markup

import podbench
from podbench.analysis.bundle import Bundle
from podbench.model.errors import ReportError
from podbench_report import numbers, palette, wording
from podbench_report.sections import (
    appendix,
    blame,
    blocks,
    distributions,
    found,
    header,
    loss,
    matrices,
    method,
    overlay,
    proof,
    throughput,
    timeline,
    untold,
)
from podbench_report.view import RunView

_FONTS = (
    '--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans",'
    '"Liberation Sans",Arial,sans-serif;'
    '--serif:"Iowan Old Style","Palatino Linotype",Palatino,"Source Serif 4","Noto Serif",'
    "Georgia,serif;"
)
_CONTENTS = (
    ("reading", "How to read this page"),
    ("found", "What was found"),
    ("untold", "What could not be told"),
    ("proof", "Proof of modes"),
    ("overlay", "Overlay tax"),
    ("matrices", "Every pair"),
    ("distributions", "Distributions"),
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
    script = text("script.js")
    try:
        return (
            environment()
            .get_template("report.html.j2")
            .render(
                version=podbench.__version__,
                csp=policy(script),
                style=style(),
                script=Markup(script),  # noqa: S704 - our own file
                contents=_CONTENTS,
                steps=palette.STEPS,
                header=header.build(view),
                found=found.build(view),
                untold=untold.build(view),
                proof=proof.build(view),
                overlay=overlay.build(view),
                matrices=matrices.build(view),
                distributions=distributions.build(view),
                blocks=blocks.build(view),
                timeline=timeline.build(view),
                loss=loss.build(view),
                throughput=throughput.build(view),
                blame=blame.build(view),
                method=method.build(view),
                appendix=appendix.build(view),
            )
        )
    except jinja2.TemplateError as error:
        raise ReportError(f"the report cannot be rendered: {error}") from error


def write(bundle: Bundle, path: Path) -> None:
    """Renders and writes the page; a reader sees the old file or the whole new one.

    Raises:
        ReportError: It cannot be rendered or written.
    """
    write_page(render(bundle), path)


def write_page(page: str, path: Path) -> None:
    """Writes a page so that a reader sees the old file or the whole new one.

    Raises:
        ReportError: It cannot be written.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        part = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(page)
                file.flush()
                os.fsync(file.fileno())
            part.chmod(0o644)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ReportError(
            f"{path} cannot be written: {error.strerror or error}",
            advice="make room or choose another directory with --out; the samples are not touched",
        ) from error


@functools.cache
def environment() -> jinja2.Environment:
    """The templates, escaping on; for every page of this package."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("podbench_report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["glue"] = _glue
    made.filters["full_stop"] = wording.full_stop
    return made


def _glue(text: str) -> str:
    """Keeps the two ends of an interval on one line: browsers break after an en dash."""
    return text.replace(numbers.EN_DASH, f"{numbers.EN_DASH}\u2060")


@functools.cache
def text(name: str) -> str:
    """A file of `templates/` as it stands."""
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


@functools.cache
def style() -> Markup:
    """The whole style sheet."""
    inks = "".join(
        f".f-{ink}{{fill:var(--{ink})}}.s-{ink}{{stroke:var(--{ink})}}" for ink in palette.INKS
    )
    light, dark = palette.css_variables(dark=False), palette.css_variables(dark=True)
    css = (
        f":root{{color-scheme:light dark;{_FONTS}{light}}}"
        # Paper is white: the dark colours are for screens only.
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
        f"{text('style.css')}{inks}{palette.heat_css()}"
    )
    return Markup(css)  # noqa: S704 - our own file and numbers


def policy(script: str) -> str:
    """Nothing may be fetched; only our own script may run."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
