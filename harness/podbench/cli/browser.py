"""Opens a page that was just written (`--open`)."""

import sys
import webbrowser
from pathlib import Path


def show(page: Path) -> None:
    """Opens the page in the user's browser; without one, prints a note."""
    try:
        opened = webbrowser.open(page.absolute().as_uri())
    except webbrowser.Error:
        opened = False
    if not opened:
        print(f"--open: no browser found here; the page is {page}", file=sys.stderr)
