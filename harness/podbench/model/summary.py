"""`summary.json`, format 1: one definition for writing, reading, documentation and JSON schema.

Every quantity carries its unit in its name. Null means not measured or not applicable; never zero.
`metric` is the dotted path of a figure in `Pair` everywhere (`rtt_kernel_ns.p99`,
`goodput_bps.tcp.p50`).
"""

from typing import Literal

import msgspec

FORMAT = 1

Interval = tuple[float, float]
"""Lower and upper bound."""


class Cni(msgspec.Struct, frozen=True, kw_only=True):
    """The CNI measured; `detected_from` lists the facts it was told by."""

    name: str
    version: str | None = None
    requested: str
    detected_from: tuple[str, ...] = ()


class StealRatio(msgspec.Struct, frozen=True, kw_only=True):
    """Share of CPU time stolen by the hypervisor, over the host ticks."""

    p50: float | None = None
    p99: float | None = None
    max: float | None = None


class NodeSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One node."""

    name: str
    zone: str | None = None
    region: str | None = None
    provider: str | None = None
    residency: str | None = None
    kernel: str | None = None
    cpu_model: str | None = None
    mtu_pod: int | None = None
    mtu_underlay: int | None = None
    kube_proxy_mode: str | None = None
    steal_ratio: StealRatio | None = None


class KindProofSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of one kind of probe in an arm, by its own packets."""

    verdict: str
    method: str
    observed: str | None
    pairs_matched: int
    pairs_total: int


class ProofSummary(msgspec.Struct, frozen=True, kw_only=True):
    """An arm's proof: `match` only where every kind of probe matches on every pair."""

    verdict: str
    method: str
    """The weakest of all kinds."""
    observed: str | None
    route_origin: str | None
    pairs_matched: int
    pairs_total: int
    by_probe: dict[str, KindProofSummary] = {}
    """By kind of probe: `latency` by its proof window, others by counters around their loads."""
    warnings: tuple[str, ...] = ()
    """Codes of what is odd about a proof that may match all the same."""


class ArmSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One arm: measured, or why not."""

    arm: str
    mode: str
    path: str
    implementation: str | None
    pod_mtu: int | None
    status: Literal["measured", "not measured"]
    reason: str | None = None
    proof: ProofSummary | None = None


class VarianceShare(msgspec.Struct, frozen=True, kw_only=True):
    """Where an arm's variance comes from; the three shares add up to 1."""

    within_session: float
    between_blocks: float
    between_pairs: float


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one arm over all pairs."""

    arm: str
    metric: str
    value: float | None
    unit: str
    ci95: Interval | None
    n: int
    n_effective: float | None
    blocks: int
    mean: float | None = None
    sd: float | None = None
    variance_share: VarianceShare | None = None


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """A latency distribution.

    A quantile q is null where n*(1-q) < 10; `coarse` where n_effective*(1-q) < 10.
    """

    p50: float | None
    p90: float | None
    p99: float | None
    p999: float | None
    min: float | None
    max: float | None
    mean: float | None
    sd: float | None
    n: int
    n_effective: float | None
    ci95: dict[str, Interval | None] = {}
    coarse: tuple[str, ...] = ()


class NoneLost(msgspec.Struct, frozen=True, kw_only=True):
    """What no loss at all bounds (95%): nothing, without a length of burst."""

    below_if_single: float
    """If losses are single packets."""
    below_if_bursts: float
    """If they come in bursts of up to `burst_packets`."""
    burst_packets: int


class LossSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Probes that did not come back, by direction.

    `ci95` holds for bursts; with none lost its upper limit is `none_lost.below_if_bursts`.
    """

    sent: int
    lost_forward: int
    lost_backward: int
    lost_unknown: int
    ratio: float | None
    ci95: Interval | None
    episodes: int
    longest: int = 0
    """Probes in the longest episode."""
    sessions: int = 0
    """Pairs times blocks that sent any."""
    none_lost: NoneLost | None = None
    """Null where something was lost."""


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """Receiver-side rate over iperf3 intervals that are not `omitted`."""

    p50: float | None
    min: float | None
    max: float | None
    n: int
    ci95: Interval | None


