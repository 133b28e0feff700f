"""iperf3 rows to rates: receiver only, streams summed, kinds apart."""

import numpy as np
import pandas as pd
import pytest

from podbench.analysis.figures import goodput
from podbench.analysis.samples import transfers
from podbench.model.summary import ArmSummary

AB = ("a", "b")


def _rows(**changes: object) -> pd.DataFrame:
    """Two streams, four intervals, both sides; the first interval is warm-up."""
    rows = [
        {
            "arm": "bgp/pod",
            "block": 1,
            "round": 2,
            "src": "a",
            "dst": "b",
            "protocol": "tcp",
            "streams": 2,
            "stream": stream,
            "packet_bytes": 1448,
            "direction": side,
            "interval_start_s": i * 0.1 + stream * 1e-5,
            "interval_s": 0.1,
            "bits_per_second": (9e8 if side == "sender" else 4e8) + i * 1e6,
            "retransmits": 1 if side == "sender" else None,
            "omitted": i == 0,
            "status": "ok",
            "reason": None,
            **changes,
        }
        for side in ("sender", "receiver")
        for stream in (1, 2)
        for i in range(4)
    ]
    return pd.DataFrame(rows)


def test_receiver_intervals_with_streams_summed() -> None:
    """Three intervals of 8e8 and a little, warm-up and sender left out."""
    found = transfers.intervals(_rows())
    assert list(found["bits_per_second"]) == pytest.approx([8.02e8, 8.04e8, 8.06e8])
    assert set(found["kind"]) == {transfers.TCP_8}


def test_interval_one_stream_lacks_is_left_out() -> None:
    """A sum over fewer streams would look like a stall."""
    rows = _rows()
    last = (rows["direction"] == "receiver") & (rows["stream"] == 2)
    rows = rows.drop(rows[last].index[-1:])
    assert len(transfers.intervals(rows)) == 2


def test_cut_interval_is_left_out() -> None:
    """The rest at a transfer's end has no rate worth a sample."""
    rows = _rows()
    rows.loc[rows["interval_start_s"] > 0.29, "interval_s"] = 0.002
    assert len(transfers.intervals(rows)) == 2


def test_kinds_are_never_pooled() -> None:
    """One TCP stream, several, UDP full and UDP small: four series; small counts packets."""
    table = pd.concat(
        [
            _rows(streams=1, stream=1),
            _rows(),
            _rows(protocol="udp", streams=1, stream=1, packet_bytes=1400),
            _rows(protocol="udp", streams=1, stream=1, packet_bytes=64),
        ],
        ignore_index=True,
    )
    table = table.drop_duplicates(
        ["protocol", "packet_bytes", "streams", "stream", "direction", "interval_start_s"]
    )
    cells = transfers.cells_of(transfers.intervals(table))
    assert all(len(cells[name]) == 1 for name in transfers.SERIES)
    small = cells[transfers.SMALL_PACKETS]["bgp/pod", 1][AB]
    assert small[0] == pytest.approx(4.01e8 / (8 * 64))
    kinds = [one.kind for one in transfers.transfers(transfers.intervals(table))]
    assert kinds == [transfers.TCP, transfers.TCP_8, transfers.UDP, transfers.SMALL_PACKETS]


def test_failed_transfers_are_no_zero() -> None:
    """A record of a failure has no rate and makes none."""
    failed = _rows(status="failed", reason="no answer", bits_per_second=None)
    assert transfers.intervals(failed).empty
    assert transfers.intervals(None).empty
    assert transfers.transfers(transfers.intervals(None)) == ()


def test_retransmit_ratio() -> None:
    """Segments again over segments sent, warm-up left out: 6 of the sender's six intervals."""
    found = transfers.retransmit_ratios(_rows())
    sent = 2 * sum((9e8 + i * 1e6) * 0.1 / 8 / 1448 for i in (1, 2, 3))
    assert found["bgp/pod", "a", "b"] == pytest.approx(6 / sent)
    assert transfers.retransmit_ratios(None) == {}


@pytest.mark.parametrize(
    ("mtu", "overhead", "percent"),
    [
        (1500, 0, 94.15),
        (1480, 20, 92.85),
        (1450, 50, 90.90),
        (9000, 0, 99.00),
        (8950, 50, 98.45),
        (1450, 0, 93.95),
        (1450, 20, 92.71),
    ],
)
def test_predicted_share(mtu: int, overhead: int, percent: float) -> None:
    """The published table, own and equal MTUs."""
    assert 100 * goodput.predicted_share(mtu, overhead) == pytest.approx(percent, abs=0.005)


def test_pair_rate_over_blocks() -> None:
    """All intervals of all blocks; the interval of the median from the blocks only."""
    cells = {("x", b): {AB: np.sort(1e9 + b * 1e7 + np.arange(7) * 1e5)} for b in range(1, 9)}
    found = goodput.rate(cells, "x", AB)
    assert found is not None
    assert (found.n, found.min, found.max) == (56, 1.01e9, 1.08e9 + 6e5)
    assert found.ci95 is not None
    assert found.ci95[0] < (found.p50 or 0.0) < found.ci95[1]
    one = goodput.rate({("x", 1): cells["x", 1]}, "x", AB)
    assert one is not None
    assert one.ci95 is None
    assert goodput.rate(cells, "y", AB) is None


def _arm(mode: str) -> ArmSummary:
    return ArmSummary(
        arm=f"{mode}/pod",
        mode=mode,
        path="pod",
        implementation=None,
        pod_mtu=1450,
        status="measured",
    )


def test_share_of_shaped_rate_host_path_or_nothing() -> None:
    """The shaped rate wins; else the host path of the same block; else null."""
    cells = {("vxlan/pod", 1): {AB: np.full(7, 9e8)}, ("vxlan/host", 1): {AB: np.full(7, 1e9)}}
    arms = (_arm("vxlan"), _arm("bgp"))
    shaped = goodput.encapsulation(arms, cells, 2e9)
    assert shaped[0].measured_goodput_share == pytest.approx(0.45)
    assert shaped[0].share_of == "shaped rate"
    assert (shaped[1].measured_goodput_share, shaped[1].share_of) == (None, None)
    free = goodput.encapsulation(arms, cells, None)
    assert free[0].measured_goodput_share == pytest.approx(0.9)
    assert free[0].share_of == "host path"
