"""Whether a cluster would take a run's objects: admission, quotas, room, the image.

Judges what `target.kubernetes.preflight.examine` found; pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from podbench.cni.detect.facts import image as parse_image
from podbench.doctor.checks import Check, Need, listed
from podbench.target.kubernetes.api.refs import Object, ref
from podbench.target.kubernetes.deploy.creation import pods_wanted
from podbench.target.kubernetes.deploy.undo import NAMESPACES
from podbench.target.kubernetes.preflight.dry_runs import ELSEWHERE, EXISTS, Tried
from podbench.target.kubernetes.preflight.examine import Examined
from podbench.target.kubernetes.preflight.pods import Room, SeenPod, quantity, room, seen
from podbench.target.kubernetes.preflight.webhooks import Hook, fail_closed, where

ENFORCE = "pod-security.kubernetes.io/enforce"
NEW = 2
"""A quota or limit of one name in so many namespaces is taken to come with each new one."""


def checks(found: Examined, image: str | None) -> list[Check]:
    """All of them; those about objects need nodes to put them on."""
    if not found.objects:
        return []
    return [
        pod_security(found),
        admission(found),
        webhooks(found),
        quotas(found),
        limits(found),
        room_on_nodes(found),
        image_there(found, image),
    ]


def pod_security(found: Examined) -> Check:
    """Whether the two namespaces get the levels that their pods need."""
    tried = {each.ref: each for each in found.tried}
    told: list[str] = []
    for each in found.objects:
        if each["kind"] == "Namespace":
            told += _level(each, tried[ref(each)])
    return Check(
        name="Pod Security",
        ok=not told,
        found=listed(told) or "both namespaces get the level that they ask for (dry run)",
        needed_for="agents on the host network (privileged) and on the pod network (restricted)",
        need=Need.RUN,
        advice="let whatever sets or refuses the label leave podbench and podbench-host alone",
    )


def _level(asked: Object, tried: Tried) -> Iterator[str]:
    name, labels = asked["metadata"]["name"], asked["metadata"]["labels"]
    if tried.status == EXISTS:
        return
    if tried.answer is None:
        yield f"{name} is refused: {tried.message}"
        return
    level = (tried.answer["metadata"].get("labels") or {}).get(ENFORCE)
    if level != labels[ENFORCE]:
        yield f"{name} would get {level or 'no level'}, not {labels[ENFORCE]}"


def admission(found: Examined) -> Check:
    """What the server says to every other object, tried without making it."""
    # Pools are told with their modes, namespaces with their levels.
    tried = [each for each in found.tried if each.ref.kind not in ("Namespace", "IPPool")]
    there = [each for each in tried if each.status == EXISTS]
    tried = [each for each in tried if each.status != EXISTS]
    refused = [each for each in tried if each.status is not None]
    away = any(each.elsewhere for each in tried)
    said = f"{len(there)} exist already, " if there else ""
    said += f"{len(tried) - len(refused)} of {len(tried)} admitted by a dry run"
    said += f" in namespace {ELSEWHERE}, for theirs do not exist yet" if away else ""
    told = list(dict.fromkeys(str(each.message) for each in refused))
    # Elsewhere other rules may hold, so that a refusal there is a sign and no more.
    certain = [each for each in refused if not each.elsewhere]
    return Check(
        name="admission",
        ok=False if certain else None if refused else True,
        found=f"{said}: {listed(told)}" if told else said,
        needed_for="agents, broker and what they need",
        need=Need.RUN,
        advice="except podbench and podbench-host from the policy or webhook that refuses, or grant"
        " the right that is missing",
    )


def webhooks(found: Examined) -> Check:
    """Those that fail closed: out of reach they refuse, a removal too."""
    kinds = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
    lists = [found.listed[kind] for kind in kinds]
    reasons = [each.reason for each in lists if each.value is None]
    hooks = fail_closed([each for one in lists for each in one.value or ()], found.objects)
    services = found.listed["Service"].value or ()
    on_pods = {each: where(each.service, services, found.pods.value or ()) for each in hooks}
    told = [_hook(each, on_pod_network=inside) for each, inside in on_pods.items()]
    ok: bool | None = not any(on_pods.values())
    if None in on_pods.values():
        ok = None if ok else ok
    return Check(
        name="webhooks",
        ok=None if reasons else ok,
        found="; ".join([*map(str, reasons), *told[:4]]) or "none that fails closed is asked",
        needed_for="making and removing what a run makes, also when the pod network is in trouble",
        need=Need.ADVICE,
        advice="except podbench and podbench-host by its namespaceSelector: a webhook on the pod"
        " network that fails closed keeps a run from being undone when that network breaks",
    )


def _hook(hook: Hook, *, on_pod_network: bool | None) -> str:
    places = {True: "on the pod network", False: "on the host network", None: "place not known"}
    when = "asked also on removal" if hook.removal else "not asked on removal"
    who = f"{hook.configuration}/{hook.name} ({hook.service or 'a URL'}, {places[on_pod_network]})"
    return f"{who}: {', '.join(hook.matches)}; {when}"


def quotas(found: Examined) -> Check:
    """Quotas that stand in the run's namespaces, or seem to come with new ones."""
    told = []
    listed_quotas = found.listed["ResourceQuota"]
    for quota, space in _concerned(listed_quotas.value or ()):
        hard = (quota.get("spec") or {}).get("hard") or {}
        name = quota["metadata"]["name"]
        if "limits.cpu" in hard:
            told.append(f"{name} asks for CPU limits, and agents have none: they would be refused")
        needs = _needs(found, space)
        short = [
            f"{key} {hard[key]}"
            for key, amount in needs.items()
            if key in hard and (has := quantity(hard[key])) is not None and has < amount
        ]
        told += [f"{name} leaves {', '.join(short)}, less than {space} takes"] if short else []
    told = list(dict.fromkeys(told))
    return Check(
        name="quotas",
        ok=None if listed_quotas.value is None else not told,
        found=listed_quotas.reason or listed(told) or "none in the way",
        needed_for="agents that start",
        need=Need.RUN if _there(listed_quotas.value or ()) else Need.ADVICE,
        advice="except podbench and podbench-host from it, or raise it",
    )


