"""Display names of metrics. Metric names are the dotted paths of `model.summary.Pair`."""

import msgspec


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """Display names of one metric: `phrase` follows "the"; `short` heads a column or row."""

    phrase: str
    short: str
    unit: str
    more_is_better: bool = False
    theme: str = "RTT"


_QUANTILES = {
    "p50": ("median", "p50"),
    "p90": ("p90", "p90"),
    "p99": ("p99", "p99"),
    "p999": ("p99.9", "p99.9"),
    "mean": ("mean", "mean"),
    "min": ("minimum", "min"),
    "max": ("maximum", "max"),
}
_ROUND_TRIPS = {
    "rtt_kernel_ns": ("kernel RTT", "kernel RTT"),
    "rtt_app_ns": ("application RTT", "app RTT"),
    "rtt_idle_ns": ("idle kernel RTT", "idle RTT"),
    "rtt_loaded_ns": ("kernel RTT under load", "RTT under load"),
}
_RATES = {
    "goodput_bps.tcp": ("TCP goodput", "TCP goodput", "bit/s"),
    "goodput_bps.tcp_8": ("TCP goodput with 8 streams", "TCP goodput, 8 streams", "bit/s"),
    "goodput_bps.udp": ("UDP goodput", "UDP goodput", "bit/s"),
    "small_packets_pps": ("small-packet rate", "small packets", "packets/s"),
}
_SINGLE = {
    "pdv_p99_ns": Metric(
        phrase="jitter (PDV p99)",
        short="jitter (PDV p99)",
        unit="ns",
        theme="Tail and jitter",
    ),
    "ipdv_p50_ns": Metric(
        phrase="median packet-to-packet delay variation (IPDV)",
        short="IPDV p50",
        unit="ns",
        theme="Tail and jitter",
    ),
    "rfc3550_jitter_ns": Metric(
        phrase="RFC 3550 jitter", short="RFC 3550 jitter", unit="ns", theme="Tail and jitter"
    ),
    "loss.ratio": Metric(phrase="loss ratio", short="loss", unit="ratio", theme="Loss"),
    "retransmit_ratio": Metric(
        phrase="TCP retransmission ratio", short="retransmits", unit="ratio", theme="Loss"
    ),
}

THEMES = ("RTT", "Tail and jitter", "Throughput", "Loss")
HEADLINES = (
    "rtt_kernel_ns.p50",
    "rtt_app_ns.p50",
    "rtt_idle_ns.p50",
    "rtt_loaded_ns.p50",
    "rtt_kernel_ns.p99",
    "rtt_app_ns.p99",
    "pdv_p99_ns",
    "goodput_bps.tcp.p50",
    "goodput_bps.tcp_8.p50",
    "goodput_bps.udp.p50",
    "small_packets_pps.p50",
    "loss.ratio",
)
"""Display order of metrics; all others follow."""

SENTENCES = tuple(m for m in HEADLINES if not m.startswith(("rtt_idle", "rtt_loaded")))
"""Metrics reported as sentences; the table of all comparisons has the rest."""


def metric_words(metric: str) -> Metric:
    """Returns the display names of a dotted path; an unknown path stays as spelled."""
    if metric in _SINGLE:
        return _SINGLE[metric]
    stem, _, last = metric.rpartition(".")
    if stem in _ROUND_TRIPS and last in _QUANTILES:
        phrase, short = _ROUND_TRIPS[stem]
        how, label = _QUANTILES[last]
        theme = "RTT" if last in {"p50", "mean", "min"} else "Tail and jitter"
        return Metric(phrase=f"{how} {phrase}", short=f"{short} {label}", unit="ns", theme=theme)
    if stem in _RATES:
        phrase, short, unit = _RATES[stem]
        how = "" if last == "p50" else f"{_QUANTILES.get(last, (last, last))[0]} "
        return Metric(
            phrase=how + phrase, short=short, unit=unit, more_is_better=True, theme="Throughput"
        )
    return Metric(phrase=metric, short=metric, unit="", theme="Other")
