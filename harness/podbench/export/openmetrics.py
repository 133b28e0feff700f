"""A run as OpenMetrics: base units (seconds, bytes, ratios), histograms from the raw samples.

Families: `podbench_run` (facts), `podbench_rtt_*_seconds` (histograms by arm), `podbench_arm_*` and
`podbench_pair_*` (figures with `ci95_low` and `ci95_high` families beside them), `podbench_pair_
probes_*` (counters), `podbench_comparison_*` (ratios and verdicts). Every sample carries `run_id`.
docs/export.md lists them.
"""

from collections.abc import Sequence

from podbench.analysis.figures import dotted
from podbench.analysis.figures.dotted import FIGURES, Figure, Reading
from podbench.analysis.samples.histograms import BOUNDS_NS, Histogram
from podbench.analysis.samples.metrics import BY_NAME
from podbench.analysis.stats.verdicts import Word
from podbench.export.exposition import Exposition, Family, Labels, label_name
from podbench.model.facts import Verdict
from podbench.model.summary import Comparison, Estimate, Pair, Summary

_UNITS = {
    "ns": ("seconds", 1e-9),
    "bit/s": ("bytes_per_second", 0.125),
    "packets/s": ("packets_per_second", 1.0),
    "ratio": ("ratio", 1.0),
}
_OF_PAIRS = tuple(
    figure
    for figure in FIGURES.values()
    if figure.name in BY_NAME or figure.name in {"rfc3550_jitter_ns", "retransmit_ratio"}
)
"""Extremes, means and counts of samples are in the CSV: on a full mesh every family costs a line a
pair, and the histograms hold what they tell."""
_VERDICTS = tuple(str(word) for word in Word)
_PROOFS = tuple(str(verdict) for verdict in Verdict)
_BOUNDS = (("", "the figure"), ("_ci95_low", "lower bound"), ("_ci95_high", "upper bound"))


def render(summary: Summary, histograms: Sequence[Histogram] = ()) -> str:
    """The whole exposition; without samples there are no histograms."""
    out = Exposition()
    _run(out, summary)
    _histograms(out, summary, histograms)
    _arms(out, summary)
    zones = {node.name: node.zone for node in summary.nodes}
    for pair in summary.pairs:
        labels = {
            **_arm_labels(summary, pair.arm),
            "src": pair.src,
            "dst": pair.dst,
            "src_zone": zones.get(pair.src),
            "dst_zone": zones.get(pair.dst),
            "family": pair.family,
        }
        _pair(out, labels, pair)
    for comparison in summary.comparisons:
        _comparison(out, summary, comparison)
    return out.text()


def _gauge(name: str, text: str, unit: str = "") -> Family:
    return Family(name=name, kind="gauge", unit=unit, help=text)


def _run(out: Exposition, summary: Summary) -> None:
    said = {
        "run_id": summary.run_id,
        "name": summary.name,
        "status": summary.status,
        "target": summary.target,
        "method": summary.method,
        "started": summary.started,
        "ended": summary.ended,
        "cni": summary.cni.name,
        "cni_version": summary.cni.version,
        **{f"{label_name(what)}_version": held for what, held in summary.versions.items()},
        **{f"label_{label_name(key)}": value for key, value in summary.labels.items()},
    }
    out.info(Family(name="podbench_run", kind="info", help="What was measured, and when."), said)
    run = {"run_id": summary.run_id}
    check = summary.aa_check
    passed = None if check is None or check.passed is None else int(check.passed)
    text = "1 where the same mode measured twice came out the same."
    out.gauge(_gauge("podbench_aa_check_passed", text), run, passed)
    for metric, ratio in summary.noise_floor.items():
        family = _gauge("podbench_noise_floor_ratio", "Change an A/A pair may show.", "ratio")
        out.gauge(family, {**run, "metric": metric}, ratio)
    for doubt in {doubt.code: doubt for doubt in summary.warnings}.values():
        count = sum(other.code == doubt.code for other in summary.warnings)
        out.gauge(
            _gauge("podbench_warnings", "Doubts about the run."), {**run, "code": doubt.code}, count
        )
    for node in summary.nodes:
        steal = node.steal_ratio
        for stat in ("p50", "p99", "max") if steal else ():
            family = _gauge("podbench_node_steal_ratio", "CPU time stolen.", "ratio")
            labels = {**run, "node": node.name, "zone": node.zone, "stat": stat}
            out.gauge(family, labels, getattr(steal, stat))


def _arm_labels(summary: Summary, arm: str) -> dict[str, str | None]:
    mode, _, path = arm.partition("#")[0].partition("/")
    return {"run_id": summary.run_id, "arm": arm, "mode": mode, "path": path}


