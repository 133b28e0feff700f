"""The figures podbench estimates and compares: their series, quantile, unit, margin and resolution.

Margins are measurement practice, not significance levels: the smallest relative change that is
worth acting on (5 % of a median, 10 % of a tail or of delay variation, 3 % of goodput). Below the
resolution the instrument cannot tell two paths apart whatever the interval says (0.5 µs kernel
stamps, 5 µs user space). No computing here.
"""

import msgspec

KERNEL_RESOLUTION_NS = 500.0
"""Where a kernel stamp is taken differs by device and CNI by a few hundred ns."""
APP_RESOLUTION_NS = 5_000.0
"""A system call and a wake-up; below it two user-space RTTs are not told apart."""

MARGIN_P50 = 0.05
MARGIN_TAIL = 0.10
MARGIN_GOODPUT = 0.03
MARGIN_LOSS = 0.10
"""Relative; loss ratios are compared like tails. `loss.NEGLIGIBLE_RATIO` adds an absolute one."""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: quantile `q` of `series`. `tail_rule`: null unless n*(1-q) >= 10."""

    name: str
    series: str
    q: float
    unit: str
    margin: float
    resolution: float = 0.0
    tail_rule: bool = True
    headline: bool = False


def _rtt(series: str, quantile: str, q: float, *, headline: bool = False) -> Metric:
    resolution = APP_RESOLUTION_NS if series == "rtt_app_ns" else KERNEL_RESOLUTION_NS
    margin = MARGIN_P50 if q <= 0.5 else MARGIN_TAIL
    return Metric(
        name=f"{series}.{quantile}",
        series=series,
        q=q,
        unit="ns",
        margin=margin,
        resolution=resolution,
        headline=headline,
    )


def _rate(name: str, series: str, unit: str) -> Metric:
    # An interval of a transfer sums up thousands of packets already: its median is shown from the
    # first one, with its n beside it (docs/statistics.md).
    return Metric(
        name=name,
        series=series,
        q=0.5,
        unit=unit,
        margin=MARGIN_GOODPUT,
        tail_rule=False,
        headline=True,
    )


SHIFTED = ("rtt_kernel_ns", "rtt_app_ns")
"""Series whose whole distributions are compared, quantile by quantile (`shift`)."""
SHIFT_QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}

METRICS: tuple[Metric, ...] = (
    _rtt("rtt_kernel_ns", "p50", 0.5, headline=True),
    _rtt("rtt_kernel_ns", "p90", 0.9),
    _rtt("rtt_kernel_ns", "p99", 0.99, headline=True),
    _rtt("rtt_kernel_ns", "p999", 0.999),
    _rtt("rtt_app_ns", "p50", 0.5, headline=True),
    _rtt("rtt_app_ns", "p90", 0.9),
    _rtt("rtt_app_ns", "p99", 0.99, headline=True),
    _rtt("rtt_app_ns", "p999", 0.999),
    Metric(
        name="pdv_p99_ns",
        series="pdv_ns",
        q=0.99,
        unit="ns",
        margin=MARGIN_TAIL,
        resolution=KERNEL_RESOLUTION_NS,
        headline=True,
    ),
    Metric(
        name="ipdv_p50_ns",
        series="ipdv_ns",
        q=0.5,
        unit="ns",
        margin=MARGIN_TAIL,
        resolution=KERNEL_RESOLUTION_NS,
    ),
    _rtt("rtt_idle_ns", "p50", 0.5, headline=True),
    _rtt("rtt_idle_ns", "p99", 0.99),
    _rtt("rtt_loaded_ns", "p50", 0.5, headline=True),
    _rtt("rtt_loaded_ns", "p99", 0.99),
    _rate("goodput_bps.tcp.p50", "goodput_bps.tcp", "bit/s"),
    _rate("goodput_bps.tcp_8.p50", "goodput_bps.tcp_8", "bit/s"),
    _rate("goodput_bps.udp.p50", "goodput_bps.udp", "bit/s"),
    _rate("small_packets_pps.p50", "small_packets_pps", "packets/s"),
)

LOSS = Metric(
    name="loss.ratio",
    series="loss",
    q=0.5,
    unit="ratio",
    margin=MARGIN_LOSS,
    tail_rule=False,
    headline=True,
)

SHIFTS: dict[str, tuple[Metric, ...]] = {
    series: tuple(_rtt(series, f"q{round(100 * q)}", q) for q in SHIFT_QUANTILES)
    for series in SHIFTED
}
"""The quantiles of a shift function as figures, by series; no headlines, and not in a pair."""

BY_NAME: dict[str, Metric] = {metric.name: metric for metric in (*METRICS, LOSS)}
