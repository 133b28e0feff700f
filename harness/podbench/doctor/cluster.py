"""What a cluster allows and lacks for a run, before anything is created there.

`target.kubernetes.preflight.examine` reads, this judges: one small function per check, each with
its fix. Admission is judged in `admission`, the network in `network`.
"""

import asyncio
import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import msgspec

from podbench.cni.calico import pools
from podbench.cni.detect.calico import CalicoDetected
from podbench.cni.detect.cluster import mode_found
from podbench.cni.recipes import recipe
from podbench.doctor import admission, machine, network
from podbench.doctor import broker as doctor_broker
from podbench.doctor.checks import Check, Need, listed
from podbench.model.arms import Mode
from podbench.model.errors import ConfigError, PodbenchError
from podbench.target.kubernetes.api.client import Api, ApiError
from podbench.target.kubernetes.api.refs import Ref
from podbench.target.kubernetes.deploy import other_broker
from podbench.target.kubernetes.deploy.settings import OtherBroker
from podbench.target.kubernetes.preflight.examine import Answered, Examined, examine
from podbench.target.kubernetes.preflight.rights import ALWAYS, BY_METHOD, roles_for
from podbench.target.kubernetes.survey.nodes import Wanted

PATIENCE_S = 5.0
"""Who asks a doctor sits there and waits; a run has more."""


GROUP_PATIENCE_S = 3.0
"""The same for Calico's API server, which runs in pods."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the user said of the run to be."""

    context: str | None = None
    image: str | None = None
    broker: str | None = None
    """Another broker's URL."""
    kubeconfig: str | None = None
    wanted: Wanted = Wanted()
    """Which nodes are to take part."""


def examined_checks(asked: Asked) -> list[Check]:
    """Looks at the cluster of a context, and at another broker; nothing is changed there.

    Raises:
        ConfigError: The broker's URL is none.
    """
    other = None if asked.broker is None else other_broker.named(asked.broker)
    brokers = [] if asked.broker is None else [doctor_broker.broker(asked.broker, os.environ)]
    try:
        found = asyncio.run(checks_now(asked, other))
    except PodbenchError as error:
        return [_unreachable(error), *brokers]
    return [*found, *brokers]


async def checks_now(asked: Asked, other: OtherBroker | None = None) -> list[Check]:
    """The checks of the cluster itself, where an event loop runs already.

    Raises:
        PodbenchError: It cannot be looked at.
    """
    return cluster_checks(await _examined(asked, other), asked)


async def _examined(asked: Asked, other: OtherBroker | None) -> Examined:
    async with Api(
        asked.context,
        kubeconfig=asked.kubeconfig,
        patience_s=PATIENCE_S,
        group_patience_s=GROUP_PATIENCE_S,
    ) as api:
        return await examine(api, asked.image, other, asked.wanted)


def cluster_checks(found: Examined, asked: Asked) -> list[Check]:
    """Everything that is to be said of a cluster; pure."""
    return [
        api_server(found),
        nodes(found),
        cni(found),
        mode_as_found(found),
        *modes(found),
        switching(found),
        *rights(found),
        other_runs(found),
        leftovers(found),
        *admission.checks(found, asked.image),
        *network.checks(found),
    ]


def here_checks() -> list[Check]:
    """What the machine needs that runs `bench` for a cluster."""
    openssl = machine.program("openssl", "openssl", "the broker's certificate")
    disk = machine.disk(Path.cwd())
    return [machine.python(), openssl, disk, machine.clock_sync()]


def _unreachable(error: PodbenchError) -> Check:
    advice = error.advice
    if isinstance(error, ApiError):
        advice = {
            0: "see that the address is right and can be reached from here: `kubectl get nodes`",
            401: "log in again (the kubeconfig's credentials are not taken any more)",
            403: "an administrator has to grant the role podbench-orchestrator (docs/security.md)",
        }.get(error.status, "see what `kubectl get nodes` says")
    return Check(
        name="kubeconfig" if isinstance(error, ConfigError) else "API server",
        ok=False,
        found=str(error),
        needed_for="anything on a cluster",
        need=Need.RUN,
        advice=advice,
    )