def _histograms(out: Exposition, summary: Summary, found: Sequence[Histogram]) -> None:
    for series in dict.fromkeys(one.series for one in found):
        held = [one for one in found if one.series == series]
        family = Family(
            name=f"podbench_{series.removesuffix('_ns')}_seconds",
            kind="histogram",
            unit="seconds",
            help=f"{series} of every valid probe that came back, all pairs of the arm.",
        )
        first, last = _used(held)
        for one in held:
            # Bounds below the fastest and above the slowest sample of all arms say nothing.
            buckets = [(BOUNDS_NS[i] / 1e9, one.cumulative[i]) for i in range(first, last + 1)]
            labels = _arm_labels(summary, one.arm)
            out.histogram(family, labels, buckets, one.n, one.sum_ns / 1e9)


def _used(held: Sequence[Histogram]) -> tuple[int, int]:
    """First and last bound that any of these needs, so that all share theirs."""
    size = len(BOUNDS_NS)
    first = min(next((i for i in range(size) if one.cumulative[i] > 0), size - 1) for one in held)
    last = max(
        next((i for i in range(size) if one.cumulative[i] >= one.n), size - 1) for one in held
    )
    return first, last


def _arms(out: Exposition, summary: Summary) -> None:
    for arm in summary.arms:
        labels = _arm_labels(summary, arm.arm)
        out.gauge(
            _gauge("podbench_arm_measured", "1 where the arm was measured."),
            {**labels, "implementation": arm.implementation, "reason": arm.reason},
            int(arm.status == "measured"),
        )
        mtu = _gauge("podbench_arm_mtu_bytes", "MTU of the arm's pods.", "bytes")
        out.gauge(mtu, labels, arm.pod_mtu)
        if arm.proof is not None:
            proof = Family(
                name="podbench_arm_proof", kind="stateset", help="What the arm was proven to be."
            )
            out.states(proof, labels, _PROOFS, arm.proof.verdict)
    for estimate in summary.estimates:
        _estimate(out, summary, estimate)


def _estimate(out: Exposition, summary: Summary, estimate: Estimate) -> None:
    figure = FIGURES.get(estimate.metric)
    if figure is not None:
        reading = Reading(value=estimate.value, ci95=estimate.ci95)
        _figure(out, "podbench_arm", _arm_labels(summary, estimate.arm), figure, reading)


def _pair(out: Exposition, labels: Labels, pair: Pair) -> None:
    for figure in _OF_PAIRS:
        _figure(out, "podbench_pair", labels, figure, dotted.read(pair, figure))
    if pair.loss is not None:
        sent = Family(name="podbench_pair_probes_sent", kind="counter", help="Valid probes sent.")
        out.counter(sent, labels, pair.loss.sent)
        lost = Family(name="podbench_pair_probes_lost", kind="counter", help="Probes lost, by way.")
        for way in ("forward", "backward", "unknown"):
            out.counter(lost, {**labels, "direction": way}, getattr(pair.loss, f"lost_{way}"))
        runs = Family(
            name="podbench_pair_loss_episodes", kind="counter", help="Runs of lost probes."
        )
        out.counter(runs, labels, pair.loss.episodes)


def _figure(out: Exposition, scope: str, labels: Labels, figure: Figure, reading: Reading) -> None:
    """One figure in its base unit, and its interval in families of their own."""
    unit, factor = _UNITS[figure.unit]
    stem, stat, more = _named(figure)
    low, high = reading.ci95 or (None, None)
    values = (reading.value, low, high)
    for (end, words), value in zip(_BOUNDS, values, strict=True):
        family = _gauge(
            f"{scope}_{stem}{end}_{unit}",
            f"{figure.series} in {unit.replace('_', ' ')}: "
            + (f"{words} of the 95% interval." if end else f"{words}."),
            unit,
        )
        given = {**labels, **more, "stat": stat}
        out.gauge(family, given, None if value is None else value * factor)


def _named(figure: Figure) -> tuple[str, str | None, dict[str, str]]:
    """(family stem without unit, `stat` label, further labels) of a figure."""
    if figure.series.startswith("goodput_bps."):
        transfer = figure.series.removeprefix("goodput_bps.")
        return "goodput", figure.name.rpartition(".")[2], {"transfer": transfer}
    if figure.series == "small_packets_pps":
        return "small", figure.name.rpartition(".")[2], {}
    if figure.name in {"loss.ratio", "retransmit_ratio"}:
        return figure.name.replace(".", "_").removesuffix("_ratio"), None, {}
    stem, _, stat = figure.name.partition(".")
    return stem.removesuffix("_ns"), stat or None, {}


def _comparison(out: Exposition, summary: Summary, comparison: Comparison) -> None:
    labels = {
        "run_id": summary.run_id,
        "metric": comparison.metric,
        "base": comparison.base,
        "other": comparison.other,
        "path": comparison.path,
    }
    low, high = comparison.ci95 or (None, None)
    for (end, words), value in zip(_BOUNDS, (comparison.ratio, low, high), strict=True):
        text = f"other/base: {words}{' of the 95% interval' if end else ''}."
        out.gauge(_gauge(f"podbench_comparison{end}_ratio", text, "ratio"), labels, value)
    verdict = Family(
        name="podbench_comparison_verdict", kind="stateset", help="What the run can say of it."
    )
    out.states(verdict, labels, _VERDICTS, comparison.verdict)