class Goodput(msgspec.Struct, frozen=True, kw_only=True):
    """TCP with 1 stream, TCP with 8 streams, UDP of the largest unfragmented size.

    Null: not measured.
    """

    tcp: Rate | None = None
    tcp_8: Rate | None = None
    udp: Rate | None = None


class PairKindProof(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of one kind of probe on one directed pair."""

    verdict: str
    method: str
    observed: str | None


class PairProofSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The proof of one directed pair: `match` only where every kind of probe matches."""

    verdict: str
    method: str
    observed: str | None
    by_probe: dict[str, PairKindProof] = {}


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One directed pair in one arm: `src` initiates."""

    src: str
    dst: str
    arm: str
    family: str
    proof: PairProofSummary | None = None
    rtt_kernel_ns: Quantiles | None = None
    rtt_app_ns: Quantiles | None = None
    rtt_idle_ns: Quantiles | None = None
    """Kernel RTT of the idle regime (20 Hz); the two above are the warm one (1 kHz)."""
    pdv_p99_ns: float | None = None
    ipdv_p50_ns: float | None = None
    rfc3550_jitter_ns: float | None = None
    loss: LossSummary | None = None
    goodput_bps: Goodput | None = None
    small_packets_pps: Rate | None = None
    rtt_loaded_ns: Quantiles | None = None
    retransmit_ratio: float | None = None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two arms on one metric: `ratio` = other/base, `difference` = other - base."""

    metric: str
    base: str
    other: str
    path: str
    ratio: float | None
    ci95: Interval | None
    difference: float | None
    difference_ci95: Interval | None = None
    """From the blocks' own differences; for loss, from both arms' intervals."""
    unit: str
    blocks: int
    verdict: str
    """`different`, `equivalent`, `small`, `inconclusive` or `not measured`."""
    margin: float
    smallest_detectable_ratio: float | None = None
    reason: str | None = None
    disagreement: bool = False
    """True where the t interval and its robust twin (Hodges-Lehmann) do not agree."""
    p_value: float | None = None
    """Of ratio 1, by the paired t test on the block log-ratios."""
    hodges_lehmann_ratio: float | None = None
    """The robust twin of `ratio`."""
    wilcoxon_p: float | None = None
    cliffs_delta: float | None = None
    """Over the blocks' statistics: 1 where every block of other is above every one of base."""
    blocks_needed: int | None = None
    """Blocks in all that would narrow the interval to half the margin on each side; null where it
    is decided, or where more blocks would not help."""
    further_s: float | None = None
    """Measuring time of the blocks that are missing for that, at this run's pace."""
    p_adjusted: float | None = None
    """Holm's inside the family; Benjamini-Hochberg's among exploratory comparisons."""
    in_family: bool = False
    """Whether it is one of the fixed questions of the first screen; else it is exploratory."""
    family_ci: Interval | None = None
    """The interval of `ratio` that agrees with the family's verdict: it excludes 1 exactly where
    `p_adjusted` is at most `family.alpha`."""
    promised_detectable_ratio: float | None = None
    """The smallest ratio `bench plan` expected this many blocks to detect in 80% of runs."""


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """What the first screen can say, as one family of comparisons (`metric/other`)."""

    control: Literal["holm", "max_t"]
    alpha: float
    """The chance of one false `different` or more among the members."""
    members: tuple[str, ...]
    first_screen: tuple[str, ...]
    """Members that are `different`."""


Kind = Literal["aa", "host_path"]


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison that must find nothing."""

    metric: str
    kind: Kind
    base: str
    other: str
    ratio: float | None
    ci95: Interval | None
    p_adjusted: float | None = None
    """Holm's over all controls of the run."""
    passed: bool | None
    """Null: it could not be tested."""


class ShiftPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One quantile of two distributions. `p_adjusted`: Benjamini-Hochberg over the function."""

    q: float
    ratio: float | None
    ci95: Interval | None
    difference: float | None
    p_value: float | None
    p_adjusted: float | None
    told_apart: bool
    """Whether the adjusted p is at most 5 %, and the difference one the instrument can resolve and
    outside the quantile's A/A noise floor."""
    blocks: int


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """Two arms' whole distributions, quantile by quantile: `ratio` = other/base at each."""

    metric: str
    """`rtt_kernel_ns` or `rtt_app_ns`."""
    base: str
    other: str
    path: str
    unit: str
    points: tuple[ShiftPoint, ...]


class Discovery(msgspec.Struct, frozen=True, kw_only=True):
    """One node, or both nodes of one pair, where a difference was found."""

    nodes: tuple[str, ...]
    ratio: float
    ci95: Interval
    p_value: float
    p_adjusted: float
    """Benjamini-Hochberg over the set."""
    confirmed: bool
    """Whether Benjamini-Yekutieli, which asks for nothing of the tests, finds it too."""
    blocks: int


class Discoveries(msgspec.Struct, frozen=True, kw_only=True):
    """One set of tests, one for each node or pair of nodes, at a false discovery rate of 5 %."""

    metric: str
    base: str
    other: str
    path: str
    question: Literal["differs", "stands out"]
    """`differs`: other from base, there; `stands out`: its ratio there from that elsewhere."""
    level: Literal["node", "pair"]
    margin: float
    """The least effect that counts: the metric's margin, or where it is larger the A/A noise floor
    (`differs` only)."""
    tested: int
    untested: int
    """Fewer than three blocks have the figure in both arms."""
    significant: int
    """Adjusted p at most 5 %, whatever the size."""
    found: int
    """Of these, the effect exceeds the margin and the instrument's resolution."""
    confirmed: int
    strongest: tuple[Discovery, ...]
    """Of those found, at most 50, the largest effect first."""


class OverlayTax(msgspec.Struct, frozen=True, kw_only=True):
    """What a mode adds to the host path on the same node pairs in the same rounds."""

    mode: str
    metric: str
    pod: float | None
    host: float | None
    difference: float | None
    ci95: Interval | None
    unit: str
    verdict: str
    reason: str | None = None
    """Why it is inconclusive; null for a claim."""


class AaCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The same mode measured twice.

    `passed` when no comparison is `different` after Holm's correction.
    """

    passed: bool | None
    comparisons: int
    false_alarms: int


class Blame(msgspec.Struct, frozen=True, kw_only=True):
    """Something that stands out, and the evidence."""

    kind: Literal["node", "pair", "host_cpu", "reflector"]
    subject: str
    metric: str
    effect_ratio: float
    ci95: Interval | None = None
    """Over blocks."""
    z: float
    """The effect in standard errors over blocks."""
    p_adjusted: float | None = None
    """Holm's over the nodes or pairs of the figure."""
    evidence: str


class Encapsulation(msgspec.Struct, frozen=True, kw_only=True):
    """Goodput predicted from header sizes (docs/statistics.md) beside the measured."""

    mode: str
    overhead_bytes: int
    pod_mtu: int | None
    predicted_goodput_share: float | None
    measured_goodput_share: float | None
    share_of: str | None
    """`shaped rate` or `host path`."""


class CpuPrice(msgspec.Struct, frozen=True, kw_only=True):
    """CPU a mode takes per unit of traffic, sender, receiver and generator included.

    The slope of busy CPU over offered load; `difference` = this mode's minus the base's. Null with
    the reason where fewer than three steps were reached or the machine was saturated.
    """

    mode: str
    kind: Literal["bulk", "small"]
    unit: Literal["cores_per_gbps", "cores_per_mpps"]
    value: float | None
    ci95: Interval | None
    base: str
    difference: float | None
    difference_ci95: Interval | None
    verdict: str
    steps_reached: int
    """Different shares of the capacity that count, step 0 among them."""
    busy_method: str | None
    reason: str | None
    p_value: float | None = None
    p_adjusted: float | None = None
    """In the family of the first screen."""
    in_family: bool = False
    margin: float
    blocks: int = 0
    blocks_needed: int | None = None
    """Blocks in all that would narrow the difference's interval to half the margin."""
    aa_difference: float | None = None
    """What the same mode measured twice differed by: the noise floor of `difference`."""


class P50P99(msgspec.Struct, frozen=True, kw_only=True):
    """Two quantiles."""

    p50: float | None = None
    p99: float | None = None


class LoadPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One arm at one step of the ladder, over all blocks that climbed it."""

    arm: str
    kind: Literal["bulk", "small"]
    offered_share: float
    offered_bps: float | None
    offered_pps: float | None
    rtt_app_ns: P50P99
    rtt_kernel_ns: P50P99
    pdv_p99_ns: float | None
    loss_ratio: float | None
    busy_cores: float | None
    ci95: dict[str, Interval | None] = {}
    """By figure, from the blocks: `rtt_app_ns.p50`, `busy_cores`, ..."""
    reached: bool
    """Whether the step counted in every block."""
    blocks: int = 0
    reason: str | None = None


class LoadHeld(msgspec.Struct, frozen=True, kw_only=True):
    """The highest step that a mode held: loss and p99 within their limits in every block."""

    mode: str
    kind: Literal["bulk", "small"]
    share: float | None
    """Of the common capacity; null: not even the lowest step."""
    share_range: Interval | None
    """The highest step held in every block, and in any."""
    bps: float | None
    pps: float | None
    of_base_ratio: float | None
    """Beside what the base held."""
    limits: dict[str, float]
    top: bool
    """Whether it is the highest step that was offered: it may hold more."""


class AtTraffic(msgspec.Struct, frozen=True, kw_only=True):
    """What a mode costs at a node's own traffic, sent and received."""

    name: str
    bps: float | None
    pps: float | None
    mode: str
    cores_per_node: float | None
    ci95: Interval | None
    extra_cores_per_node: float | None
    """Beyond the base mode."""
    extra_ci95: Interval | None = None
    extra_cores_cluster: float | None
    """The same for all nodes of the run."""
    rtt_app_ns: P50P99
    rtt_kernel_ns: P50P99 = P50P99()
    rtt_ci95: dict[str, Interval | None] = {}
    verdict: str
    reason: str | None = None


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """The decision that the verdicts support; null `mode`: none can be made."""

    mode: str | None
    because: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    confidence: Literal["high", "medium", "low"]
    confidence_reason: str | None = None
    next_step: str | None = None


class Doubt(msgspec.Struct, frozen=True, kw_only=True):
    """A doubt about the run, as data."""

    code: str
    message: str
    advice: str | None = None
    evidence: str | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of summary.json."""

    format: int = FORMAT
    run_id: str
    name: str | None = None
    labels: dict[str, str] = {}
    started: str
    ended: str | None
    status: Literal["complete", "partial", "invalid"]
    target: Literal["lab", "kubernetes"]
    cni: Cni
    versions: dict[str, str | None] = {}
    spec: dict[str, object] = {}
    seed: int
    nodes: tuple[NodeSummary, ...] = ()
    method: str
    arms: tuple[ArmSummary, ...] = ()
    estimates: tuple[Estimate, ...] = ()
    pairs: tuple[Pair, ...] = ()
    comparisons: tuple[Comparison, ...] = ()
    overlay_tax: tuple[OverlayTax, ...] = ()
    noise_floor: dict[str, float] = {}
    aa_check: AaCheck | None = None
    family: Family | None = None
    controls: tuple[Control, ...] = ()
    blame: tuple[Blame, ...] = ()
    encapsulation: tuple[Encapsulation, ...] = ()
    cpu_price: tuple[CpuPrice, ...] = ()
    load_curve: tuple[LoadPoint, ...] = ()
    load_held: tuple[LoadHeld, ...] = ()
    at_traffic: tuple[AtTraffic, ...] = ()
    recommendation: Recommendation | None = None
    warnings: tuple[Doubt, ...] = ()
    shifts: tuple[Shift, ...] = ()
    discoveries: tuple[Discoveries, ...] = ()
