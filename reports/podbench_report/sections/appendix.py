"""Appendix: every setting, version, seed and fact needed to repeat the run."""

import json

import msgspec

from podbench_report import names, numbers, tables, wording
from podbench_report.view import RunView


class Appendix(msgspec.Struct, frozen=True, kw_only=True):
    """Tables of facts."""

    command: str | None
    """The command that repeats the measurement."""
    cluster: tables.Table
    """The cluster, the objects created and their final state; empty on the lab."""
    run: tables.Table
    settings: tables.Table
    versions: tables.Table
    nodes: tables.Table
    arms: tables.Table


def build(view: RunView) -> Appendix:
    """Builds the appendix of one run."""
    s = view.summary
    return Appendix(
        command=view.bundle.command,
        cluster=_pairs(
            "Cluster, objects created, and their state after the run",
            ("Fact", "Value"),
            _cluster_facts(view),
        ),
        run=_pairs("Run", ("Fact", "Value"), _run_facts(view)),
        settings=_pairs("Settings, including defaults", ("Setting", "Value"), flat(_asked(view))),
        versions=_pairs(
            "Versions",
            ("Component", "Version"),
            [(k, v or "unknown") for k, v in s.versions.items()],
        ),
        nodes=_nodes(view),
        arms=_arms(view),
    )


def _pairs(caption: str, heads: tuple[str, str], facts: list[tuple[str, str]]) -> tables.Table:
    return tables.Table(
        caption=caption,
        columns=(tables.Column(heads[0]), tables.Column(heads[1])),
        rows=tuple(tables.row(key, tables.Cell(value, css="wrap")) for key, value in facts),
        sortable=False,
    )


def _run_facts(view: RunView) -> list[tuple[str, str]]:
    s, plan = view.summary, view.bundle.plan
    check = s.aa_check
    verdict = {True: "passed", False: "failed", None: "not measured"}
    facts = [
        ("run_id", s.run_id),
        ("name", s.name or "none"),
        ("format", str(s.format)),
        ("status", s.status),
        ("target", s.target),
        ("method", s.method),
        ("cni requested", s.cni.requested),
        ("cni detected from", "; ".join(s.cni.detected_from) or "not detected"),
        ("seed", str(s.seed)),
        ("started", s.started),
        ("ended", s.ended or "not ended"),
        ("blocks", f"{plan.blocks_done} of {plan.blocks_planned}"),
        ("looks after blocks", ", ".join(map(str, plan.looks)) or "none"),
        ("stopped early", "yes" if plan.decided_early else "no"),
        ("arms in a block", ", ".join(plan.arms_in_block)),
        ("visits", str(plan.visits)),
        ("rounds", str(plan.rounds)),
        ("measuring time", numbers.duration(plan.measuring_s)),
        ("A/A check", verdict[check.passed if check else None]),
        ("faults injected", "; ".join(view.bundle.faults_injected) or "none"),
    ]
    facts += [(f"label {key}", value) for key, value in s.labels.items()]
    facts += [
        (f"noise floor {metric}", wording.floor_percent(ratio))
        for metric, ratio in s.noise_floor.items()
    ]
    return facts


def _asked(view: RunView) -> dict[str, object]:
    """Returns the settings of the run's target: lab or cluster."""
    other = "cluster" if view.on_lab else "lab"
    return {name: value for name, value in view.summary.spec.items() if name != other}


def _cluster_facts(view: RunView) -> list[tuple[str, str]]:
    facts = view.bundle.cluster
    if facts is None:
        return []
    found = [("context", facts.context), ("API server", facts.server)]
    found += [(f"node {name} excluded", reason) for name, reason in facts.left_out]
    if not facts.looked:
        return [*found, ("created", "unknown: the run did not verify its clean-up")]
    return [
        *found,
        ("created", "; ".join(facts.made) or "nothing"),
        ("removed (verified after the run)", "; ".join(facts.gone) or "nothing"),
        ("changed and restored", "; ".join(facts.restored) or "nothing"),
        ("still present", "; ".join(facts.left) or "nothing"),
    ]


def flat(value: object, prefix: str = "") -> list[tuple[str, str]]:
    """Flattens nested settings into dotted names; null becomes `not set`."""
    if isinstance(value, dict) and value:
        return [
            pair
            for key, inner in value.items()
            for pair in flat(inner, f"{prefix}.{key}" if prefix else str(key))
        ]
    if value is None:
        return [(prefix, "not set")]
    if isinstance(value, str):
        return [(prefix, value)]
    return [(prefix, json.dumps(value, default=str, ensure_ascii=False))] if prefix else []


def _nodes(view: RunView) -> tables.Table:
    titles = (
        "Name",
        "Short",
        "Zone",
        "Region",
        "Provider",
        "Residency",
        "Kernel",
        "CPU",
        "Pod MTU",
        "Underlay MTU",
        "kube-proxy",
    )
    rows = []
    for node in view.nodes:
        facts = (
            node.zone,
            node.region,
            node.provider,
            node.residency,
            node.kernel,
            node.cpu_model,
            node.mtu_pod,
            node.mtu_underlay,
            node.kube_proxy_mode,
        )
        cells = [
            tables.Cell(
                "unknown" if fact is None else str(fact),
                css="null keep" if fact is None else "" if fact == node.cpu_model else "keep",
            )
            for fact in facts
        ]
        rows.append(
            tables.row(
                tables.Cell(node.name, css="wrap"),
                tables.Cell(view.labels[node.name], css="keep"),
                *cells,
            )
        )
    return tables.Table(
        caption="Nodes", columns=tuple(tables.Column(t) for t in titles), rows=tuple(rows)
    )


def _arms(view: RunView) -> tables.Table:
    rows = []
    for arm in view.arms_in_order():
        proof = arm.proof
        rows.append(
            tables.row(
                arm.arm,
                names.arm_label(arm.arm),
                arm.implementation or "not applicable",
                tables.Cell("not applicable" if arm.pod_mtu is None else str(arm.pod_mtu)),
                arm.status,
                arm.reason or numbers.EN_DASH,
                numbers.EN_DASH if proof is None else f"{proof.verdict} ({proof.method})",
            )
        )
    titles = ("Arm", "Name", "Implementation", "Pod MTU", "Status", "Reason", "Proof")
    return tables.Table(
        caption="Arms", columns=tuple(tables.Column(t) for t in titles), rows=tuple(rows)
    )
