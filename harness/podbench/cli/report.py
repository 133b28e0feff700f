"""`bench report RUN`: analyses the samples again and renders them."""

import sys

from podbench.campaign.options.table import Options
from podbench.cli import flags


@flags.takes("report")
def report(options: Options, run: flags.RunDirectory) -> None:
    """Analyse a run's samples again and render its report."""
    from rich.console import Console

    from podbench.cli import campaign
    from podbench.store import rundir as store

    where = store.open_existing(run)
    console = Console(stderr=True)
    sys.exit(campaign.conclude(where, console, options))
