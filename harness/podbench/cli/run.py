"""`bench run` and `bench plan`: parse options, start a run, print where its results are."""

import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from podbench.campaign import options as run_options
from podbench.campaign.options import Options

Cni = Annotated[str | None, typer.Option(help="calico, flannel, cilium or auto.")]
TargetName = Annotated[str | None, typer.Option("--target", help="auto, lab or kubernetes.")]
Modes = Annotated[str | None, typer.Option(help="Modes to compare, e.g. vxlan,ipip,bgp.")]
Probes = Annotated[
    str | None,
    typer.Option(help="latency,throughput,throughput-tcp8,throughput-udp,throughput-small."),
]
Budget = Annotated[str | None, typer.Option(help="Time to measure, e.g. 3m.")]
Blocks = Annotated[int | None, typer.Option(help="Blocks, instead of a budget.")]
Nodes = Annotated[int | None, typer.Option(help="Nodes of the lab; at most, on a cluster.")]
Seed = Annotated[int | None, typer.Option(help="Seed of every random choice.")]
Out = Annotated[str | None, typer.Option(help="The run directory itself.")]
Config = Annotated[Path | None, typer.Option(help="YAML file of the same names.")]
Name = Annotated[str | None, typer.Option(help="A name for the report.")]
Label = Annotated[list[str] | None, typer.Option(help="k=v, kept with the results.")]
Yes = Annotated[bool | None, typer.Option("--yes", help="Do not ask.")]
Json = Annotated[bool | None, typer.Option("--json", help="One JSON document on stdout.")]
Quiet = Annotated[bool | None, typer.Option("--quiet", help="No progress.")]
Print = Annotated[bool, typer.Option("--print-config", help="Print the options and stop.")]
Method = Annotated[str | None, typer.Option(help="pools, observe or switch.")]
EqualMtu = Annotated[bool | None, typer.Option("--equal-mtu", help="All modes the smallest MTU.")]
Proof = Annotated[str | None, typer.Option(help="capture: prove by outer headers.")]
Spin = Annotated[bool | None, typer.Option("--spin", help="Senders spin: on time, more CPU.")]
LabRate = Annotated[str | None, typer.Option(help="Link rate of the lab, e.g. 200Mbit/s.")]
LabLoss = Annotated[list[str] | None, typer.Option(help="Injected loss, e.g. 'n1>n2=1%'.")]
LabNoise = Annotated[int | None, typer.Option(help="CPU burners beside the lab.")]
Context = Annotated[str | None, typer.Option(help="kubeconfig context.")]
Disrupt = Annotated[str | None, typer.Option(help="Context whose own mode may be switched.")]
PoolCidr = Annotated[str | None, typer.Option(help="Temporary pools' addresses: 198.18.0.0/16.")]
Image = Annotated[str | None, typer.Option(help="The agents' image, for a cluster.")]
Broker = Annotated[str | None, typer.Option(help="Another MQTT 5 broker, mqtts://HOST:PORT.")]
MaxBandwidth = Annotated[str | None, typer.Option(help="Most a transfer sends, e.g. 200Mbit/s.")]
Saturate = Annotated[bool | None, typer.Option("--saturate", help="No cap of 10 % of the NIC.")]
AllowExport = Annotated[
    bool | None,
    typer.Option("--allow-bgp-export", help="BGP peers may learn the temporary pools' routes."),
]


def _options(given: dict[str, object]) -> Options:
    """Flags over the file's options. `given` holds this command's parameters by name."""
    config = given.pop("config")
    below = run_options.read(config) if isinstance(config, Path) else Options()
    for name in ("modes", "probes"):
        text = given[name]
        if isinstance(text, str):
            given[name] = [part.strip() for part in text.split(",") if part.strip()]
    label = given.pop("label")
    if isinstance(label, list) and label:
        given["label"] = run_options.labels(label)
    given["lab_loss"] = given["lab_loss"] or None
    return run_options.merge(below, given)


def _declared(
    cni: Cni = None,
    target: TargetName = None,
    modes: Modes = None,
    probes: Probes = None,
    budget: Budget = None,
    blocks: Blocks = None,
    nodes: Nodes = None,
    seed: Seed = None,
    out: Out = None,
    config: Config = None,
    name: Name = None,
    label: Label = None,
    yes: Yes = None,
    json: Json = None,
    quiet: Quiet = None,
    method: Method = None,
    equal_mtu: EqualMtu = None,
    proof: Proof = None,
    spin: Spin = None,
    lab_rate: LabRate = None,
    lab_loss: LabLoss = None,
    lab_cpu_noise: LabNoise = None,
    context: Context = None,
    disrupt: Disrupt = None,
    pool_cidr: PoolCidr = None,
    image: Image = None,
    broker: Broker = None,
    max_bandwidth: MaxBandwidth = None,
    saturate: Saturate = None,
    allow_bgp_export: AllowExport = None,
    print_config: Print = False,
) -> None:
    """The options `run` and `plan` share, declared once."""


def _takes_options(command: Callable[[Options, bool], None]) -> Callable[..., None]:
    """Gives a command on options the flags of `_declared`."""

    def taking(**given: object) -> None:
        print_config = bool(given.pop("print_config"))
        command(_options(given), print_config)

    taking.__doc__ = command.__doc__
    taking.__annotations__ = _declared.__annotations__
    taking.__signature__ = inspect.signature(_declared)  # type: ignore[attr-defined] # PEP 362
    return taking


@_takes_options
def run(options: Options, print_config: bool) -> None:
    """Measure, prove and compare the modes of a CNI; write one report."""
    from podbench.campaign import spec

    if spec.chosen_target(options) == "kubernetes":
        from podbench.cli import on_cluster

        sys.exit(on_cluster.run(options, print_config))
    resolved = spec.resolve(options)
    if print_config:
        print(run_options.show(spec.filled_in(options, resolved)), end="")
        return
    from podbench.cli import campaign

    sys.exit(campaign.begin(options, resolved))


@_takes_options
def plan(options: Options, print_config: bool) -> None:
    """Print what `bench run` would do with these options; touches nothing."""
    from podbench.campaign import spec

    if spec.chosen_target(options) == "kubernetes":
        from podbench.cli import on_cluster

        on_cluster.plan(options, print_config)
        return
    from podbench.cli import plan_page

    resolved = spec.resolve(options)
    if print_config:
        print(run_options.show(spec.filled_in(options, resolved)), end="")
        return
    plan_page.show(resolved, as_json=options.json)
