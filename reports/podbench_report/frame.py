"""The frame that every page of this package has: one file, nothing fetched, written whole.

Pages (`build`, `compare`) bring their sections; here are the templates, the style sheet, the policy
that forbids every request, and the writing.
"""

import base64
import functools
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

import podbench
from podbench.model.errors import ReportError
from podbench_report import numbers, palette, wording

MARK = '<meta name="generator" content="podbench'
"""What every page of this package holds: how one tells it from somebody's own file."""
_FONTS = (
    '--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans",'
    '"Liberation Sans",Arial,sans-serif;'
    '--serif:"Iowan Old Style","Palatino Linotype",Palatino,"Source Serif 4","Noto Serif",'
    "Georgia,serif;"
)


def render(template: str, contents: Sequence[tuple[str, str]], **sections: object) -> str:
    """A whole page as text.

    Args:
        template: A file of `templates/` that fills the frame (`frame.html.j2`).
        contents: (anchor, title) of what the list of contents names.
        sections: What the template asks for, by name.

    Raises:
        ReportError: The page cannot be made of these.
    """
    script = text("script.js")
    try:
        return (
            environment()
            .get_template(template)
            .render(
                version=podbench.__version__,
                csp=policy(script),
                style=style(),
                script=Markup(script),  # noqa: S704 - our own file
                contents=contents,
                **sections,
            )
        )
    except jinja2.TemplateError as error:
        raise ReportError(f"the page cannot be rendered: {error}") from error


def is_page(path: Path) -> bool:
    """Whether a file is a page made here, so that writing it anew destroys nothing of anybody's."""
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(4096)
    except OSError:
        return False


def write(page: str, path: Path) -> None:
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
    made.filters["stop"] = wording.stop
    return made


def _glue(text: str) -> str:
    """Keeps an interval, a figure and its percent, and "95 % CI" on one line."""
    joined = text.replace(numbers.EN_DASH, f"{numbers.EN_DASH}\u2060")
    joined = joined.replace(" %", f"{numbers.NBSP}%")
    return joined.replace("% CI", f"%{numbers.NBSP}CI")


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