def api_server(found: Examined) -> Check:
    """Which cluster this is."""
    version = found.detected.kubernetes.value or "of unknown version"
    return Check(
        name="API server",
        ok=True,
        found=f"Kubernetes {version}, context {found.context.name} at {found.context.server}",
        needed_for="anything on a cluster",
        need=Need.RUN,
    )


def nodes(found: Examined) -> Check:
    """Which nodes can take part; a pair takes two."""
    names = [each.name for each in found.choice.places]
    out = [f"{each.name}: {each.reason}" for each in found.choice.left_out]
    said = f"{len(names)} take part" + (f" ({listed(names)})" if names else "")
    return Check(
        name="nodes",
        ok=len(names) >= 2,
        found="; ".join([said, *([f"left out: {listed(out)}"] if out else [])]),
        needed_for="pairs to measure between",
        need=Need.RUN,
        advice="fix what keeps the others out, or measure on the lab (--target lab)",
    )


def cni(found: Examined) -> Check:
    """Which network this is."""
    name, version = found.detected.cni, found.detected.version
    told = f"{found.detected.title} {version.value or '(version not known)'}, by {name.source}"
    rest = listed(found.detected.left_over)
    told += f"; installed, and carries nothing: {rest}" if rest else ""
    return Check(
        name="CNI",
        ok=True if name.value else None,
        found=told if name.value else f"not known: {name.reason}",
        needed_for="knowing which mode packets ought to take",
        need=Need.ADVICE,
        advice="without it the run observes what it finds, and names the mode by what it sees",
    )


def mode_as_found(found: Examined) -> Check:
    """What packets take now, by the same judgement as `bench plan` and `bench run`."""
    mode, wrapped = mode_found(found.detected), found.detected.encryption
    known = mode.value not in (None, Mode.AS_FOUND)
    return Check(
        name="mode as found",
        ok=True if known and wrapped.value in ("none", None) else None,
        found=f"{mode.value}: {mode.source}" if known else f"not one for all pairs: {mode.source}",
        needed_for="--method observe, which measures the network as configured",
        need=Need.ADVICE,
        advice="the proof names, pair by pair, what packets take",
    )


def modes(found: Examined) -> list[Check]:
    """What temporary pools can be had, where the CNI is Calico."""
    calico = found.detected.calico
    if found.detected.cni.value != "calico" or calico is None:
        return []
    return [
        Check(
            name=f"mode {mode}",
            ok=(why := _no_pool(found, calico, mode)) is None,
            found=why or _possible(calico, mode),
            needed_for=f"--method pools with {mode}",
            need=Need.PART,
            advice="leave the mode out with --modes, or use --method observe",
        )
        for mode in pools.MODES
    ]


def _possible(calico: CalicoDetected, mode: Mode) -> str:
    """What a temporary pool still depends on, where nothing speaks against it."""
    used = any(each.mode == mode and each.usual for each in calico.pools.value or ())
    if used or mode == Mode.BGP:
        return "a temporary pool can be made"
    return (
        f"a temporary pool can be made; that every node's kernel has the {mode} device is seen"
        " once it is there, and the mode is left out where one has not"
    )


def switching(found: Examined) -> Check:
    """Which modes the cluster itself can be brought to, and by what; why not to the others."""
    how = recipe(found.facts, found.detected)
    why = dict.fromkeys(how.refused.values())
    able = f"{', '.join(how.edits)} by {how.by}" if how.edits else ""
    return Check(
        name="modes to switch to",
        ok=bool(how.edits),
        found="; ".join([*([able] if able else []), *why]),
        needed_for="--method switch --disrupt, on clusters that may break",
        need=Need.ADVICE,
        advice="use --method pools where the CNI is Calico, else --method observe",
    )


