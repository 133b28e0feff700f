"""Standard streams whose reader may leave: `bench run 2>&1 | head` must not end a run.

Once a reader has closed its pipe, what would have gone there goes nowhere, and the command goes on.
On a terminal, standard output shows no control characters: names come from clusters and from other
people's run directories.
"""

import errno
import io
import os
import sys
from typing import TextIO

from podbench.model import plain

GONE = frozenset({errno.EPIPE, errno.EIO})
"""The reader of a pipe has closed it; the terminal was hung up."""


class Steady(io.TextIOWrapper):
    """Text that is dropped, not an error, once nobody reads it any more."""

    shown = False
    """Whether it goes to a terminal, as it stands."""

    def write(self, text: str) -> int:
        """Writes, or drops, the text."""
        try:
            super().write(plain.lines(text) if self.shown else text)
        except OSError as error:
            self._leave(error)
        return len(text)

    def flush(self) -> None:
        """Flushes, unless nobody reads."""
        try:
            super().flush()
        except OSError as error:
            self._leave(error)

    def _leave(self, error: OSError) -> None:
        """Leads the descriptor nowhere, so that what is buffered goes there too.

        Raises:
            OSError: It is not the reader that is missing, but the disk's space.
        """
        if error.errno not in GONE:
            raise error
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self.fileno())
        os.close(nothing)
        super().flush()


def install() -> None:
    """Makes this process's own streams steady; those that tests put in their place stay."""
    sys.stdout = _steady(sys.stdout)
    sys.stderr = _steady(sys.stderr)
    if isinstance(sys.stdout, Steady):
        # Standard error has progress bars, which move the cursor; its texts are cleaned one by one.
        sys.stdout.shown = sys.stdout.isatty()


def _steady(stream: TextIO) -> TextIO:
    if type(stream) is not io.TextIOWrapper:
        return stream
    stream.flush()
    return Steady(
        stream.buffer,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
