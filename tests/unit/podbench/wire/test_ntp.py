"""Timestamps survive the wire to the nanosecond."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from podbench.wire import ntp

NTP_RANGE_NS = st.integers(0, (2**31 + 2**32 - ntp.NTP_UNIX_OFFSET_S) * 10**9 - 1)
PTP_RANGE_NS = st.integers(0, 2**32 * 10**9 - 1)


@given(NTP_RANGE_NS)
def test_ntp_round_trip_is_exact(ns: int) -> None:
    """Any ns from 1970 to 2104 comes back unchanged, over the 2036 wrap as well."""
    assert ntp.ntp_to_ns(ntp.ns_to_ntp(ns)) == ns


@given(PTP_RANGE_NS)
def test_ptp_round_trip_is_exact(ns: int) -> None:
    """The truncated PTP format holds nanoseconds as they are."""
    assert ntp.ptp_to_ns(ntp.ns_to_ptp(ns)) == ns


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_arrays_agree_with_scalars(raw: list[int]) -> None:
    """The array functions give what the scalar ones give, for any 64 bits."""
    array = np.array(raw, dtype=np.uint64)

    assert ntp.ntp_to_ns_array(array).tolist() == [ntp.ntp_to_ns(v) for v in raw]
    assert ntp.ptp_to_ns_array(array).tolist() == [ntp.ptp_to_ns(v) for v in raw]


def test_era_changes_in_february_2036() -> None:
    """Second 0 of era 1 is 2036-02-07 06:28:16 UTC (RFC 5905 section 6)."""
    assert ntp.ntp_to_ns(0) == 2_085_978_496 * 10**9
    assert ntp.ns_to_ntp(2_085_978_496 * 10**9) == 0