def limits(found: Examined) -> Check:
    """Limits that a LimitRange would add: a throttled probe measures its throttling."""
    ranges = found.listed["LimitRange"]
    told = []
    for each, _ in _concerned(ranges.value or ()):
        for limit in (each.get("spec") or {}).get("limits") or []:
            cpu = (limit.get("default") or {}).get("cpu") or (limit.get("max") or {}).get("cpu")
            if limit.get("type") == "Container" and cpu:
                told.append(f"{each['metadata']['name']} gives containers a CPU limit of {cpu}")
    told = list(dict.fromkeys(told))
    return Check(
        name="limit ranges",
        ok=None if ranges.value is None else not told,
        found=ranges.reason or listed(told) or "none in the way",
        needed_for="latency that is the network's: a throttled probe looks like jitter",
        need=Need.ADVICE,
        advice="except podbench and podbench-host from it",
    )


def _there(items: Sequence[Object]) -> bool:
    return any(each["metadata"].get("namespace") in NAMESPACES for each in items)


def _concerned(items: Sequence[Object]) -> Iterator[tuple[Object, str]]:
    """Those in our namespaces; and, for these are still to be made, what several others have.

    Each with the namespace of ours that it concerns.
    """
    spaces: dict[str, set[str]] = {}
    for each in items:
        spaces.setdefault(each["metadata"]["name"], set()).add(each["metadata"]["namespace"])
    for each in items:
        name, space = each["metadata"]["name"], each["metadata"]["namespace"]
        if space in NAMESPACES:
            yield each, space
        elif len(spaces[name]) >= NEW and not _there(items):
            for ours in NAMESPACES:
                yield each, ours


