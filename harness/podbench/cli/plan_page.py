"""What `bench plan` prints: schedule, duration, bytes, changes, smallest detectable ratios."""

import sys
from collections.abc import Mapping

import msgspec

from podbench.campaign import cost, pace
from podbench.campaign import plan as planning
from podbench.campaign.spec import DEFAULT_BLOCKS, RunSpec
from podbench.model.units import counted, show_duration

INDENT = " " * 12


def show(spec: RunSpec, *, as_json: bool) -> None:
    """Draws the plan of a run on the lab and prints it."""
    drawn = planning.draw(spec, spec.lab.names, exclusive=True)
    expected = cost.expect(drawn)
    if as_json:
        sys.stdout.write(
            _document(
                {
                    "plan": drawn,
                    "expected": expected,
                    "enough_blocks_s": enough_s(drawn),
                    "changes": list(cost.LAB_CHANGES),
                }
            )
        )
        return
    lines = [
        f"target      lab: {spec.lab.nodes} network namespaces on this machine, not a cluster",
        *schedule(spec, drawn),
        *_traffic(drawn, expected),
        *field("changes", cost.LAB_CHANGES),
        *detectable(drawn, expected),
    ]
    print("\n".join(lines))


def schedule(spec: RunSpec, drawn: planning.Plan) -> list[str]:
    """What is measured in which order, and how long it takes."""
    return [
        f"cni         {spec.cni} ({spec.method})",
        f"modes       {', '.join(drawn.modes)}; {drawn.aa_mode} twice in each block (A/A)",
        f"probes      {', '.join(spec.probes)}",
        f"schedule    {counted(drawn.blocks, 'block')}, {counted(len(drawn.visits), 'visit')},"
        f" {counted(drawn.rounds, 'round')}",
        f"seed        {drawn.seed}",
        f"duration    about {show_duration(drawn.total_s)} of measuring"
        f" ({counted(drawn.blocks, 'block')} of {show_duration(drawn.block_s)}{_once(drawn)})",
        *_too_few(drawn),
        *field("visit", pace.visit_parts(spec, len(drawn.groups), drawn.pace)),
    ]


def _once(drawn: planning.Plan) -> str:
    """What is measured once a run."""
    return f", and {show_duration(drawn.once_s)} once" if drawn.once_s else ""


def _too_few(drawn: planning.Plan) -> list[str]:
    """How long enough blocks for a verdict take, where these are fewer."""
    whole_s = enough_s(drawn)
    if whole_s is None:
        return []
    minutes = -(-whole_s // 60)
    return [
        f"{INDENT}{counted(drawn.blocks, 'block')} are too few for most verdicts:"
        f" {DEFAULT_BLOCKS} take about {show_duration(whole_s)} (--budget {minutes:.0f}m)"
    ]


def enough_s(drawn: planning.Plan) -> float | None:
    """How long the fewest blocks take that a verdict rests on; null where there are enough."""
    if drawn.blocks >= DEFAULT_BLOCKS:
        return None
    return drawn.block_s * DEFAULT_BLOCKS + drawn.once_s


def _traffic(drawn: planning.Plan, expected: cost.Expected) -> list[str]:
    return [
        f"traffic     {expected.probes} probes, {counted(expected.transfers, 'transfer')} of",
        f"{INDENT}{drawn.pace.transfer_s} s, about {expected.disk_bytes / 1e6:.1f} MB kept",
    ]


def detectable(drawn: planning.Plan, expected: cost.Expected) -> list[str]:
    """The smallest ratios the plan should detect, and the first block."""
    spread = "on labs of this kind" if drawn.exclusive else "on labs; clusters spread more"
    lines = [
        "detects     the smallest ratio that a 95% interval should distinguish from 1,",
        f"{INDENT}given the spread observed {spread}:",
    ]
    for metric, ratio in expected.smallest_detectable_ratio.items():
        text = "none: one block has no interval" if ratio is None else f"{ratio:.3f}"
        lines.append(f"{INDENT}  {metric:22} {text}")
    first = ", ".join(v.arm.name for v in drawn.visits if v.block == 1)
    return [*lines, f"first block {first}"]


def field(name: str, values: tuple[str, ...] | list[str]) -> list[str]:
    """A field of several lines; empty without values."""
    return [f"{'' if number else name:12}{text}" for number, text in enumerate(values)]


def _document(content: Mapping[str, object]) -> str:
    return msgspec.json.format(msgspec.json.encode(content), indent=2).decode() + "\n"
