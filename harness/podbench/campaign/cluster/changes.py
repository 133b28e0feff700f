"""What a run on a cluster makes there and what it moves of others', in sentences. Pure.

Next: cli/plan_page.py shows it before anything is made; docs/security.md says why it is so.
"""

from collections import defaultdict
from collections.abc import Sequence

from podbench.campaign.cluster.survey import Survey
from podbench.campaign.spec import RunSpec
from podbench.cni.calico import pools as calico_pools
from podbench.cni.detect.calico import CalicoDetected
from podbench.cni.edits import Edit, Recipe
from podbench.model.arms import OVERHEAD_BYTES, Mode
from podbench.target.kubernetes.deploy import other_broker
from podbench.target.kubernetes.deploy.preview import preview
from podbench.target.kubernetes.deploy.settings import mode_set
from podbench.target.kubernetes.switch.convergence import CONVERGE_S

SIMPLE = ("ServiceAccount", "Secret", "ConfigMap", "NetworkPolicy", "Lease", "Role", "RoleBinding")
"""Kinds that are counted, not named: they live and die with the two namespaces."""


def created(spec: RunSpec, found: Survey) -> list[str]:
    """The objects that the run makes, by kind."""
    planned = _planned(spec)
    sets = [mode_set(mode, planned.get(mode)) for mode in spec.possible]
    names: dict[str, list[str]] = defaultdict(list)
    url = None if spec.cluster is None else spec.cluster.broker
    other = None if url is None else other_broker.named(url)
    for each in preview(found.places, sets, other):
        names[each.kind].append(f"{each.namespace}/{each.name}" if each.namespace else each.name)
    lines = [f"{kind} {', '.join(these)}" for kind, these in names.items() if kind not in SIMPLE]
    inside = ", ".join(f"{len(names[kind])} {kind}" for kind in SIMPLE if kind in names)
    cidrs = [f"{each.name} is {each.cidr}" for each in planned.values()]
    copied = () if spec.cluster is None else spec.cluster.pull_secrets
    secrets = [f"a copy of Secret {each} in both namespaces" for each in copied]
    return [*lines, f"inside these namespaces {inside}", *secrets, *cidrs]


def moved(spec: RunSpec, found: Survey) -> list[str]:
    """What this does to things that are not podbench's."""
    if spec.method == "switch":
        return _switched(spec, found.recipe)
    if spec.method != "pools" or found.detected.calico is None:
        return ["nothing existing is changed"]
    lines = ["no existing pool, setting or workload is changed; but"]
    new = _newly_enabled(spec, found.detected.calico)
    lines += [
        f"Felix restarts on every node when {name} is created, and again when it is removed: no "
        f"pool here uses {mode.upper()} yet"
        for mode, name in new
    ]
    overhead = max(OVERHEAD_BYTES.get(mode, 0) for mode in spec.possible)
    if new and overhead:
        lines.append(
            f"pods that others create meanwhile may get an MTU up to {overhead} lower, "
            "for their lifetime"
        )
    return lines if len(lines) > 1 else ["nothing existing is changed"]


def _switched(spec: RunSpec, recipe: Recipe) -> list[str]:
    lines = [f"the cluster's own mode, repeatedly, through {recipe.by}:"]
    for mode in spec.possible:
        given = ", ".join(_shown(each) for each in recipe.edits[mode] if not each.restarts)
        lines.append(f"  {mode}: {given}")
    lines.append(
        f"a mode that has not converged in {CONVERGE_S:g} s is rolled back and not measured"
    )
    if any(each.restarts for edits in recipe.edits.values() for each in edits):
        lines.append(
            f"({CONVERGE_S:g} s after the last node of its roll-out, which goes node by node)"
        )
    return [
        *lines,
        "the entire earlier state is kept here and in the cluster, and restored at the end; `bench "
        "restore` can do so from any machine",
    ]


def _shown(edit: Edit) -> str:
    """`vxlanMode Always`."""
    return edit.words or f"{edit.path[-1]} {edit.value}"


def _planned(spec: RunSpec) -> dict[Mode, calico_pools.Planned]:
    if spec.method != "pools" or spec.cluster is None:
        return {}
    pools = calico_pools.plan(spec.cluster.pool_cidr, spec.possible)
    return {each.mode: each for each in pools}


def _newly_enabled(spec: RunSpec, calico: CalicoDetected) -> Sequence[tuple[Mode, str]]:
    """Encapsulations that no enabled pool uses, with the pool that brings each."""
    there = {each.mode for each in calico.pools.value or () if not each.disabled}
    return [
        (mode, pool.name)
        for mode, pool in _planned(spec).items()
        if OVERHEAD_BYTES.get(mode) and mode not in there
    ]
