"""What modules log, on the terminal: one line each, with its reason and whatever else it names.

Without a handler of our own Python prints the event alone: what went wrong, and not why or where.
"""

import logging
import sys

_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Line(logging.Formatter):
    """`broker unreachable: connection refused (broker mqtts://10.0.0.1:18883)`."""

    def format(self, record: logging.LogRecord) -> str:
        """The event, then its `why`, then the other fields that it was given."""
        given = {name: value for name, value in vars(record).items() if name not in _ORDINARY}
        why = given.pop("why", None)
        text = record.getMessage() + (f": {why}" if why else "")
        rest = ", ".join(f"{name} {value}" for name, value in given.items())
        return f"{text} ({rest})" if rest else text


def install() -> None:
    """Sends podbench's warnings to stderr; others' stay as Python has them."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Line())
    handler.setLevel(logging.WARNING)
    ours = logging.getLogger("podbench")
    ours.addHandler(handler)
    ours.propagate = False
