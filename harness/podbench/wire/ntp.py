"""STAMP's two 64-bit timestamp formats and nanoseconds of Unix time, scalar and in arrays.

Used by wire/stamp.py, wire/replies.py and the reflector's hot loop. Which of the two formats a
timestamp has is told by the Z bit of an error estimate, which is stamp.py's business.

    NTP64 (Z = 0)             u32 seconds since 1900-01-01, u32 fraction of 2^-32 s
    PTPv2 truncated (Z = 1)   u32 seconds since 1970-01-01, u32 nanoseconds

Source: RFC 8762 section 4.2.1, RFC 5905 section 6, RFC 8877 section 4.3.
"""

import numpy as np
import numpy.typing as npt

NTP_UNIX_OFFSET_S = 2_208_988_800
"""Seconds from 1900-01-01 to 1970-01-01: 70 years with 17 leap days."""

_ERA_S = 1 << 32
_S = 1_000_000_000
_U32 = 0xFFFF_FFFF


def ns_to_ntp(unix_ns: int) -> int:
    """NTP64 of a Unix time. The fraction is cut, so `ntp_to_ns` gives back the exact nanosecond."""
    seconds, rest = divmod(unix_ns, _S)
    return ((seconds + NTP_UNIX_OFFSET_S) & _U32) << 32 | (rest << 32) // _S


def ntp_to_ns(ntp: int) -> int:
    """Unix time in ns, rounded to the nearest.

    Seconds with the highest bit clear belong to era 1 (from February 2036 on), RFC 4330 section 3:
    so the format covers 1968 to 2104.
    """
    seconds = ntp >> 32
    if seconds < _ERA_S // 2:
        seconds += _ERA_S
    return (seconds - NTP_UNIX_OFFSET_S) * _S + (((ntp & _U32) * _S + (1 << 31)) >> 32)


def ns_to_ptp(unix_ns: int) -> int:
    """PTPv2-truncated timestamp of a Unix time (its seconds wrap in 2106)."""
    seconds, rest = divmod(unix_ns, _S)
    return (seconds & _U32) << 32 | rest


def ptp_to_ns(ptp: int) -> int:
    """Unix time in ns of a PTPv2-truncated timestamp."""
    return (ptp >> 32) * _S + (ptp & _U32)


def ntp_to_ns_array(ntp: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """`ntp_to_ns` for (n,) uint64: (n,) int64 Unix time in ns."""
    seconds = (ntp >> np.uint64(32)).astype(np.int64)
    seconds += np.where(seconds < _ERA_S // 2, _ERA_S, 0)
    # fraction * 10^9 stays under 2^62, so int64 holds it.
    fraction = (ntp & np.uint64(_U32)).astype(np.int64) * _S + (1 << 31) >> 32
    return (seconds - NTP_UNIX_OFFSET_S) * _S + fraction


def ptp_to_ns_array(ptp: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """`ptp_to_ns` for (n,) uint64: (n,) int64 Unix time in ns."""
    return (ptp >> np.uint64(32)).astype(np.int64) * _S + (ptp & np.uint64(_U32)).astype(np.int64)
