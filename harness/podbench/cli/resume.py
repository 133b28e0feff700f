"""`bench resume RUN`: continues after the last whole round."""

import sys

import msgspec

from podbench.campaign.options.table import Options
from podbench.cli import flags


@flags.takes("resume")
def resume(options: Options, run: flags.RunDirectory) -> None:
    """Continue an interrupted run after its last whole round.

    On a cluster, --context, --yes and --disrupt give the same consent as when the run began.
    """
    from rich.console import Console

    from podbench.campaign import prerequisites, record
    from podbench.cli import campaign
    from podbench.results import conclude as results
    from podbench.store import lock
    from podbench.store import rundir as store

    where = store.open_existing(run)
    with lock.held(where.path):
        begun = where.read_json(where.run_json, record.RunRecord)
        prerequisites.require(prerequisites.needed(begun.spec))
        console = Console(stderr=True)
        if results.measured(where, begun):
            campaign.tell(console, "every round is already on disk: nothing is measured again")
            sys.exit(campaign.conclude(where, console, options))
        if begun.spec.cluster is not None:
            from podbench.campaign.cluster import survey
            from podbench.cli.asking import asker

            survey.consented_again(
                begun.spec,
                asker(),
                context=options.context,
                yes=options.yes,
                disrupt=options.disrupt,
                kubeconfig=options.kubeconfig,
            )
            if options.kubeconfig is not None:
                moved = msgspec.structs.replace(
                    begun.spec.cluster, kubeconfig=survey.absolute(options.kubeconfig)
                )
                spec = msgspec.structs.replace(begun.spec, cluster=moved)
                where.write_json(where.run_json, msgspec.structs.replace(begun, spec=spec))
        sys.exit(campaign.see_through(where, console, options))
