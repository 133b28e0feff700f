"""What one run shall do, resolved: words checked, units parsed, defaults filled in.

`run.json` keeps this record, so a run can be repeated from it. Nothing here touches the machine but
the question whether there is a kubeconfig.
"""

import os
import secrets
from pathlib import Path

import msgspec

from podbench.cni import detect
from podbench.model import units, words
from podbench.model.arms import Mode
from podbench.model.errors import ConfigError
from podbench.model.nodes import LabOptions, Loss
from podbench.run.options import Options

PROBES = ("latency", "throughput", "throughput-tcp8", "throughput-udp", "throughput-small")
"""Latency: STAMP warm and idle. Throughput: TCP of 1 and of 8 streams, UDP, UDP of 64 octets."""

LAB_DEFAULT_PROBES = ("latency", "throughput")
DEFAULT_BLOCKS = 5
"""The fewest blocks at which a t interval is worth reading, and the first look."""
MAX_NODES = 64
"""More nodes than this on one machine measure the machine, not the overlay."""
CNIS = ("calico", "flannel", "cilium", "auto")
METHODS = ("pools", "observe", "switch")


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A run, resolved. Durations in seconds, rates in bits per second."""

    cni: str
    cni_requested: str
    target: str
    modes: tuple[Mode, ...]
    probes: tuple[str, ...]
    method: str
    seed: int
    blocks: int | None
    budget_s: float | None
    name: str | None = None
    labels: dict[str, str] = {}
    proof_capture: bool = False
    spin: bool = False
    """Senders spin before each send: on time on a busy machine, for more CPU."""
    lab: LabOptions = LabOptions()


def resolve(options: Options) -> RunSpec:
    """Checks and completes what the user asked for.

    Raises:
        ConfigError: A value cannot be used; names the option and the way out.
    """
    words.check(options.cni, CNIS, "--cni")
    words.check(options.target, ("auto", "lab", "kubernetes"), "--target")
    if options.target == "kubernetes" or options.context:
        raise ConfigError(
            "--target kubernetes: this version measures on the lab only",
            advice="use --target lab, or leave --target and --context out",
        )
    cni = "calico" if options.cni == "auto" else options.cni
    if cni not in detect.names():
        raise ConfigError(
            f"--cni: {cni} has no layout on the lab",
            advice=f"the lab can be {' or '.join(detect.names())}",
        )
    lab = _lab(options, cni)
    return RunSpec(
        cni=cni,
        cni_requested=options.cni,
        target="lab",
        modes=_modes(options, cni),
        probes=_probes(options),
        method=_method(options, cni),
        seed=secrets.randbelow(2**31) if options.seed is None else options.seed,
        blocks=_blocks(options),
        budget_s=None if options.budget is None else _budget_s(options.budget),
        name=options.name,
        labels=dict(options.label),
        proof_capture=_capture(options),
        spin=options.spin,
        lab=lab,
    )


def kubeconfig() -> Path | None:
    """The kubeconfig that kubectl would use, if there is one."""
    named = os.environ.get("KUBECONFIG", "").split(":")[0]
    path = Path(named) if named else Path.home() / ".kube" / "config"
    return path if path.is_file() else None


def _modes(options: Options, cni: str) -> tuple[Mode, ...]:
    known = detect.driver(cni).modes()
    if options.modes is None:
        return known
    if not options.modes:
        raise ConfigError("--modes: names none", advice=f"valid: {', '.join(known)}")
    asked = [Mode(words.check(m, [str(k) for k in known], "--modes")) for m in options.modes]
    return tuple(m for m in known if m in asked)


def _probes(options: Options) -> tuple[str, ...]:
    if options.probes is None:
        return LAB_DEFAULT_PROBES
    if not options.probes:
        raise ConfigError("--probes: names none", advice=f"valid: {', '.join(PROBES)}")
    for probe in options.probes:
        words.check(probe, PROBES, "--probes")
    return tuple(p for p in PROBES if p in options.probes)


def _method(options: Options, cni: str) -> str:
    natural = "pools" if detect.driver(cni).side_by_side else "switch"
    if options.method is None:
        return natural
    words.check(options.method, METHODS, "--method")
    if options.method == "observe":
        raise ConfigError(
            "--method observe: a lab has nothing of its own to observe",
            advice=f"leave --method out: {cni} on the lab is {natural}",
        )
    if options.method == "pools" and natural == "switch":
        raise ConfigError(
            f"--method pools: {cni} cannot have two modes side by side",
            advice="use --method switch",
        )
    return options.method


def _blocks(options: Options) -> int | None:
    if options.blocks is not None and options.blocks < 1:
        raise ConfigError(f"--blocks: {options.blocks} is fewer than 1", advice="use 5 or more")
    return options.blocks


def _budget_s(text: str) -> float:
    budget_s = units.parse_duration_s(text, "--budget")
    if budget_s <= 0:
        raise ConfigError(f"--budget: {text!r} is no time at all", advice="write it like 3m")
    return budget_s


def _capture(options: Options) -> bool:
    if options.proof is None:
        return False
    words.check(options.proof, ("capture",), "--proof")
    return True


def _lab(options: Options, cni: str) -> LabOptions:
    nodes = LabOptions().nodes if options.nodes is None else options.nodes
    if nodes < 2:
        raise ConfigError(f"--nodes: {nodes} is fewer than 2", advice="a pair takes two nodes")
    if nodes > MAX_NODES:
        raise ConfigError(f"--nodes: {nodes} is more than {MAX_NODES}, the most for one machine")
    if options.lab_cpu_noise < 0:
        raise ConfigError(f"--lab-cpu-noise: {options.lab_cpu_noise} is below 0")
    rate = options.lab_rate
    return LabOptions(
        nodes=nodes,
        layout=cni,
        equal_mtu=options.equal_mtu,
        rate_bps=None if rate is None else units.parse_rate_bps(rate, "--lab-rate"),
        losses=tuple(parse_loss(text, nodes) for text in options.lab_loss),
        cpu_noise=options.lab_cpu_noise,
    )


def parse_loss(text: str, nodes: int) -> Loss:
    """Reads `n1>n2=1%`.

    Raises:
        ConfigError: Another form, an unknown node, or the same node twice.
    """
    names = LabOptions(nodes=nodes).names
    pair, equals, ratio = text.partition("=")
    src, arrow, dst = pair.partition(">")
    if not (equals and arrow):
        raise ConfigError(f"--lab-loss: {text!r} is not a loss", advice="write it like 'n1>n2=1%'")
    for name in (src, dst):
        words.check(name.strip(), names, "--lab-loss")
    if src.strip() == dst.strip():
        raise ConfigError(f"--lab-loss: {text!r} names one node twice")
    return Loss(src.strip(), dst.strip(), units.parse_ratio(ratio, "--lab-loss"))


def filled_in(options: Options, spec: RunSpec) -> Options:
    """The options with every default that was resolved written out."""
    return msgspec.structs.replace(
        options,
        cni=spec.cni,
        target=spec.target,
        modes=[str(mode) for mode in spec.modes],
        probes=list(spec.probes),
        blocks=DEFAULT_BLOCKS if spec.blocks is None and spec.budget_s is None else spec.blocks,
        nodes=spec.lab.nodes,
        seed=spec.seed,
        method=spec.method,
    )
