"""Questions on the terminal: on stderr, so that stdout stays free for `--json`."""

import sys
from collections.abc import Callable


def asker() -> Callable[[str], str] | None:
    """Returns a function that asks the user; null without a terminal."""
    return _ask if sys.stdin.isatty() else None


def _ask(question: str) -> str:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()