def _no_pool(found: Examined, calico: CalicoDetected, mode: Mode) -> str | None:
    """Why a mode's temporary pool cannot be made; null where it can."""
    reason = pools.refusal(mode, calico, allow_bgp_export=False)
    if reason is not None:
        return reason
    if found.overlaps is not None:
        return found.overlaps
    mine = [each for each in found.tried if each.ref == Ref("IPPool", f"podbench-{mode}")]
    return next((each.message for each in mine if each.status is not None), None)


def rights(found: Examined) -> list[Check]:
    """Whether the roles of each method are held, right by right."""
    calico = found.detected.cni.value == "calico"
    needs = {"observe": Need.RUN, "pools": Need.PART, "switch": Need.ADVICE}
    return [
        *(
            _held(found.rights, method, needs[method])
            for method in BY_METHOD
            if calico or method != "pools"
        ),
        _readable(found.rights, (ALWAYS, *(BY_METHOD["pools"] if calico else ()))),
    ]


def _held(answers: Sequence[Answered], method: str, need: Need) -> Check:
    # What a method takes on top of the others' is said once, with it.
    roles = set(BY_METHOD[method]) or {ALWAYS}
    asked = [each for each in answers if each.right.role in roles and each.right.required]
    refused = [each for each in asked if each.allowed is False]
    unknown = [each for each in asked if each.allowed is None]
    said = f"{len(asked)} asked for, all granted"
    if refused or unknown:
        said = f"{len(refused)} of {len(asked)} refused: {_rights_listed(refused)}"
        said += f"; {len(unknown)} not answered" if unknown else ""
    return Check(
        name=f"rights to {method}",
        ok=False if refused else None if unknown else True,
        found=said,
        needed_for="every run" if need == Need.RUN else f"--method {method}",
        need=need,
        advice=f"an administrator grants {' and '.join(roles_for(method))} once"
        " (docs/security.md, or the chart with rbac.create)",
    )


def _readable(answers: Sequence[Answered], roles: Sequence[str]) -> Check:
    """What may not be read stays unknown, and the run goes on."""
    asked = [each for each in answers if not each.right.required and each.right.role in roles]
    refused = [each for each in asked if not each.allowed]
    return Check(
        name="rights to read",
        ok=not refused,
        found=f"{len(refused)} of {len(asked)} refused: {_rights_listed(refused)}"
        if refused
        else f"{len(asked)} asked for, all granted",
        needed_for="facts that a report names: what may not be read stays unknown there",
        need=Need.ADVICE,
        advice=f"an administrator grants {' and '.join(roles)} (docs/security.md)",
    )


def _rights_listed(answers: Sequence[Answered]) -> str:
    """`get, patch daemonsets.apps podbench-agent-vxlan; ...`."""
    told = sorted(str(each.right).partition(" ")[::-1] for each in answers)
    what = [
        f"{', '.join(verb for _, _, verb in group)} {thing}"
        for thing, group in groupby(told, key=lambda each: each[0])
    ]
    return listed(what)


def other_runs(found: Examined) -> Check:
    """Two runs would measure each other."""
    holder = found.holder.value
    return Check(
        name="other runs",
        ok=None if holder is None else not holder,
        found=found.holder.reason or (f"{holder} measures here" if holder else "none"),
        needed_for="measuring the network and not another run",
        need=Need.RUN,
        advice="wait for its end, or end it",
    )


def leftovers(found: Examined) -> Check:
    """What an earlier run left, and what only has its names."""
    there = found.leftovers.value or ()
    runs = sorted({run for _, run in there if run is not None})
    theirs = [str(name) for name, run in there if run is None]
    ours = [str(name) for name, run in there if run is not None]
    told = [
        *([f"left from {listed(runs)}: {listed(ours)}"] if ours else []),
        *([f"not made by podbench: {listed(theirs)}"] if theirs else []),
    ]
    clean = f"`bench clean --context {found.context.name}` takes it away"
    return Check(
        name="leftovers",
        ok=None if found.leftovers.value is None or (told and found.holder.value) else not told,
        found=found.leftovers.reason or "; ".join(told) or "none",
        needed_for="names that a run makes: it takes over nothing",
        need=Need.RUN,
        advice="rename or remove what has these names" if theirs and not ours else clean,
    )
