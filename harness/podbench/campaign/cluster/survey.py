"""A run on a cluster, resolved from what the cluster is: its CNI, its nodes, what can be had there.

Everything here reads only. `spec` resolves a run on the lab; who starts runs chooses between the
two. Nothing is changed before the context was consented to (`consent`).
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from podbench.campaign import record, spec
from podbench.campaign.cluster import consent
from podbench.campaign.options.table import Options
from podbench.campaign.spec import RunSpec
from podbench.cni import registry
from podbench.cni.calico import pools
from podbench.cni.detect.cluster import ClusterDetected, detect_cluster, mode_found
from podbench.cni.detect.facts import Fact
from podbench.cni.edits import Recipe
from podbench.cni.recipes import recipe
from podbench.model import published, taints
from podbench.model.arms import Mode
from podbench.model.errors import ConfigError
from podbench.model.nodes import ClusterOptions
from podbench.model.taints import Toleration
from podbench.target.kubernetes.api.client import Api, ApiError, Context
from podbench.target.kubernetes.api.refs import collection
from podbench.target.kubernetes.deploy import other_broker, pull_secrets
from podbench.target.kubernetes.request import Cluster
from podbench.target.kubernetes.survey.collect import collect, taken_networks
from podbench.target.kubernetes.survey.nodes import LeftOut, Place, Wanted, choose
from podbench.target.kubernetes.target import KubernetesTarget
from podbench.target.kubernetes.world import Method

SURVEY_PATIENCE_S = 10.0
"""Somebody waits for the answer, and nothing is lost yet."""
GROUP_PATIENCE_S = 3.0
"""The same for Calico's API server, which runs in pods: the rest is told without it."""
FEWEST_NODES = 2
MOST_FORWARDED = 50
"""Nodes whose results the API server's port-forward carries without anybody minding."""


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster is, before anything is asked of it."""

    context: str
    server: str
    detected: ClusterDetected
    recipe: Recipe
    """How its own mode would be changed (`--method switch`)."""
    places: tuple[Place, ...]
    """The nodes that can take part."""
    left_out: tuple[LeftOut, ...]
    taken: dict[str, list[str]] = {}
    """Networks and addresses that are the cluster's own, by whose they are."""
    kubeconfig: str | None = None
    """The file that was read instead of KUBECONFIG's, absolute."""

    @property
    def nodes(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(each.name for each in self.places)


def survey(options: Options) -> Survey:
    """Looks at the cluster of a context; changes nothing.

    Raises:
        ConfigError: There is no usable kubeconfig, or no such context.
        ClusterError: Its API server refuses, or stays away.
    """
    try:
        return asyncio.run(survey_now(options))
    except ApiError as error:
        error.advice = error.advice or _kubectl(options.context)
        raise


def _kubectl(context: str | None) -> str:
    named = "" if context is None else f" --context {context}"
    return f"check: `kubectl{named} get nodes`, or use --target lab"


async def survey_now(options: Options) -> Survey:
    """The same, where an event loop runs already; `survey` adds advice to errors."""
    async with Api(
        options.context,
        kubeconfig=options.kubeconfig,
        patience_s=SURVEY_PATIENCE_S,
        group_patience_s=GROUP_PATIENCE_S,
    ) as api:
        nodes = await api.items(collection("Node"))
        choice = choose(nodes, wanted(options))
        await pull_secrets.require(api, pull_secrets.named(options.image_pull_secret))
        facts = await collect(api)
        detected = detect_cluster(facts)
        return Survey(
            context=api.context.name,
            server=api.context.server,
            detected=detected,
            recipe=recipe(facts, detected),
            places=choice.places,
            left_out=choice.left_out,
            taken=await taken_networks(api, nodes),
            kubeconfig=absolute(options.kubeconfig),
        )


def resolve(options: Options, found: Survey) -> RunSpec:
    """Checks and completes what the user asked of a cluster: its CNI, method and modes.

    Raises:
        ConfigError: What was asked for cannot be had there, or an option's value cannot be used.
    """
    asked = spec.common(options)
    _require_nodes(found)
    cni = _cni(options, found.detected)
    pool_cidr = options.pool_cidr or pools.DEFAULT_CIDR
    method, refused, notes = _method(options, found, cni, pool_cidr)
    modes: tuple[Mode, ...]
    if method == "observe":
        as_found = mode_found(found.detected)
        modes = (as_found.value or Mode.AS_FOUND,)
        notes = (*notes, _observed(as_found))
        if options.modes is not None:
            notes = (
                *notes,
                "--modes is ignored: --method observe measures the network as configured",
            )
    else:
        modes = spec.modes(options, cni)
    asked, light = _probes(asked, options, found)
    notes = (*notes, *light, *_crowd(options, found))
    return RunSpec(
        cni=cni,
        target="kubernetes",
        method=method,
        modes=modes,
        refused={mode: reason for mode, reason in refused.items() if mode in modes},
        notes=notes,
        cluster=ClusterOptions(
            context=found.context,
            server=found.server,
            image=options.image or published.image(),
            nodes=found.nodes,
            light=tuple(each.name for each in found.places if each.light),
            pool_cidr=pool_cidr,
            allow_bgp_export=options.allow_bgp_export,
            most_bps=options.bps("max_bandwidth"),
            saturate=options.saturate,
            broker=None if options.broker is None else other_broker.url(options.broker),
            kubeconfig=absolute(options.kubeconfig),
            node_selector=dict(options.node_selector),
            tolerations=tuple(options.toleration),
            pull_secrets=pull_secrets.named(options.image_pull_secret),
            canary=not options.no_canary,
        ),
        **msgspec.structs.asdict(asked),
    )


def wanted(options: Options) -> Wanted:
    """Which nodes the user wants to take part."""
    return Wanted(
        most=options.nodes,
        labels=options.node_selector,
        tolerations=_tolerations(options.toleration),
    )


def _tolerations(asked: Sequence[str]) -> tuple[Toleration, ...]:
    """What agents tolerate, from `--toleration`."""
    return tuple(taints.read(each, "--toleration") for each in asked)


def absolute(kubeconfig: str | None) -> str | None:
    """So that whoever resumes or restores from elsewhere means the same file."""
    return None if kubeconfig is None else str(Path(kubeconfig).absolute())


def _observed(mode: Fact[Mode]) -> str:
    if mode.value in {None, Mode.AS_FOUND}:
        return f"no mode is known for all pairs ({mode.source}): each pair shows the mode it takes"
    return f"observing {mode.value}: {mode.source}"


def _refuse_needless(disrupt: str | None, method: str | None) -> None:
    """An option that means nothing without another."""
    if disrupt is not None and method != "switch":
        raise ConfigError(
            "--disrupt applies to --method switch only",
            advice="omit --disrupt: the cluster's own mode is not changed then",
        )


def _require_nodes(found: Survey) -> None:
    if len(found.places) < FEWEST_NODES:
        reasons = "; ".join(f"{each.name}: {each.reason}" for each in found.left_out)
        raise ConfigError(
            f"context {found.context}: a pair needs two nodes, and {len(found.places)} can take "
            f"part; {reasons or 'there are no others'}",
            advice="fix what keeps the others out, or use --target lab",
        )


def _crowd(options: Options, found: Survey) -> tuple[str, ...]:
    """What to do about results of more nodes than the API server should carry."""
    if options.broker is not None or len(found.places) <= MOST_FORWARDED:
        return ()
    return (
        f"{len(found.places)} nodes: all results come through the API server; above "
        f"{MOST_FORWARDED} nodes use a broker of yours (--broker mqtts://HOST:PORT), or measure "
        "fewer (--nodes)",
    )


def _probes(
    asked: spec.Asked, options: Options, found: Survey
) -> tuple[spec.Asked, tuple[str, ...]]:
    """Without transfers where too few nodes may carry them, and then why."""
    if spec.CEILING in asked.probes:
        raise ConfigError(
            "--probes: ceiling needs a link of a known rate, which only the lab has",
            advice="omit ceiling, or use --target lab",
        )
    heavy = [each.name for each in found.places if not each.light]
    others = tuple(each for each in asked.probes if not spec.carries_load(each))
    if others == asked.probes or len(heavy) >= FEWEST_NODES:
        return asked, ()
    why = (
        f"control-plane nodes carry no load, and only {len(heavy)} of {len(found.places)} "
        "nodes here are workers"
    )
    if options.probes is not None:
        raise ConfigError(f"--probes: {why}", advice="use --probes latency")
    return msgspec.structs.replace(asked, probes=others), (f"no load: {why}",)


def _cni(options: Options, detected: ClusterDetected) -> str:
    seen = detected.cni.value
    if seen is None and options.cni == "auto":
        return registry.UNKNOWN
    if seen is None:
        raise ConfigError(
            f"--cni: the cluster's CNI is unknown: {detected.cni.reason}",
            advice="omit --cni: the network is then measured as configured",
        )
    if options.cni not in ("auto", seen):
        raise ConfigError(
            f"--cni: requested {options.cni}, but this cluster has {seen}",
            advice=f"use --cni {seen}, or omit it; --target lab measures {options.cni} here",
        )
    return seen


def _method(
    options: Options, found: Survey, cni: str, pool_cidr: str
) -> tuple[str, dict[Mode, str], tuple[str, ...]]:
    """The method, modes that it cannot have, and what was decided instead of the user."""
    natural = "pools" if cni == "calico" else "observe"
    method = natural if options.method is None else options.method
    if method == "observe":
        return method, {}, ()
    if method == "switch":
        return method, found.recipe.refused, found.recipe.notes
    if natural != "pools":
        raise ConfigError(
            f"--method pools: {cni} cannot have pools of several modes side by side",
            advice="use --method observe",
        )
    refused = _refused(options, found, pool_cidr)
    if len(refused) < len(pools.MODES):
        return method, refused, ()
    why = "; ".join(dict.fromkeys(refused.values()))
    if options.method is None:
        return "observe", {}, (f"no temporary pools: {why}; measuring the network as configured",)
    raise ConfigError(
        f"--method pools: {why}",
        advice="use --method observe, which measures the network as configured",
    )


def _refused(options: Options, found: Survey, pool_cidr: str) -> dict[Mode, str]:
    """Modes whose temporary pools would harm or lie, each with the reason.

    Raises:
        ConfigError: --pool-cidr is none, too small, or in use.
    """
    calico = found.detected.calico
    assert calico is not None, "pools are for Calico"
    pools.plan(pool_cidr, pools.MODES)
    refused = pools.refusals(calico, allow_bgp_export=options.allow_bgp_export)
    overlap = pools.overlapping(pool_cidr, found.taken)
    if overlap is None or len(refused) == len(pools.MODES):
        return refused
    if options.pool_cidr is not None:
        raise ConfigError(overlap, advice="name a /22 or larger that nothing here uses")
    return {**dict.fromkeys(pools.MODES, overlap), **refused}


def consented(options: Options, asked: RunSpec, ask: consent.Ask | None) -> bool:
    """Returns if the cluster may be changed; false: to observe only, without temporary pools.

    Raises:
        ConfigError: It may not, or nobody could be asked.
    """
    assert asked.cluster is not None
    context, server = asked.cluster.context, asked.cluster.server
    named = options.context is not None
    if asked.method == "switch":
        consent.require_disruption(context, server, options.disrupt)
    if ask is None and not (named and options.yes):
        raise ConfigError(
            f"--target {options.target} would change context {context} ({server}), and there is "
            "no terminal to ask for consent",
            advice=f"give consent with --context {context} --yes, or measure here: --target lab",
        )
    return consent.require(
        context,
        server,
        named=named,
        yes=options.yes,
        ask=ask,
        less="observe" if asked.method == "pools" else None,
    )


def consented_again(
    run: RunSpec,
    ask: consent.Ask | None,
    *,
    context: str | None,
    yes: bool,
    disrupt: str | None = None,
    kubeconfig: str | None = None,
) -> None:
    """Returns if a run may go on in the cluster that it began in; as explicit as its beginning.

    Raises:
        ConfigError: It may not, nobody could be asked, the context leads elsewhere now, or the run
            switches modes and `disrupt` does not name the context.
    """
    asked = run.cluster
    assert asked is not None, "a run on a cluster"
    _refuse_needless(disrupt, run.method)
    if context not in (None, asked.context):
        raise ConfigError(
            f"--context: {context} is not {asked.context}, where this run began",
            advice="omit --context, or start another run there",
        )
    now = asyncio.run(_context(asked.context, kubeconfig or asked.kubeconfig))
    if now.server != asked.server:
        raise ConfigError(
            f"context {asked.context} now points to {now.server}; this run began at {asked.server}",
            advice="restore the kubeconfig, or start another run",
        )
    if run.method == "switch":
        consent.require_disruption(now.name, now.server, disrupt)
    consent.require(now.name, now.server, named=context is not None, yes=yes, ask=ask)


async def _context(name: str, kubeconfig: str | None) -> Context:
    async with Api(name, kubeconfig=kubeconfig) as api:
        return api.context


def note(found: Survey) -> record.ClusterRecord:
    """What `run.json` keeps of a survey."""
    return record.ClusterRecord(
        context=found.context,
        server=found.server,
        kubeconfig=found.kubeconfig,
        kubernetes=found.detected.kubernetes.value,
        cni_version=found.detected.version.value,
        detected_from=found.detected.detected_from,
        left_out=tuple(
            record.LeftOutRecord(name=each.name, reason=each.reason) for each in found.left_out
        ),
    )


def target(begun: record.RunRecord, folder: Path, say: Callable[[str], None]) -> KubernetesTarget:
    """The target that a session measures on; `folder` is the run directory.

    Raises:
        ConfigError: The agents' image was not named, or the environment does not say how to get
            into the broker.
    """
    asked = begun.spec.cluster
    assert asked is not None, "a run on a cluster"
    return KubernetesTarget(
        Cluster(
            run_id=begun.run_id,
            image=named_image(asked),
            method=Method(
                name=begun.spec.method,
                pool_cidr=asked.pool_cidr,
                allow_bgp_export=asked.allow_bgp_export,
            ),
            context=asked.context,
            server=asked.server,
            nodes=asked.nodes,
            folder=folder,
            most_bps=asked.most_bps,
            saturate=asked.saturate,
            capture=begun.spec.proof_capture,
            kubeconfig=asked.kubeconfig,
            node_selector=asked.node_selector,
            tolerations=_tolerations(asked.tolerations),
            pull_secrets=asked.pull_secrets,
            canary=asked.canary,
            broker=None if asked.broker is None else other_broker.access(asked.broker, os.environ),
        ),
        say,
    )


def named_image(asked: ClusterOptions) -> str:
    """The agents' image.

    Raises:
        ConfigError: It was not named.
    """
    if asked.image:
        return asked.image
    raise ConfigError(
        "--image: the agents' image has to be named on a cluster", advice=published.BUILD
    )
