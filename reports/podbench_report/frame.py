"""Frame shared by all pages: templates, style sheet, content security policy, atomic writing.

Pages (`build`, `compare`) supply their sections.
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
"""Marker in every page of this package: tells it apart from a user's own file."""
_FONTS = (
    '--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","Noto Sans",'
    '"Liberation Sans",Arial,sans-serif;'
    '--serif:"Iowan Old Style","Palatino Linotype",Palatino,"Source Serif 4","Noto Serif",'
    "Georgia,serif;"
)


def render(template: str, contents: Sequence[tuple[str, str]], **sections: object) -> str:
    """Renders a whole page as text.

    Args:
        template: A file of `templates/` that fills the frame (`frame.html.j2`).
        contents: (anchor, title) of each entry of the table of contents.
        sections: The template's variables, by name.

    Raises:
        ReportError: Rendering fails.
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
        raise ReportError(f"cannot render the page: {error}") from error


def is_page(path: Path) -> bool:
    """Reports whether podbench wrote this file, so that overwriting it loses no user data."""
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(4096)
    except OSError:
        return False


def write(page: str, path: Path) -> None:
    """Writes a page atomically.

    Raises:
        ReportError: Writing fails.
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
            f"cannot write {path}: {error.strerror or error}",
            advice="free some space or choose another directory with --out; the samples are intact",
        ) from error


@functools.cache
def environment() -> jinja2.Environment:
    """Returns the template environment of all pages, with autoescape."""
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
    """Keeps an interval and "95% CI" on one line."""
    joined = text.replace(numbers.EN_DASH, f"{numbers.EN_DASH}\u2060")
    return joined.replace("% CI", f"%{numbers.NBSP}CI")


@functools.cache
def text(name: str) -> str:
    """Returns the content of a file of `templates/`."""
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


@functools.cache
def style() -> Markup:
    """Returns the style sheet."""
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
    """Returns a policy that blocks all requests and allows only our script."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
