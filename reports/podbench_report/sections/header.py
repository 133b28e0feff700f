"""Top of the page: title, status, and one line on when, where and how much."""

import msgspec

from podbench.analysis.findings import flagged
from podbench_report import names, numbers, wording
from podbench_report.view import RunView


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """Content above the findings."""

    title: str
    run_id: str
    lab: str | None
    faults: tuple[str, ...]
    status: str | None
    quality: tuple[str, ...]
    """What is wrong with the run: why its exit code was 3; empty for a sound one."""
    asked: str
    line: str
    """Time, place and size of the run, in one line."""


def build(view: RunView) -> Header:
    """Builds the header of one run."""
    s = view.summary
    return Header(
        title=s.name or _title(view),
        run_id=s.run_id,
        lab=wording.LAB_HEADING if view.on_lab else None,
        faults=view.bundle.faults_injected,
        status=_status(view),
        quality=tuple(flagged.reasons(view.bundle)),
        asked=_asked(view),
        line=_line(view),
    )


def _title(view: RunView) -> str:
    """`Calico on the lab: VXLAN, IPIP, BGP`."""
    place = "the lab" if view.on_lab else _cluster(view)
    modes = ", ".join(names.mode_label(mode) for mode in view.modes)
    return f"{view.summary.cni.name.capitalize()} on {place}" + (f": {modes}" if modes else "")


def _asked(view: RunView) -> str:
    modes = wording.listed([names.mode_label(m) for m in view.modes]) or "no mode"
    cni = view.summary.cni
    version = f" {cni.version}" if cni.version else ""
    place = "in the lab" if view.on_lab else f"on {_cluster(view)}"
    nodes = numbers.plural(len(view.nodes), "node")
    verb = "does" if len(view.modes) == 1 else "do"
    return (
        f"How much {verb} {modes} cost with {cni.name.capitalize()}{version}, "
        f"between {nodes} {place}?"
    )


def _cluster(view: RunView) -> str:
    facts = view.bundle.cluster
    return f"the cluster {facts.context}" if facts is not None else "a Kubernetes cluster"


def _line(view: RunView) -> str:
    s, plan = view.summary, view.bundle.plan
    methods = {
        "pools": "pools side by side",
        "observe": "as found",
        "switch": "one mode after another",
    }
    zones = len({node.zone for node in view.nodes if node.zone})
    nodes = numbers.plural(len(view.nodes), "node")
    parts = (
        numbers.moment(s.started),
        "lab" if view.on_lab else "Kubernetes",
        nodes + (f" in {numbers.plural(zones, 'zone')}" if zones > 1 else ""),
        methods.get(s.method, s.method),
        f"{plan.blocks_done} of {numbers.plural(plan.blocks_planned, 'block')}",
        f"{numbers.duration(plan.measuring_s)} measuring time",
        f"seed {s.seed}",
        f"run {s.run_id}",
    )
    return " · ".join(parts)


def _status(view: RunView) -> str | None:
    plan = view.bundle.plan
    done = f"{plan.blocks_done} of {numbers.plural(plan.blocks_planned, 'block')}"
    match view.summary.status:
        case "invalid":
            return f"Invalid run: {done} measured. Do not use these results; the caveats say why."
        case "partial":
            missing = [a.arm for a in view.summary.arms if a.status != "measured"]
            what = f"; not measured: {', '.join(missing)}" if missing else ""
            return f"Partial run: {done} measured{what}."
        case _:
            return None
