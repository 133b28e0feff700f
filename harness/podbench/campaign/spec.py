"""A run's specification: words checked, units parsed, defaults filled in.

`run.json` keeps this record, so a run can be repeated from it. Nothing here touches the machine but
the question whether there is a kubeconfig. `resolve` is for the lab; `cluster` resolves a run from
what a cluster is.
"""

import os
import secrets
from pathlib import Path

import msgspec

from podbench.campaign.options import validate
from podbench.campaign.options.table import CNIS, PROBES, SYNONYMS, TARGETS, Options
from podbench.cni import registry
from podbench.model import units, words
from podbench.model.arms import Mode
from podbench.model.errors import ConfigError
from podbench.model.nodes import ClusterOptions, LabOptions, Loss
from podbench.model.traffic import Traffic, parse_traffic

LADDER, CEILING = "ladder", "ceiling"


def carries_load(probe: str) -> bool:
    """Whether a probe loads the network; such probes avoid control-plane nodes."""
    return probe == LADDER or probe.startswith("throughput")


DEFAULT_PROBES = ("latency", LADDER)
"""With the ceiling on the lab. Flat-out transfers are `capacity`, for whoever asks."""
DEFAULT_BLOCKS = 6
"""Every pair of the ladder's steps once, and above the fewest for a t interval worth reading."""
MAX_NODES = 64
"""More nodes than this on one machine measure the machine, not the overlay."""


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
    cluster: ClusterOptions | None = None
    """Null on the lab."""
    traffic: tuple[Traffic, ...] = ()
    """A node's own traffic, at which the modes' cost is asked."""
    refused: dict[Mode, str] = {}
    """Of `modes`, those that cannot be had there, and why: known before anything is made."""
    notes: tuple[str, ...] = ()
    """What was decided instead of the user, and why."""

    @property
    def possible(self) -> tuple[Mode, ...]:
        """The modes that can be measured as far as is known."""
        return tuple(mode for mode in self.modes if mode not in self.refused)

    @property
    def light(self) -> tuple[str, ...]:
        """Nodes that carry no transfers."""
        return () if self.cluster is None else self.cluster.light


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of `RunSpec` that do not depend on the target."""

    cni_requested: str
    probes: tuple[str, ...]
    seed: int
    blocks: int | None
    budget_s: float | None
    name: str | None
    labels: dict[str, str]
    proof_capture: bool
    spin: bool
    traffic: tuple[Traffic, ...]


def chosen_target(options: Options) -> str:
    """`lab` or `kubernetes`: where these options would measure.

    Raises:
        ConfigError: No such target, or an option that has no meaning there.
    """
    words.check(options.target, TARGETS, "--target")
    named = None if options.kubeconfig is None else Path(options.kubeconfig)
    found, target = named or kubeconfig(), options.target
    if target == "auto":
        target = "lab" if found is None and options.context is None else "kubernetes"
    wrong = validate.misplaced(options, target)
    if wrong is not None:
        raise _misplaced(wrong.flag, options.target, target, found)
    return target


def _misplaced(option: str, asked: str, target: str, found: Path | None) -> ConfigError:
    other = "lab" if target == "kubernetes" else "kubernetes"
    why = ""
    if asked == "auto":
        why = f" ({found} exists)" if target == "kubernetes" else " (no kubeconfig was found)"
    return ConfigError(
        f"{option} does not apply to target {target}{why}",
        advice=f"omit {option}, or use --target {other}",
    )


def resolve(options: Options) -> RunSpec:
    """Checks and completes the options of a run on the lab.

    Raises:
        ConfigError: A value cannot be used; names the option and the way out.
    """
    asked = common(options)
    cni = "calico" if options.cni == "auto" else options.cni
    if cni not in registry.names():
        raise ConfigError(
            f"--cni: the lab cannot emulate {cni}",
            advice=f"the lab emulates {' and '.join(registry.names())}",
        )
    lab = _lab(options, cni)
    if options.probes is None:
        asked = msgspec.structs.replace(asked, probes=(*asked.probes, CEILING))
    return RunSpec(
        cni=cni,
        target="lab",
        modes=modes(options, cni),
        method=_method(options, cni),
        lab=lab,
        **msgspec.structs.asdict(asked),
    )


def common(options: Options) -> Asked:
    """Checks and completes the options that do not depend on the target.

    Raises:
        ConfigError: A value cannot be used; names the option and the way out.
    """
    validate.values(options)
    return Asked(
        cni_requested=options.cni,
        probes=_probes(options),
        seed=secrets.randbelow(2**31) if options.seed is None else options.seed,
        blocks=options.blocks,
        budget_s=options.seconds("budget"),
        name=options.name,
        labels=dict(options.label),
        proof_capture=options.proof == "capture",
        spin=options.spin,
        traffic=tuple(parse_traffic(text) for text in options.traffic),
    )


def kubeconfig() -> Path | None:
    """The first kubeconfig that kubectl would use, if there is one."""
    named = [
        Path(each).expanduser() for each in os.environ.get("KUBECONFIG", "").split(":") if each
    ]
    usual = [Path.home() / ".kube" / "config"]
    return next((path for path in named or usual if path.is_file()), None)


def modes(options: Options, cni: str) -> tuple[Mode, ...]:
    """The requested modes, all of the CNI's by default, in the order of its reports.

    Raises:
        ConfigError: It has no such mode.
    """
    known = registry.driver(cni).modes()
    if options.modes is None:
        return known
    asked = [Mode(words.check(m, [str(k) for k in known], "--modes")) for m in options.modes]
    return tuple(m for m in known if m in asked)


def _probes(options: Options) -> tuple[str, ...]:
    if options.probes is None:
        return DEFAULT_PROBES
    asked = {SYNONYMS.get(probe, probe) for probe in options.probes}
    return tuple(p for p in PROBES if p in asked)


def _method(options: Options, cni: str) -> str:
    natural = "pools" if registry.driver(cni).side_by_side else "switch"
    if options.method is None:
        return natural
    if options.method == "observe":
        raise ConfigError(
            "--method observe: the lab has no network of its own to observe",
            advice=f"omit --method: {cni} on the lab uses {natural}",
        )
    if options.method == "pools" and natural == "switch":
        raise ConfigError(
            f"--method pools: {cni} cannot run two modes side by side",
            advice="use --method switch",
        )
    return options.method


def _lab(options: Options, cni: str) -> LabOptions:
    nodes = LabOptions().nodes if options.nodes is None else options.nodes
    if nodes > MAX_NODES:
        raise ConfigError(f"--nodes: {nodes} is more than {MAX_NODES}, the maximum on one machine")
    return LabOptions(
        nodes=nodes,
        layout=cni,
        equal_mtu=options.equal_mtu,
        rate_bps=options.bps("lab_rate"),
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
        raise ConfigError(
            f"--lab-loss: {text!r} is not SRC>DST=RATIO", advice="write it like 'n1>n2=1%'"
        )
    for name in (src, dst):
        words.check(name.strip(), names, "--lab-loss")
    if src.strip() == dst.strip():
        raise ConfigError(f"--lab-loss: {text!r} names the same node twice")
    return Loss(src.strip(), dst.strip(), units.parse_ratio(ratio, "--lab-loss"))


def filled_in(options: Options, spec: RunSpec) -> Options:
    """The options with every resolved default written out."""
    whole = msgspec.structs.replace(
        options,
        # A network that podbench only names cannot be asked for by that name.
        cni=spec.cni if spec.cni in CNIS else options.cni,
        target=spec.target,
        modes=[str(mode) for mode in spec.modes],
        probes=list(spec.probes),
        blocks=DEFAULT_BLOCKS if spec.blocks is None and spec.budget_s is None else spec.blocks,
        nodes=spec.lab.nodes if spec.cluster is None else len(spec.cluster.nodes),
        seed=spec.seed,
        method=spec.method,
    )
    if spec.cluster is None:
        return whole
    return msgspec.structs.replace(
        whole, context=spec.cluster.context, pool_cidr=spec.cluster.pool_cidr
    )
