"""What iperf3 3.12 wrote, recorded on loopback at an MTU of 1500, as rows."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podbench.wire import iperf3
from podbench.wire.columns import Column, Table

RECORDED = Path(__file__).parents[3] / "fixtures" / "iperf3"


def client(name: str) -> str:
    """The sender's document of a recorded transfer."""
    return (RECORDED / f"{name}-client.json").read_text("utf-8")


def server(name: str) -> str:
    """The receiver's own document of a recorded transfer."""
    return (RECORDED / f"{name}-server.json").read_text("utf-8")


def recorded(name: str, omit_s: float = 0.0) -> Table:
    """The rows of a recorded transfer."""
    return iperf3.rows(client(name), server(name), omit_s=omit_s)


def of(table: Table, direction: str) -> Table:
    """The rows of one end."""
    return {name: column[table["direction"] == direction] for name, column in table.items()}


def all_null(column: Column) -> bool:
    """True where every value is missing."""
    return bool(np.ma.getmaskarray(column).all())


def test_each_end_gives_a_row_per_interval() -> None:
    """A one-stream transfer has the sender's intervals and the receiver's, from their own JSON."""
    table = recorded("tcp1")

    assert list(of(table, "sender")["interval_start_s"]) == pytest.approx(
        [0, 0.25, 0.5, 0.75], abs=0.01
    )
    assert of(table, "receiver")["bits_per_second"][0] == pytest.approx(
        json.loads(server("tcp1"))["intervals"][0]["streams"][0]["bits_per_second"]
    )
    assert set(table["status"]) == {"ok"}
    assert all_null(table["reason"])


def test_what_only_the_sender_knows_is_null_at_the_receiver() -> None:
    """Retransmits, RTT and window are the sender's; at the receiver they are null, not zero."""
    table = recorded("tcp1")

    for name in ("retransmits", "rtt_us", "snd_cwnd_bytes"):
        assert not np.ma.getmaskarray(of(table, "sender")[name]).any()
        assert all_null(of(table, "receiver")[name])
    for name in ("lost_packets", "packets", "jitter_ms"):
        assert all_null(table[name])
    assert set(table["packet_bytes"]) == {1448}


def test_eight_streams_are_numbered() -> None:
    """Each of eight streams has rows of its own at both ends."""
    table = recorded("tcp8")

    for direction in ("sender", "receiver"):
        assert sorted(set(of(table, direction)["stream"])) == list(range(1, 9))
    assert set(table["streams"]) == {8}


def test_udp_loss_comes_from_the_receiver_only() -> None:
    """5 % injected loss shows in the receiver's rows; the sender's say nothing about it."""
    table = recorded("udp_loss")
    far = of(table, "receiver")

    assert all_null(of(table, "sender")["lost_packets"])
    assert all_null(of(table, "sender")["jitter_ms"])
    assert far["lost_packets"].sum() / far["packets"].sum() == pytest.approx(42 / 879)
    assert set(table["packet_bytes"]) == {1422}


def test_cpu_is_a_share_of_one_core() -> None:
    """iperf3's percent become ratios: the sender's process, and the receiver's."""
    table = recorded("tcp1")
    cpu = json.loads(client("tcp1"))["end"]["cpu_utilization_percent"]

    assert set(table["cpu_local_ratio"]) == {cpu["host_total"] / 100}
    assert set(table["cpu_remote_ratio"]) == {cpu["remote_total"] / 100}


def test_first_intervals_are_omitted_by_us() -> None:
    """Intervals that start within the first 0.3 s are marked, the others are not."""
    near = of(recorded("tcp1", omit_s=0.3), "sender")

    assert list(near["omitted"]) == [True, True, False, False]


def test_drain_of_the_receiver_is_omitted() -> None:
    """The remainder below a millisecond with which the receiver ends is in no figure."""
    far = of(recorded("tcp1"), "receiver")

    assert far["interval_s"][-1] < 0.01
    assert list(far["omitted"]) == [False] * 4 + [True]


