"""The options of `bench`, each declared once.

One entry gives the flag of every command it names and its line in `--help`, the YAML key, its place
in the JSON schema and in `--print-config`, shell completion, "did you mean", and its checks. Null
means: not given, resolved later (`spec`, `cluster`).

To add an option, add its entry, then read `options.NAME` where it has its effect. Parameters of one
command alone (`bench export --format`) are declared at that command.
"""

from typing import Annotated

import msgspec

from podbench.campaign import pairwise
from podbench.campaign.options.declaration import RUN, Group, Option, option, table
from podbench.model import taints, units
from podbench.model.arms import Mode
from podbench.model.traffic import parse_traffic

CNIS = ("calico", "flannel", "cilium", "auto")
TARGETS = ("auto", "lab", "kubernetes")
METHODS = ("pools", "observe", "switch")
PROBES = (
    "latency",
    "ladder",
    "ceiling",
    "throughput",
    "throughput-tcp8",
    "throughput-udp",
    "throughput-small",
    *pairwise.names(),
)
"""Latency: STAMP warm and idle. Ladder: paced load in steps. Ceiling: TCP on the lab's shaped
segment. Throughput, flat out: TCP of 1 and of 8 streams, UDP, UDP of 64 octets.
Then those of campaign/pairwise, such as `rr`: TCP request and response."""
SYNONYMS = {"capacity": "throughput"}
"""Other names of probes."""