def _needs(found: Examined, space: str) -> dict[str, float]:
    """What a run takes in one of its namespaces, by a quota's names."""
    amounts = {"pods": float(pods_wanted(found.objects, space))}
    for workload, pod in _workloads(found.objects):
        if workload["metadata"]["namespace"] == space:
            times = pods_wanted([workload], space)
            taken = {"requests.cpu": pod.cores, "requests.memory": pod.memory_bytes}
            for key, amount in taken.items():
                amounts[key] = amounts.get(key, 0.0) + times * amount
    return amounts


def _workloads(objects: Sequence[Object]) -> Iterator[tuple[Object, SeenPod]]:
    """Each workload with its pod, which stands next to it."""
    for workload, pod in pairwise(objects):
        one = seen(pod) if pod["kind"] == "Pod" else None
        if one is not None:
            yield workload, one


def room_on_nodes(found: Examined) -> Check:
    """Whether each node has what its agents ask for; pods that find no room stay pending."""
    short, silent = [], []
    by_name = {each["metadata"]["name"]: each for each in found.nodes}
    for place in found.choice.places:
        mine = [
            pod for workload, pod in _workloads(found.objects) if _runs_on(workload, place.name)
        ]
        left = room(by_name[place.name], found.pods.value or ())
        if left is None:
            silent.append(place.name)
        elif said := _short(left, mine):
            short.append(f"{place.name}: {said}")
    unknown = found.pods.value is None or silent
    return Check(
        name="room on nodes",
        ok=False if short else None if unknown else True,
        found=listed(short)
        or (found.pods.reason if found.pods.value is None else None)
        or (f"{listed(silent)} do not say what they have" if silent else "enough on each"),
        needed_for="agents that start",
        need=Need.RUN,
        advice="make room there, or measure fewer modes (--modes) or nodes (--nodes)",
    )


def _runs_on(workload: Object, node: str) -> bool:
    affinity = workload["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    terms = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    return any(node in field["values"] for term in terms for field in term["matchFields"])


def _short(left: Room, mine: Sequence[SeenPod]) -> str | None:
    asked: Mapping[str, tuple[float, float]] = {
        "CPU": (sum(each.cores for each in mine), left.cores),
        "MiB of memory": (
            sum(each.memory_bytes for each in mine) / 2**20,
            left.memory_bytes / 2**20,
        ),
        "pods": (len(mine), left.pods),
    }
    told = [
        f"{has:.4g} {what} left, {takes:.4g} taken"
        for what, (takes, has) in asked.items()
        if takes > has
    ]
    return ", ".join(told) or None


def image_there(found: Examined, image: str | None) -> Check:
    """Whether nodes have the image already; whether they could pull it, only a run shows."""
    names = [each.name for each in found.choice.places]
    there = [
        each["metadata"]["name"]
        for each in found.nodes
        if each["metadata"]["name"] in names and image is not None and _holds(each, image)
    ]
    told = f"{image}: on {len(there)} of {len(names)} nodes already, by what these report"
    if image is not None and parse_image(image).tag in (None, "latest") and "@" not in image:
        told += "; without a version nodes may hold different ones"
    return Check(
        name="image",
        ok=True if image is not None and len(there) == len(names) else None,
        found=told if image is not None else "not named: give --image to have it looked for",
        needed_for="agents: whether a node can pull it, only a run shows, and says",
        need=Need.ADVICE,
        advice="build it with the Dockerfile, push it where the nodes can pull it without a secret,"
        " and name it by its digest",
    )


def _holds(node: Object, image: str) -> bool:
    known = (node.get("status") or {}).get("images") or []
    names = {name for each in known for name in each.get("names") or []}
    # Kubelets write the registry that a short name leaves out.
    return bool({image, f"docker.io/{image}", f"docker.io/library/{image}"} & names)
