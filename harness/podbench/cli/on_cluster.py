"""`bench run` and `bench plan` on a cluster: survey, show the plan, ask for consent, start."""

import sys

import msgspec
from rich.console import Console

from podbench.campaign import plan as planning
from podbench.campaign import spec as specs
from podbench.campaign.cluster import survey as cluster
from podbench.campaign.options import config
from podbench.campaign.options.table import Options
from podbench.cli import campaign, cluster_page
from podbench.cli.asking import asker


def run(options: Options, print_config: bool) -> int:
    """Surveys, shows the plan, asks for consent and carries out the run; returns the code."""
    found = cluster.survey(options)
    asked = cluster.resolve(options, found)
    if print_config:
        print(config.show(specs.filled_in(options, asked)), end="")
        return 0
    assert asked.cluster is not None
    cluster.named_image(asked.cluster)
    drawn = planning.draw(asked, found.nodes, exclusive=False)
    if not options.quiet:
        console = Console(stderr=True)
        for line in cluster_page.lines(asked, found, drawn):
            campaign.tell(console, line)
    if not cluster.consented(options, asked, asker()):
        options = msgspec.structs.replace(options, method="observe", seed=asked.seed)
        asked = cluster.resolve(options, found)
    return campaign.begin(options, asked, cluster.note(found))


def plan(options: Options, print_config: bool) -> None:
    """Surveys and prints what a run would do; only reads from the cluster."""
    found = cluster.survey(options)
    asked = cluster.resolve(options, found)
    if print_config:
        print(config.show(specs.filled_in(options, asked)), end="")
        return
    drawn = planning.draw(asked, found.nodes, exclusive=False)
    if options.json:
        sys.stdout.write(cluster_page.document(asked, found, drawn))
    else:
        print("\n".join(cluster_page.lines(asked, found, drawn)))
