"""Checks a word from the user against the valid words."""

import difflib
from collections.abc import Iterable

from podbench.model.errors import ConfigError


def nearest(word: str, valid: Iterable[str]) -> str:
    """Returns `; did you mean 'vxlan'?` if a valid word is close, else an empty text."""
    found = difflib.get_close_matches(word.lower(), list(valid), n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""


def check(word: str, valid: Iterable[str], option: str) -> str:
    """Returns the word if it is valid.

    Raises:
        ConfigError: It is not; names the option, the valid words and the nearest.
    """
    known = list(valid)
    if word in known:
        return word
    raise ConfigError(
        f"{option}: unknown {word!r}{nearest(word, known)}",
        advice=f"valid: {', '.join(known)}",
    )
