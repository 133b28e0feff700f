"""Delay variation: PDV, IPDV and the RFC 3550 filter. "Jitter" as a heading means PDV p99.

- PDV (RFC 5481 section 4.2): D(i) - D(min), the minimum over the interval, here the stream (one
  session of one visit). Report p99.
- IPDV (RFC 3393; RFC 5481 section 4.1): D(i) - D(i-1) of consecutive *sent* packets, signed;
  undefined where either was lost (or is not valid). Report the median of the absolute.
- RFC 3550 section 6.4.1 and A.8: J += (|D(i) - D(i-1)| - J)/16 over packets in *arrival* order: the
  state of a filter that remembers about 50 packets. A column for those who know iperf3's or RTP's
  figure, nothing to decide on.

D is the round trip on kernel stamps, so clocks need not agree. Everything works on all streams at
once.
"""

import numpy as np
import numpy.typing as npt

from podbench.analysis.samples.streams import FloatArray, IntArray

RTP_GAIN = 1.0 / 16.0
"""RFC 3550 section 6.4.1: the gain that "gives a good noise reduction ratio"."""

_FADED = RTP_GAIN * (1.0 - RTP_GAIN) ** np.arange(12_000)
"""What is left of a step after so many packets; the last is zero in double precision."""


def pdv_ns(delay_ns: FloatArray, starts: IntArray) -> FloatArray:
    """D(i) - D(min) of each row's stream; NaN where the delay is.

    Args:
        delay_ns: (n,) in send order, NaN where undefined.
        starts: (streams + 1,) row offsets, no stream empty.
    """
    if len(delay_ns) == 0:
        return delay_ns.copy()
    least = np.fmin.reduceat(delay_ns, starts[:-1])
    above: FloatArray = delay_ns - np.repeat(least, np.diff(starts))
    return above


def ipdv_ns(delay_ns: FloatArray, starts: IntArray) -> FloatArray:
    """D(i) - D(i-1), signed, at row i; NaN for the first of a stream and beside any loss."""
    out = np.full(len(delay_ns), np.nan)
    if len(delay_ns):
        out[1:] = np.diff(delay_ns)
        out[starts[:-1]] = np.nan
    return out


def rfc3550_jitter_ns(
    delay_ns: FloatArray, arrival_ns: npt.NDArray[np.float64] | IntArray, starts: IntArray
) -> FloatArray:
    """The filter's state at the end of each stream, from J = 0.

    The recursion unrolled: J = sum over packets of (1/16)(15/16)^(later packets) |D(i) - D(i-1)|.

    Args:
        delay_ns: (n,) NaN where the packet did not arrive.
        arrival_ns: (n,) when each reply arrived, any clock common to a stream.
        starts: (streams + 1,) row offsets.

    Returns:
        (streams,) ns; NaN where fewer than two packets arrived.
    """
    streams = len(starts) - 1
    here = np.flatnonzero(np.isfinite(delay_ns))
    stream = np.repeat(np.arange(streams), np.diff(starts))[here]
    arrival, delay, owners = arrival_ns[here], delay_ns[here], stream
    if bool(((arrival[1:] < arrival[:-1]) & (stream[1:] == stream[:-1])).any()):
        order = np.lexsort((arrival, stream))
        stream, delay = stream[order], delay[order]
    step = np.abs(np.diff(delay))
    same = stream[1:] == stream[:-1]
    step, owner = step[same], stream[1:][same]
    counts = np.bincount(owner, minlength=streams)
    later = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(owner))
    weight = _FADED[np.minimum(later, len(_FADED) - 1)]
    state = np.bincount(owner, weights=weight * step, minlength=streams)
    unknown = np.isnan(np.asarray(arrival, dtype=np.float64))
    lost_order = np.bincount(owners, weights=unknown, minlength=streams) > 0.0
    return np.where((counts > 0) & ~lost_order, state, np.nan)
