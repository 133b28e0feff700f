"""A cluster as a target: choose nodes, watch over the run, undo it all.

`up` reads only. The first change is made by `deploy` (laid.py), and whatever was made goes when
`up` ends, however it ends: by itself, by a signal, or because the cluster got into trouble.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from podbench.cni.detect.cluster import detect_cluster
from podbench.cni.recipes import recipe
from podbench.model.errors import ConfigError, PodbenchError, PrerequisiteError
from podbench.target.base import Aftermath
from podbench.target.kubernetes.api.client import Api
from podbench.target.kubernetes.api.refs import collection
from podbench.target.kubernetes.deploy import lease
from podbench.target.kubernetes.deploy.creation import Deployment
from podbench.target.kubernetes.deploy.undo import Listing, Undo
from podbench.target.kubernetes.deployed import LaidCluster
from podbench.target.kubernetes.guard.watchdog import guarded
from podbench.target.kubernetes.request import Cluster, holder
from podbench.target.kubernetes.survey.collect import collect, taken_networks
from podbench.target.kubernetes.survey.nodes import Choice, Wanted, choose
from podbench.target.kubernetes.switch.change import Switch


class KubernetesTarget:
    """Where `bench run` measures on a cluster (`target.base.Target`)."""

    name = "kubernetes"
    exclusive = False

    def __init__(self, asked: Cluster, say: Callable[[str], None]) -> None:
        self._asked = asked
        self._say = say
        self.listing: Listing | None = None
        """What was looked for afterwards; null before, and where nothing was made."""
        self.aftermath: Aftermath | None = None
        """The same for the record; with what could not be undone, and why."""

    def up(self) -> AbstractAsyncContextManager["LaidCluster"]:
        """Reads what the cluster is; leaving undoes whatever was made in it.

        Raises:
            ConfigError: The context leads to another cluster than the one consented to.
            PrerequisiteError: Fewer than two nodes can take part; says why of each other.
            ClusterError: The API server refuses or stays away, or the cluster got into trouble.
            InterferenceError: Somebody else changed what this run had made.
        """
        return self._up()

    @contextlib.asynccontextmanager
    async def _up(self) -> AsyncIterator["LaidCluster"]:
        asked = self._asked
        async with Api(
            asked.context, kubeconfig=asked.kubeconfig, patience_s=asked.patience_s
        ) as api:
            _require_server(api, self._asked.server)
            nodes = await api.items(collection("Node"))
            wanted = Wanted(
                only=asked.nodes, labels=asked.node_selector, tolerations=asked.tolerations
            )
            choice = choose(nodes, wanted)
            _require_pairs(choice, self._asked.nodes)
            facts = await collect(api)
            found = detect_cluster(facts)
            switching = self._asked.method.name == "switch"
            switch = Switch(api, recipe(facts, found)) if switching else None
            laid = LaidCluster(api, self._asked, choice, found, switch, self._say)
            if self._asked.method.name == "pools":
                laid.world.keep_off(await taken_networks(api, nodes))
            try:
                names = [each.name for each in choice.places]
                async with guarded(laid.deployment, api, names, laid.watchman.trouble):
                    yield laid
            finally:
                await self._undo(api, laid.deployment)

    async def _undo(self, api: Api, deployment: Deployment) -> None:
        """Undoes what was made; what cannot be undone is told in `aftermath`, not raised.

        The run's own end, good or bad, is what its caller has to learn of.
        """
        if not deployment.begun:
            return
        made = tuple(str(each.ref) for each in deployment.entries if each.earlier is None)
        if deployment.lease.taken:
            why = "another run has the cluster now: nothing is taken away here"
            self._say(why)
            self.aftermath = Aftermath(made=made, left=(why,))
            return
        self.aftermath = Aftermath(made=made, left=("this was not waited for to the end",))
        asked = self._asked
        undo = Undo(api, self._say, own=holder(), run_id=asked.run_id, folder=asked.folder)
        try:
            self.listing = await undo.run(deployment.entries)
        except PodbenchError as error:
            self.aftermath = Aftermath(made=made, left=(str(error),))
            await lease.release(api, holder())
            return
        self.aftermath = Aftermath(
            made=made,
            gone=tuple(map(str, self.listing.gone)),
            restored=tuple(map(str, self.listing.restored)),
            left=tuple(f"{each.ref}: {each.why}" for each in self.listing.left),
        )


def _require_server(api: Api, consented: str | None) -> None:
    if consented not in (None, api.context.server):
        raise ConfigError(
            f"context {api.context.name} leads to {api.context.server} now, and {consented} was"
            " consented to",
            advice="set the kubeconfig back, or begin again",
        )


def _require_pairs(choice: Choice, planned: Sequence[str]) -> None:
    why = {each.name: each.reason for each in choice.left_out}
    missing = [name for name in planned if name not in {each.name for each in choice.places}]
    if missing:
        reasons = "; ".join(f"{name}: {why.get(name, 'it is gone')}" for name in missing)
        raise PrerequisiteError(
            f"nodes that were to take part cannot now: {reasons}",
            advice="see to them and go on, or begin another run without them",
        )
    if len(choice.places) >= 2:
        return
    told = "; ".join(f"{name}: {reason}" for name, reason in why.items())
    raise PrerequisiteError(
        f"a pair takes two nodes, and {len(choice.places)} can take part; {told or 'no others'}",
        advice="fix what keeps the others out, or use --target lab",
    )