def test_interval_miscounted_after_omission_is_omitted() -> None:
    """With -O, 3.12 divides the first counted interval's bytes by too long a time."""
    near = of(recorded("omit"), "sender")

    assert list(near["omitted"]) == [True, True, False]
    assert near["interval_s"][1] > 0.9


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("refused", "sender: unable to connect to server: Connection refused"),
        ("server_died", "sender: unable to write to stream socket: Connection reset by peer"),
        ("client_killed", "sender: it wrote nothing"),
        ("client_ended", "sender: interrupt - the client has terminated"),
    ],
)
def test_failed_transfer_is_one_row_with_its_reason(name: str, reason: str) -> None:
    """A refusal, a death of either end and an interruption each give one row and no figure."""
    table = iperf3.rows(client(name), "", omit_s=0.3)

    assert list(table["status"]) == ["failed"]
    assert list(table["reason"]) == [reason]
    for column in ("bits_per_second", "interval_s", "lost_packets", "omitted"):
        assert all_null(table[column])


def test_receiver_that_lost_its_client_fails_the_transfer() -> None:
    """The receiver's own complaint makes the transfer a failed one, content as the sender was."""
    table = iperf3.rows(client("tcp1"), server("client_killed"), omit_s=0.3)

    assert list(table["reason"]) == ["receiver: the client has unexpectedly closed the connection"]
    assert list(table["protocol"]) == ["tcp"]
    assert list(table["streams"]) == [1]


def test_receiver_without_json_fails_the_transfer() -> None:
    """Without the receiver's own document nothing is known of what arrived."""
    table = iperf3.rows(client("tcp1"), None, omit_s=0.3)

    assert list(table["reason"]) == ["receiver: it wrote nothing"]


def test_known_reason_comes_first() -> None:
    """What the agent knows (the program hung) stands before what the document says."""
    table = iperf3.rows("", None, omit_s=0.3, reason="ended after 11 s: it hung")

    assert list(table["reason"]) == ["ended after 11 s: it hung; sender: it wrote nothing"]


def test_a_reason_is_told_once() -> None:
    """A reason that repeats what the document says is not doubled."""
    told = "unable to connect to server: Connection refused"
    table = iperf3.rows(client("refused"), None, omit_s=0.3, reason=told)

    assert list(table["reason"]) == [told]


def test_unequal_versions_are_refused() -> None:
    """Two ends of different versions give one failed row that names both."""
    table = iperf3.rows(
        client("tcp1"), server("tcp1").replace("iperf 3.12", "iperf 3.18"), omit_s=0
    )

    assert list(table["reason"]) == [
        "iperf3 3.12 at the sender, 3.18 at the receiver: their figures differ"
    ]


@pytest.mark.parametrize(
    ("near", "far", "complaint"),
    [
        ("3.12", "3.12", None),
        (None, "3.12", "iperf3 is missing at the sender"),
        ("3.12", None, "iperf3 is missing at the receiver"),
    ],
)
def test_version_check(near: str | None, far: str | None, complaint: str | None) -> None:
    """Equal versions pass; a missing program is told with its end."""
    assert iperf3.unequal_versions(near, far) == complaint


@given(cut=st.integers(min_value=0, max_value=3000))
def test_any_truncation_is_one_failed_row(cut: int) -> None:
    """A document cut anywhere, as a killed program leaves it, is a failed transfer."""
    table = iperf3.rows(client("tcp1")[:cut], server("tcp1"), omit_s=0.3)

    assert list(table["status"]) == ["failed"]


@given(text=st.text())
def test_any_text_is_read_without_raising(text: str) -> None:
    """Whatever a program wrote, reading it gives rows."""
    table = iperf3.rows(text, text, omit_s=0.3)

    assert set(table["status"]) == {"failed"}


def test_columns_are_those_of_the_schema() -> None:
    """The names are the samples' own, so that rows go to Parquet as they are."""
    from podbench.store import schemas

    place = {"run_id", "block", "round", "arm", "mode", "path", "src", "dst"}

    assert set(recorded("tcp1")) == set(schemas.THROUGHPUT.names) - place
