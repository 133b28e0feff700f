"""`bench run` and `bench plan`: parse options, then start or print a plan."""

import sys

from podbench.campaign.options.table import Options
from podbench.cli import flags


@flags.takes("run", config=True)
def run(options: Options, print_config: flags.PrintConfig = False) -> None:
    """Measure, prove and compare the modes of a CNI; write one report."""
    from podbench.campaign import spec
    from podbench.campaign.options import config

    if spec.chosen_target(options) == "kubernetes":
        from podbench.cli import on_cluster

        sys.exit(on_cluster.run(options, print_config))
    resolved = spec.resolve(options)
    if print_config:
        print(config.show(spec.filled_in(options, resolved)), end="")
        return
    from podbench.cli import campaign

    sys.exit(campaign.begin(options, resolved))


@flags.takes("plan", config=True)
def plan(options: Options, print_config: flags.PrintConfig = False) -> None:
    """Print what a run would create, send and change; read-only.

    Schedule, duration, bytes, and the smallest difference it should detect.
    """
    from podbench.campaign import spec
    from podbench.campaign.options import config

    if spec.chosen_target(options) == "kubernetes":
        from podbench.cli import on_cluster

        on_cluster.plan(options, print_config)
        return
    from podbench.cli import plan_page

    resolved = spec.resolve(options)
    if print_config:
        print(config.show(spec.filled_in(options, resolved)), end="")
        return
    plan_page.show(resolved, as_json=options.json)
