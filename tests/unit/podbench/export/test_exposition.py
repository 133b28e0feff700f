"""OpenMetrics text against the parser of prometheus-client."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from podbench.export.exposition import Exposition, Family, label_name, number
from podbench.model import plain

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20)


@given(TEXT, TEXT.filter(lambda text: text == text.strip()), st.floats(allow_nan=False))
def test_any_text_comes_back(value: str, words: str, figure: float) -> None:
    """Labels, help and numbers are read back as they were, but for control characters."""
    out = Exposition()
    family = Family(name="podbench_x_seconds", kind="gauge", unit="seconds", help=words)
    out.gauge(family, {"a": value, "b": "plain"}, figure)
    (found,) = text_string_to_metric_families(out.text())
    assert (found.name, found.type, found.unit) == ("podbench_x_seconds", "gauge", "seconds")
    assert found.documentation == plain.lines(words)
    (sample,) = found.samples
    assert sample.labels == {"a": plain.lines(value), "b": "plain"}
    assert sample.value == figure


def test_every_kind_is_valid() -> None:
    """Counters, histograms, infos and state sets keep the rules of their kinds."""
    out = Exposition()
    run = {"run_id": "r"}
    out.info(Family(name="run", kind="info", help="facts"), {**run, "kernel": None})
    out.counter(Family(name="lost", kind="counter", help="lost"), run, 3)
    histogram = Family(name="rtt_seconds", kind="histogram", unit="seconds", help="rtt")
    for arm in ("a", "b"):
        out.histogram(histogram, {"arm": arm}, [(1.5e-06, 1), (0.0001, 4)], 5, 0.25)
    out.states(Family(name="verdict", kind="stateset", help="word"), run, ("x", "y z"), "y z")
    found = {family.name: family for family in text_string_to_metric_families(out.text())}
    assert [sample.name for sample in found["lost"].samples] == ["lost_total"]
    assert found["run"].samples[0].labels == run
    buckets = [s for s in found["rtt_seconds"].samples if s.name.endswith("_bucket")]
    assert [s.labels["le"] for s in buckets[:3]] == ["1.5e-06", "0.0001", "+Inf"]
    assert {s.labels["verdict"]: s.value for s in found["verdict"].samples} == {"x": 0, "y z": 1}


def test_null_is_absence() -> None:
    """What was not measured has no sample; an exposition without samples is still whole."""
    out = Exposition()
    out.gauge(Family(name="x", kind="gauge", help="x"), {}, None)
    assert out.text() == "# EOF\n"


def test_families_are_consistent() -> None:
    """A name that does not end in its unit, and one name for two families, are mistakes of ours."""
    with pytest.raises(ValueError, match="must end in its unit"):
        Family(name="x_ratio", kind="gauge", unit="seconds", help="x")
    out = Exposition()
    out.gauge(Family(name="x", kind="gauge", help="x"), {}, 1.0)
    with pytest.raises(ValueError, match="two families"):
        out.gauge(Family(name="x", kind="gauge", help="y"), {}, 1.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"),
        (0.5, "0.5"),
        (float("inf"), "+Inf"),
        (float("-inf"), "-Inf"),
        (float("nan"), "NaN"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    """Numbers are written as the format wants them."""
    assert number(value) == text


def test_label_names() -> None:
    """Any key becomes a name that a label may have."""
    assert [label_name(text) for text in ("env", "a-b.c", "1st", "", "ü")] == [
        "env",
        "a_b_c",
        "_1st",
        "_",
        "_",
    ]
