"""What the metrics are called in words. The names are the dotted paths of `model.summary.Pair`."""

import msgspec


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric in words: `phrase` fits after "the", `short` heads a column or row."""

    phrase: str
    short: str
    unit: str
    more_is_better: bool = False
    theme: str = "Round trip"


_QUANTILES = {
    "p50": ("median", "p50"),
    "p90": ("90th percentile of the", "p90"),
    "p99": ("99th percentile of the", "p99"),
    "p999": ("99.9th percentile of the", "p99.9"),
    "mean": ("mean", "mean"),
    "min": ("smallest", "min"),
    "max": ("largest", "max"),
}
_ROUND_TRIPS = {
    "rtt_kernel_ns": ("kernel round trip", "kernel RTT"),
    "rtt_app_ns": ("application round trip", "app RTT"),
    "rtt_idle_ns": ("kernel round trip of an idle path", "idle RTT"),
    "rtt_loaded_ns": ("kernel round trip beside a transfer", "loaded RTT"),
}
_RATES = {
    "goodput_bps.tcp": ("TCP goodput", "TCP goodput", "bit/s"),
    "goodput_bps.tcp_8": ("TCP goodput of 8 streams", "TCP goodput, 8 streams", "bit/s"),
    "goodput_bps.udp": ("UDP goodput", "UDP goodput", "bit/s"),
    "small_packets_pps": ("rate of small packets", "small packets", "packets/s"),
}
_SINGLE = {
    "pdv_p99_ns": Metric(
        phrase="jitter (99th percentile of delay variation)",
        short="jitter (PDV p99)",
        unit="ns",
        theme="Tail and jitter",
    ),
    "ipdv_p50_ns": Metric(
        phrase="median variation from packet to packet",
        short="IPDV p50",
        unit="ns",
        theme="Tail and jitter",
    ),
    "rfc3550_jitter_ns": Metric(
        phrase="RFC 3550 jitter", short="RFC 3550 jitter", unit="ns", theme="Tail and jitter"
    ),
    "loss.ratio": Metric(phrase="loss ratio", short="loss", unit="ratio", theme="Loss"),
    "retransmit_ratio": Metric(
        phrase="share of TCP segments sent again", short="retransmits", unit="ratio", theme="Loss"
    ),
}

THEMES = ("Round trip", "Tail and jitter", "Throughput", "Loss")
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
"""The order of metrics wherever several are shown; others come after."""

SENTENCES = tuple(m for m in HEADLINES if not m.startswith(("rtt_idle", "rtt_loaded")))
"""What is told as sentences among the findings; the rest is in the table of all comparisons."""


def metric_words(metric: str) -> Metric:
    """The words for a dotted path; an unknown one is shown as it is spelled."""
    if metric in _SINGLE:
        return _SINGLE[metric]
    stem, _, last = metric.rpartition(".")
    if stem in _ROUND_TRIPS and last in _QUANTILES:
        phrase, short = _ROUND_TRIPS[stem]
        how, label = _QUANTILES[last]
        theme = "Round trip" if last in {"p50", "mean", "min"} else "Tail and jitter"
        return Metric(phrase=f"{how} {phrase}", short=f"{short} {label}", unit="ns", theme=theme)
    if stem in _RATES:
        phrase, short, unit = _RATES[stem]
        how = "" if last == "p50" else f"{_QUANTILES.get(last, (last, last))[0]} "
        return Metric(
            phrase=how + phrase, short=short, unit=unit, more_is_better=True, theme="Throughput"
        )
    return Metric(phrase=metric, short=metric, unit="", theme="Other")
