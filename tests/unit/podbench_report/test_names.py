"""Names as shown."""

from hypothesis import given
from hypothesis import strategies as st

from podbench.model.summary import NodeSummary
from podbench_report import metrics, names


def test_arms_read_as_words() -> None:
    """Mode in its usual spelling, other paths and the A/A repeat named."""
    assert names.arm_label("vxlan/pod") == "VXLAN"
    assert names.arm_label("bgp/host") == "host path (alongside BGP)"
    assert names.arm_label("vxlan/pod#2") == "VXLAN repeat (A/A)"
    assert names.mode_of("vxlan") == "vxlan"
    assert names.path_of("vxlan#2") == "pod"


def test_nodes_stand_in_zone_order_and_n2_before_n10() -> None:
    """Region, then zone, then the name with its numbers as numbers."""
    nodes = [NodeSummary(name=n, zone=z) for n, z in (("n10", "a"), ("n1", "b"), ("n2", "a"))]

    assert [node.name for node in names.zone_order(nodes)] == ["n2", "n10", "n1"]


def test_long_names_lose_their_common_prefix() -> None:
    """What tells nodes apart stays visible."""
    stem = "gke-prod-europe-west4-default-pool-7c0d4f6e-"
    labels = names.short_labels([stem + "ax9z", stem + "bx9z"])

    assert list(labels.values()) == ["…ax9z", "…bx9z"]


@given(st.lists(st.text(min_size=1, max_size=60), unique=True, min_size=1, max_size=40))
def test_labels_are_short_and_unique(given_names: list[str]) -> None:
    """However alike or long the names, no two labels are equal and none is long."""
    labels = names.short_labels(given_names)

    assert len(set(labels.values())) == len(given_names)
    assert max(map(len, labels.values())) <= 16


def test_metrics_have_words_and_unknown_ones_keep_their_name() -> None:
    """Dotted paths become phrases; one nobody foresaw is shown as it is spelled."""
    assert metrics.metric_words("rtt_kernel_ns.p50").phrase == "median kernel RTT"
    assert metrics.metric_words("rtt_app_ns.p999").short == "app RTT p99.9"
    assert metrics.metric_words("goodput_bps.tcp_8.p50").more_is_better
    assert metrics.metric_words("new_thing.p7").phrase == "new_thing.p7"
