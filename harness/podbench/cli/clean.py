"""`bench clean`: removes whatever any run left in a cluster."""

import sys

from podbench.campaign.options.table import Options
from podbench.cli import flags, restore


@flags.takes("clean")
def clean(options: Options) -> None:
    """Remove whatever dead runs left in a cluster.

    Checks that it is gone.

    Exit code: 0 nothing is left, 3 something is, with the reason.
    """
    sys.exit(restore.see_through(None, options))
