"""Makes foreign text safe to display: one line, no control characters, limited length.

Names and reasons come from clusters, agents and other people's run directories. On a terminal an
escape sequence can rewrite what was said before; in a table a line break ends the row; an override
of the writing direction shows a name as another one.
"""

import re

MOST_CHARS = 2000
"""People read reasons: the first page is enough."""
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
"""C0 and C1 except tab and line ends, direction marks, separators, lone surrogates."""


def lines(text: str) -> str:
    """Replaces control characters; keeps tabs and line ends."""
    return _CONTROL.sub("\ufffd", text)


def line(text: str, most: int = MOST_CHARS) -> str:
    """Returns the text on one line, without control characters, cut to `most` characters."""
    one = " ".join(lines(text[: 2 * most]).split())
    return one if len(one) <= most else f"{one[: most - 1]}…"


def is_plain(text: str, most: int) -> bool:
    """Reports whether a text is safe to display unchanged."""
    return len(text) <= most and not _CONTROL.search(text) and not set(text) & set("\t\r\n")
