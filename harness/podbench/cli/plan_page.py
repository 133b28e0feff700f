"""What `bench plan` prints: schedule, duration, bytes, what is changed, what can be told."""

import msgspec

from podbench.model.units import show_duration
from podbench.run import cost
from podbench.run import plan as planning
from podbench.run.spec import RunSpec


def show(spec: RunSpec, *, as_json: bool) -> None:
    """Draws the plan and prints it."""
    drawn = planning.draw(spec, spec.lab.names, exclusive=True)
    expected = cost.expect(drawn)
    if as_json:
        document = {"plan": drawn, "expected": expected, "changes": list(cost.LAB_CHANGES)}
        print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())
        return
    print(f"target      lab: {spec.lab.nodes} network namespaces on this machine, not a cluster")
    print(f"cni         {spec.cni} ({spec.method})")
    print(f"modes       {', '.join(spec.modes)}; {drawn.aa_mode} twice in each block (A/A)")
    print(f"probes      {', '.join(spec.probes)}")
    print(f"schedule    {drawn.blocks} blocks, {len(drawn.visits)} visits, {drawn.rounds} rounds")
    print(f"seed        {drawn.seed}")
    print(f"duration    about {show_duration(drawn.total_s)} of measuring")
    print(f"traffic     {expected.probes} probes, {expected.transfers} transfers of")
    print(f"            {planning.TRANSFER_S} s, about {expected.disk_bytes / 1e6:.1f} MB kept")
    print("changes     " + "\n            ".join(cost.LAB_CHANGES))
    print("can tell    the smallest ratio a 95 % interval should tell from 1,")
    print("            at the spread seen on labs like this:")
    for metric, ratio in expected.smallest_detectable_ratio.items():
        text = "nothing: one block has no interval" if ratio is None else f"{ratio:.3f}"
        print(f"              {metric:22} {text}")
    print("first block " + ", ".join(v.arm.name for v in drawn.visits if v.block == 1))