LAB = (*RUN, "lab up")
DOCTOR = (*RUN, "doctor")
RESULTS = ("report", "compare", "gate", "ls")
RESTORE = ("restore", "clean")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user may ask for, as users write it: text with units, not numbers."""

    cni: Annotated[str, option("CNI to measure", Group.MEASURE, choices=CNIS, commands=LAB)] = (
        "auto"
    )
    target: Annotated[
        str,
        option(
            "Where to measure; auto: on the kubeconfig's cluster, else on the lab",
            Group.MEASURE,
            choices=TARGETS,
            commands=DOCTOR,
        ),
    ] = "auto"
    modes: Annotated[
        list[str] | None,
        option(
            "Modes to compare",
            Group.MEASURE,
            choices=tuple(str(mode) for mode in Mode),
            checked=False,  # by the CNI, which has only some of them
            default_text="all of the CNI's",
        ),
    ] = None
    probes: Annotated[
        list[str] | None,
        option(
            "Kinds of measurement",
            Group.MEASURE,
            choices=(*PROBES, *SYNONYMS),
            default_text="latency,ladder; on the lab also ceiling",
        ),
    ] = None
    traffic: Annotated[
        list[str],
        option(
            "A node's own traffic at which to price the modes, e.g. 2Gbit/s,300kpps or"
            " peak=2Gbit/s; repeatable",
            Group.MEASURE,
            reads=parse_traffic,
            metavar="[NAME=]RATES",
            repeated=True,
            commands=(*RUN, "report", "compare"),
        ),
    ] = []
    nodes: Annotated[
        int | None,
        option(
            "Number of lab nodes; on a cluster the most to use",
            Group.MEASURE,
            least=2,
            advice="a pair needs two nodes",
            default_text="3 on the lab, all of a cluster",
            commands=LAB,
        ),
    ] = None

    budget: Annotated[
        str | None,
        option(
            "Time to measure, e.g. 3m",
            Group.EFFORT,
            reads=units.parse_positive_duration_s,
            metavar="DURATION",
        ),
    ] = None
    blocks: Annotated[
        int | None,
        option(
            "Number of blocks, instead of a budget",
            Group.EFFORT,
            least=1,
            advice="use 5 or more",
            default_text="6",
        ),
    ] = None
    seed: Annotated[
        int | None, option("Seed of every random choice", Group.EFFORT, default_text="random")
    ] = None

    method: Annotated[
        str | None,
        option(
            "How the modes are set up: side by side, as configured, or one after the other",
            Group.METHOD,
            choices=METHODS,
            default_text="pools where the CNI can",
        ),
    ] = None
    proof: Annotated[
        str | None,
        option("Prove modes by the captured outer headers", Group.METHOD, choices=("capture",)),
    ] = None
    spin: Annotated[
        bool, option("Busy-wait before each probe (more punctual, more CPU)", Group.METHOD)
    ] = False

    equal_mtu: Annotated[
        bool,
        option("Give all modes the smallest MTU", Group.LAB, target="lab", commands=LAB),
    ] = False
    lab_rate: Annotated[
        str | None,
        option(
            "Rate of every link, e.g. 200Mbit/s",
            Group.LAB,
            target="lab",
            reads=units.parse_rate_bps,
            metavar="RATE",
            default_text="unlimited",
            commands=LAB,
        ),
    ] = None
    lab_loss: Annotated[
        list[str],
        option(
            "Drop packets from one node to another, e.g. 'n1>n2=1%'; repeatable",
            Group.LAB,
            target="lab",
            metavar="A>B=RATIO",
            repeated=True,
            commands=LAB,
        ),
    ] = []
    lab_cpu_noise: Annotated[
        int,
        option(
            "Number of CPU burners beside the lab", Group.LAB, target="lab", least=0, commands=LAB
        ),
    ] = 0

    context: Annotated[
        str | None,
        option(
            "Context of the kubeconfig",
            Group.CLUSTER,
            target="kubernetes",
            commands=(*DOCTOR, "resume", *RESTORE),
        ),
    ] = None
    kubeconfig: Annotated[
        str | None,
        option(
            "Kubeconfig file to read instead of KUBECONFIG's",
            Group.CLUSTER,
            target="kubernetes",
            metavar="FILE",
            commands=(*DOCTOR, "resume", *RESTORE),
        ),
    ] = None
    yes: Annotated[
        bool,
        option(
            "Do not ask before changing the cluster that --context names",
            Group.CLUSTER,
            measured=False,
            commands=(*RUN, "resume"),
        ),
    ] = False
    disrupt: Annotated[
        str | None,
        option(
            "Context whose own mode --method switch may change",
            Group.CLUSTER,
            target="kubernetes",
            metavar="CONTEXT",
            needs=("method", "switch"),
            advice="omit --disrupt: the cluster's own mode is not changed then",
            commands=(*RUN, "resume"),
        ),
    ] = None
    pool_cidr: Annotated[
        str | None,
        option(
            "Addresses for the temporary pools",
            Group.CLUSTER,
            target="kubernetes",
            metavar="CIDR",
            default_text="198.18.0.0/16",
        ),
    ] = None
    allow_bgp_export: Annotated[
        bool,
        option(
            "Let BGP peers learn the temporary pools' routes", Group.CLUSTER, target="kubernetes"
        ),
    ] = False
    image: Annotated[
        str | None,
        option(
            "The agents' image",
            Group.CLUSTER,
            target="kubernetes",
            metavar="REF",
            default_text="the published one of this version",
            commands=DOCTOR,
        ),
    ] = None
    image_pull_secret: Annotated[
        list[str],
        option(
            "Secret that pulls the image, NAME in namespace default or NAMESPACE/NAME; repeatable",
            Group.CLUSTER,
            target="kubernetes",
            metavar="NAME",
            repeated=True,
        ),
    ] = []
    node_selector: Annotated[
        dict[str, str],
        option(
            "Label that nodes must have to take part; repeatable",
            Group.CLUSTER,
            target="kubernetes",
            metavar="K=V",
            commands=DOCTOR,
        ),
    ] = {}
    toleration: Annotated[
        list[str],
        option(
            "Taint that agents tolerate, key[=value]:effect; repeatable",
            Group.CLUSTER,
            target="kubernetes",
            metavar="TAINT",
            reads=taints.read,
            repeated=True,
            commands=DOCTOR,
        ),
    ] = []
    no_canary: Annotated[
        bool,
        option(
            "Measure without watching the cluster's own network", Group.CLUSTER, target="kubernetes"
        ),
    ] = False
    broker: Annotated[
        str | None,
        option(
            "An MQTT 5 broker of yours, mqtts://HOST:PORT",
            Group.CLUSTER,
            target="kubernetes",
            metavar="URL",
            default_text="one of the run's own",
            commands=DOCTOR,
        ),
    ] = None
    max_bandwidth: Annotated[
        str | None,
        option(
            "Highest rate of one transfer, e.g. 200Mbit/s",
            Group.CLUSTER,
            target="kubernetes",
            reads=units.parse_rate_bps,
            metavar="RATE",
            default_text="10% of the slowest NIC",
        ),
    ] = None
    saturate: Annotated[
        bool,
        option("Send without the cap of 10% of the NIC", Group.CLUSTER, target="kubernetes"),
    ] = False

    out: Annotated[
        str | None,
        option(
            "The run directory",
            Group.OUTPUT,
            metavar="DIR",
            default_text="runs/TIME-TARGET-CNI",
            measured=False,
        ),
    ] = None
    name: Annotated[str | None, option("Name of the run, shown in its report", Group.OUTPUT)] = None
    label: Annotated[
        dict[str, str], option("Label kept with the results; repeatable", Group.OUTPUT)
    ] = {}
    json: Annotated[
        bool,
        option(
            "Print one JSON document on stdout",
            Group.OUTPUT,
            measured=False,
            commands=(*LAB, "doctor", "resume", *RESULTS, *RESTORE),
        ),
    ] = False
    quiet: Annotated[
        bool,
        option(
            "Print the report's path and problems only",
            Group.OUTPUT,
            measured=False,
            commands=(*RUN, "resume", "report"),
        ),
    ] = False
    redact: Annotated[
        bool,
        option(
            "Replace names, addresses, contexts and labels by stand-ins",
            Group.OUTPUT,
            measured=False,
            commands=("report", "compare", "export"),
        ),
    ] = False
    open: Annotated[
        bool,
        option(
            "Open the page in a browser at the end",
            Group.OUTPUT,
            measured=False,
            commands=("run", "resume", "report", "compare"),
        ),
    ] = False

    def seconds(self, name: str) -> float | None:
        """A duration; null where it was not given."""
        value = getattr(self, name)
        return None if value is None else units.parse_duration_s(value, OPTIONS[name].flag)

    def bps(self, name: str) -> int | None:
        """A rate in bits per second; null where it was not given."""
        value = getattr(self, name)
        return None if value is None else units.parse_rate_bps(value, OPTIONS[name].flag)


OPTIONS: dict[str, Option] = table(Options)
"""Every option by name, in the order of the record."""


def taken_by(command: str) -> dict[str, Option]:
    """The options that a command takes: `run`, `lab up`, ..."""
    return {name: each for name, each in OPTIONS.items() if command in each.commands}
