"""What the machines did: host paths of the runs beside each other, and what their samples show.

A host path has no CNI in it. Where it differs between two runs, the machine or the place does, and
so does everything measured on it.
"""

import math
from collections.abc import Mapping, Sequence

import msgspec

from podbench.analysis.compare.bundle import HostShift, Line, Machine
from podbench.analysis.compare.standings import Campaign
from podbench.analysis.samples.metrics import BY_NAME

SHOWN = ("rtt_app_ns.p50", "rtt_kernel_ns.p50", "goodput_bps.tcp.p50")


def beside(line: Line, lines: Sequence[Line]) -> Line:
    """A pod path's line with the ratio of the host paths beside each contrast."""
    if line.path != "pod":
        return line
    twin = f"{line.row.partition('/')[0]}/host"
    held = next((one for one in lines if (one.metric, one.row) == (line.metric, twin)), None)
    ratios = {} if held is None else {(c.base_run, c.other_run): c.ratio for c in held.contrasts}
    found = []
    for contrast in line.contrasts:
        host = ratios.get((contrast.base_run, contrast.other_run))
        relative = contrast.ratio / host if contrast.ratio is not None and host else None
        found.append(msgspec.structs.replace(contrast, host_ratio=host, relative_ratio=relative))
    return msgspec.structs.replace(line, contrasts=tuple(found))


def shifts(lines: Sequence[Line], floors: Sequence[Mapping[str, float]]) -> tuple[HostShift, ...]:
    """Each run's host path against the first run's: the mean over its arms."""
    found = []
    for metric in SHOWN:
        logs: dict[int, list[float]] = {}
        for line in lines:
            if line.metric != metric or line.path != "host":
                continue
            for c in line.contrasts:
                if c.base_run == 0 and c.ratio:
                    logs.setdefault(c.other_run, []).append(math.log(c.ratio))
        for run, held in logs.items():
            log = math.fsum(held) / len(held)
            limit = max(
                math.log1p(BY_NAME[metric].margin),
                *(math.log1p(floors[i].get(metric, 0.0)) for i in (0, run)),
            )
            found.append(
                HostShift(
                    metric=metric,
                    base_run=0,
                    other_run=run,
                    ratio=math.exp(log),
                    moved=abs(log) > limit,
                )
            )
    return tuple(found)


def machine(run: Campaign) -> Machine:
    """What happened to a run's machine."""
    seen = run.points.seen
    steals = [node.steal_ratio.p99 for node in run.card.summary.nodes if node.steal_ratio]
    known = [steal for steal in steals if steal is not None]
    return Machine(
        late_ratio=seen.late_ratio,
        own_host_ns=seen.own_host_ns,
        doubtful_ratio=seen.doubtful_ratio,
        steal_p99=max(known) if known else None,
    )
