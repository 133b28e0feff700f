"""A run on a cluster, resolved from what the cluster is: its CNI, its nodes, what can be had there.

Everything here reads only. `spec` resolves a run on the lab; who starts runs chooses between the
two. Nothing is changed before the context was consented to (`consent`).
"""

import asyncio
from collections.abc import Callable

import msgspec

from podbench.cni import calico_pools, detect
from podbench.cni.detect_cluster import ClusterDetected, detect_cluster
from podbench.model import units, words
from podbench.model.arms import Mode
from podbench.model.errors import ConfigError
from podbench.model.nodes import ClusterOptions
from podbench.run import consent
from podbench.run.options import Options
from podbench.store.rundir import RunDir
from podbench.target.kubernetes.client import Api
from podbench.target.kubernetes.collect import collect
from podbench.target.kubernetes.nodes import LeftOut, choose
from podbench.target.kubernetes.refs import collection
from podbench.target.kubernetes.target import Cluster, KubernetesTarget
from podbench.target.kubernetes.world import Method

METHODS = ("pools", "observe")
"""`switch` changes the workload's own mode; this version does not."""


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster is, before anything is asked of it."""

    context: str
    server: str
    detected: ClusterDetected
    nodes: tuple[str, ...]
    left_out: tuple[LeftOut, ...]


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """How a run there would go. `refused`: modes that were asked for and why they cannot be had."""

    cni: str
    method: str
    modes: tuple[Mode, ...]
    refused: dict[Mode, str]
    cluster: ClusterOptions


def survey(options: Options) -> Survey:
    """Looks at the cluster of a context; changes nothing.

    Raises:
        ConfigError: There is no usable kubeconfig, or no such context.
        ClusterError: Its API server refuses, or stays away.
    """
    return asyncio.run(_survey(options))


async def _survey(options: Options) -> Survey:
    async with Api(options.context) as api:
        choice = choose(await api.items(collection("Node")), options.nodes)
        return Survey(
            context=api.context.name,
            server=api.context.server,
            detected=detect_cluster(await collect(api)),
            nodes=tuple(each.name for each in choice.places),
            left_out=choice.left_out,
        )


def resolve(options: Options, found: Survey) -> Resolved:
    """Chooses CNI, method and modes for a cluster.

    Raises:
        ConfigError: What was asked for cannot be had there, or an option's value cannot be used.
    """
    cni = _cni(options, found.detected)
    method = _method(options, cni)
    refused = _refused(options, found.detected) if method == "pools" else {}
    modes = _asked(options, cni) if method == "pools" else (_as_found(found.detected, cni),)
    if not options.image:
        raise ConfigError(
            "--image: the agents' image has to be named on a cluster",
            advice="build it with the Dockerfile and push it where the nodes can pull it",
        )
    rate = options.max_bandwidth
    return Resolved(
        cni=cni,
        method=method,
        modes=modes,
        refused={mode: reason for mode, reason in refused.items() if mode in modes},
        cluster=ClusterOptions(
            context=found.context,
            server=found.server,
            image=options.image,
            nodes=found.nodes,
            pool_cidr=options.pool_cidr or calico_pools.DEFAULT_CIDR,
            most_bps=None if rate is None else units.parse_rate_bps(rate, "--max-bandwidth"),
            saturate=options.saturate,
        ),
    )


def _cni(options: Options, detected: ClusterDetected) -> str:
    seen = detected.cni.value
    if seen is None:
        raise ConfigError(
            f"--cni: which CNI this cluster has is not known: {detected.cni.reason}",
            advice="`bench doctor` lists what was looked at",
        )
    if options.cni not in ("auto", seen):
        raise ConfigError(
            f"--cni: {options.cni} was asked for, but this cluster has {seen}",
            advice=f"use --cni {seen}, or leave it out",
        )
    if seen not in detect.names():
        raise ConfigError(
            f"--cni: {seen} cannot be measured by this version",
            advice=f"it can measure {' and '.join(detect.names())}",
        )
    return seen


def _method(options: Options, cni: str) -> str:
    natural = "pools" if cni == "calico" else "observe"
    if options.method is None:
        return natural
    words.check(options.method, METHODS, "--method")
    if options.method == "pools" and natural != "pools":
        raise ConfigError(
            f"--method pools: {cni} cannot have pools of several modes beside each other",
            advice="use --method observe",
        )
    return options.method


def _asked(options: Options, cni: str) -> tuple[Mode, ...]:
    known = detect.driver(cni).modes()
    if options.modes is None:
        return known
    asked = [words.check(each, [str(mode) for mode in known], "--modes") for each in options.modes]
    return tuple(mode for mode in known if str(mode) in asked)


def _refused(options: Options, detected: ClusterDetected) -> dict[Mode, str]:
    calico = detected.calico
    assert calico is not None, "pools are for Calico"
    calico_pools.plan(options.pool_cidr or calico_pools.DEFAULT_CIDR, calico_pools.MODES)
    reasons = {
        mode: calico_pools.refusal(mode, calico, allow_bgp_export=False)
        for mode in calico_pools.MODES
    }
    return {mode: reason for mode, reason in reasons.items() if reason is not None}


def _as_found(detected: ClusterDetected, cni: str) -> Mode:
    """The mode of pods that ask for nothing.

    Raises:
        ConfigError: It cannot be told, or there are several.
    """
    modes: set[Mode] = set()
    if cni == "calico" and detected.calico is not None:
        pools = detected.calico.pools.value or ()
        usual = [each for each in pools if not each.disabled and not each.ours]
        modes = {each.mode for each in usual if each.assignment == "Automatic"}
    elif detected.flannel is not None and detected.flannel.mode is not None:
        modes = {detected.flannel.mode}
    if len(modes) == 1:
        return modes.pop()
    told = ", ".join(sorted(modes)) or "none is told"
    raise ConfigError(
        f"--method observe: which mode pods get here is not clear: {told}",
        advice="use --method pools where the CNI is Calico",
    )


def consented(options: Options, found: Survey, ask: consent.Ask | None) -> None:
    """Returns if the cluster may be changed.

    Raises:
        ConfigError: It may not, or nobody could be asked.
    """
    named = options.context is not None
    consent.require(found.context, found.server, named=named, yes=options.yes, ask=ask)


def target(
    resolved: Resolved, run_id: str, rundir: RunDir, say: Callable[[str], None]
) -> KubernetesTarget:
    """The target that a session measures on."""
    asked = resolved.cluster
    return KubernetesTarget(
        Cluster(
            run_id=run_id,
            image=asked.image,
            method=Method(
                name=resolved.method,
                pool_cidr=asked.pool_cidr,
                allow_bgp_export=asked.allow_bgp_export,
            ),
            context=asked.context,
            nodes=len(asked.nodes),
            folder=rundir.path,
            most_bps=asked.most_bps,
            saturate=asked.saturate,
        ),
        say,
    )
