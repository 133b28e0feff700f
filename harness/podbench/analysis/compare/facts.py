"""Facts about runs that decide comparability, one line for all runs."""

from collections.abc import Callable, Mapping, Sequence

from podbench.analysis.compare.bundle import Card, Fact, Remark
from podbench.analysis.compare.comparable import Finding, Side, iperf3_version
from podbench.model.summary import Summary
from podbench.model.units import show_bps, show_ns, show_ratio


def facts(sides: Sequence[Side], blocks: Sequence[int]) -> tuple[Fact, ...]:
    """Returns every fact about every run, in reading order.

    Args:
        sides: the runs.
        blocks: the number of blocks of each run.
    """
    held = [_fact(name, [say(side) for side in sides]) for name, say in _SAID.items()]
    held.append(_fact("blocks", [str(count) for count in blocks]))
    arms = dict.fromkeys(arm for side in sides for arm in side.arms if "#" not in arm)
    mtus = [_fact(f"MTU of {arm}", [_mtu(side, arm) for side in sides]) for arm in arms]
    return (*held, *(fact for fact in mtus if any(fact.values)))


def _fact(name: str, values: Sequence[str | None]) -> Fact:
    return Fact(name=name, values=tuple(values), same=len(set(values)) == 1)


def _mtu(side: Side, arm: str) -> str | None:
    found = side.arms.get(arm)
    return None if found is None or found.pod_mtu is None else str(found.pod_mtu)


def _version(name: str) -> Callable[[Side], str | None]:
    return lambda side: side.summary.versions.get(name)


def _cni(side: Side) -> str:
    cni = side.summary.cni
    return cni.name + (f" {cni.version}" if cni.version else "")


def _rates(side: Side) -> str | None:
    said = [f"{phase} {rate:.4g}" for phase, rate in sorted(side.seen.rate_pps.items())]
    return f"{', '.join(said)} per second" if said else None


def _joined(values: Sequence[object]) -> str | None:
    known = sorted({str(value) for value in values if value is not None})
    return ", ".join(known) or None


def _probes(side: Side) -> str | None:
    probes = side.summary.spec.get("probes")
    return ", ".join(map(str, probes)) if isinstance(probes, list | tuple) else None


def _faults(side: Side) -> str:
    lab = side.summary.spec.get("lab")
    held = lab if isinstance(lab, dict) else {}
    said = []
    rate, losses, noise = (held.get(name) for name in ("rate_bps", "losses", "cpu_noise"))
    if isinstance(rate, int | float) and rate:
        said.append(f"link rate {show_bps(float(rate))}")
    every = losses if isinstance(losses, list | tuple) else ()
    said += [_loss_in_words(one) for one in every if isinstance(one, Mapping)]
    if isinstance(noise, int) and noise:
        said.append(f"CPU noise {noise}")
    return "; ".join(said) or "none"


def _loss_in_words(one: Mapping[str, object]) -> str:
    """`loss n1 → n2 1%`, from the setting as it was kept."""
    ratio = one.get("ratio", one.get("share"))
    size = f" {100 * ratio:.3g}%" if isinstance(ratio, int | float) else ""
    return f"loss {one.get('src', 'any')} → {one.get('dst', 'any')}{size}"


def _aa(side: Side) -> str:
    check = side.summary.aa_check
    if check is None or check.passed is None:
        return "not measured"
    return "passed" if check.passed else "failed"


def _nodes(summary: Summary) -> str:
    zones = {node.zone for node in summary.nodes if node.zone}
    return str(len(summary.nodes)) + (f" in {len(zones)} zones" if len(zones) > 1 else "")


_SAID: dict[str, Callable[[Side], str | None]] = {
    "started": lambda side: side.summary.started,
    "target": lambda side: side.summary.target,
    "CNI": _cni,
    "modes": lambda side: _joined([arm.mode for arm in side.summary.arms]),
    "method": lambda side: side.summary.method,
    "nodes": lambda side: _nodes(side.summary),
    "provider": lambda side: _joined([node.provider for node in side.summary.nodes]),
    "region": lambda side: _joined([node.region for node in side.summary.nodes]),
    "kernel": lambda side: (
        _joined([node.kernel for node in side.summary.nodes]) or side.summary.versions.get("kernel")
    ),
    "CPU": lambda side: _joined([node.cpu_model for node in side.summary.nodes]),
    "underlay MTU": lambda side: _joined([node.mtu_underlay for node in side.summary.nodes]),
    "format": lambda side: str(side.summary.format),
    "podbench": _version("podbench"),
    "iperf3": iperf3_version,
    "probes": _probes,
    "probe rate": _rates,
    "timestamps": lambda side: side.seen.stamps[0] if side.seen.stamps else None,
    "faults injected": _faults,
    "status": lambda side: side.summary.status,
    "A/A check": _aa,
    "own host time, median": lambda side: _show(side.seen.own_host_ns, show_ns),
    "probes sent late": lambda side: _show(side.seen.late_ratio, show_ratio),
    "samples in doubt": lambda side: _show(side.seen.doubtful_ratio, show_ratio),
}


def _show(value: float | None, say: Callable[[float], str]) -> str | None:
    return None if value is None else say(value)


def remarks(findings: Sequence[Sequence[Finding]]) -> tuple[Remark, ...]:
    """Returns each reason once, refusals first, with all values and the affected results."""
    found: dict[tuple[bool, str, str], dict[str, str]] = {}
    for finding in (finding for held in findings for finding in held):
        key = (finding.refused, finding.what, _touched(finding))
        found.setdefault(key, {}).update(finding.values)
    said = [
        Remark(refused=refused, what=what, values=_values(values), touches=touched)
        for (refused, what, touched), values in found.items()
    ]
    return tuple(sorted(said, key=lambda remark: not remark.refused))


def flagged(cards: Sequence[Card]) -> tuple[Remark, ...]:
    """What is wrong with single runs, each under its run's name."""
    return tuple(
        Remark(
            refused=False,
            what=flag if card.campaigns > 1 else f"{card.label}: {flag}",
            values=(),
            touches="every figure of this run",
        )
        for card in cards
        for flag in card.flags
    )


def _values(by_run: dict[str, str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Returns each value with the runs that have it."""
    held: dict[str, tuple[str, ...]] = {}
    for label, value in by_run.items():
        held[value] = (*held.get(value, ()), label)
    return tuple(held.items())


def _touched(finding: Finding) -> str:
    what = ", ".join(name.rstrip("_") for name in finding.series) or "all results"
    return what + (f" of {finding.arm}" if finding.arm else "")
