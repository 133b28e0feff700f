"""`bench clean`: takes away whatever any run left in a cluster."""

import sys

from podbench.cli import restore


def clean(context: restore.Context = None, json: restore.Json = False) -> None:
    """Take away whatever any dead run left in a cluster, and show that it is gone.

    Exit code: 0 nothing is left, 3 something is, with the reason.
    """
    sys.exit(restore.see_through(None, context, as_json=json))
