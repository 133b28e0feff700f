"""SLO files: what is read, and what each mistake is told."""

from pathlib import Path

import pytest

from podbench.gate import slo
from podbench.model.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    """An SLO file."""
    path = folder / "slo.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_limit_in_full(tmp_path: Path) -> None:
    """Every field of a limit is read, its unit turned into the metric's."""
    path = write(
        tmp_path,
        "slos:\n"
        "  - metric: rtt_app_ns.p99\n"
        "    path: pod\n"
        "    mode: vxlan\n"
        "    src: n1\n"
        "    dst: 2\n"
        "    zone: a>b\n"
        "    max: 2ms\n"
        "    confidence: 99%\n"
        "    name: checkout\n",
    )
    (found,) = slo.read(path)
    assert (found.side, found.bound, found.confidence) == ("max", 2e6, 0.99)
    assert found.selection == slo.Selection(path="pod", mode="vxlan", src="n1", dst="2", zone="a>b")
    assert str(found) == "checkout: rtt_app_ns.p99 max 2ms, vxlan/pod n1 > 2 in zone a>b"
    assert found.line == 2


def test_a_baseline_lies_beside_the_file(tmp_path: Path) -> None:
    """A relative baseline is looked for beside the SLO file first, then where bench was started."""
    (tmp_path / "old").mkdir()
    path = write(
        tmp_path,
        "slos:\n"
        "- {metric: loss.ratio, path: pod, baseline: old, worse_by: 5%}\n"
        "- {metric: loss.ratio, path: pod, baseline: elsewhere, worse_by: 150%}\n",
    )
    first, second = slo.read(path)
    assert first.baseline == tmp_path / "old"
    assert (second.baseline, second.worse_by) == (Path("elsewhere"), 1.5)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (
            "slos:\n- {metric: rtt_ap_ns.p99, path: pod, max: 2ms}",
            2,
            "did you mean 'rtt_app_ns.p99'",
        ),
        ("slos:\n- {metric: rtt_app_ns, path: pod, max: 2ms}", 2, "did you mean 'rtt_app_ns."),
        ("slos:\n- {path: pod, max: 2ms}", 2, "no metric"),
        ("slos:\n- {metric: loss.ratio, max: 1%}", 2, "no path"),
        ("slos:\n- {metric: loss.ratio, path: pods, max: 1%}", 2, "did you mean 'pod'"),
        ("slos:\n- {metric: loss.ratio, path: pod, mode: vxlam, max: 1%}", 2, "mean 'vxlan'"),
        ("slos:\n- metric: loss.ratio\n  path: pod\n  max: 2ms", 4, "is a time"),
        ("slos:\n- metric: rtt_app_ns.p50\n  path: pod\n  max: 0.1%", 4, "is a share"),
        ("slos:\n- metric: rtt_app_ns.p50\n  path: pod\n  max: 2", 4, "has no unit"),
        (
            "slos:\n- metric: goodput_bps.tcp.p50\n  path: pod\n  min: 5GB/s",
            4,
            "unknown unit 'GB/s'",
        ),
        ("slos:\n- metric: loss.ratio\n  path: pod\n  max: -1%", 4, "below zero"),
        ("slos:\n- metric: loss.ratio\n  path: pod\n  max: 150%", 4, "more than 100%"),
        ("slos:\n- metric: loss.ratio\n  path: pod\n  max: .nan", 4, "not a number"),
        ("slos:\n- metric: loss.ratio\n  path: pod\n  max: [1]", 4, "one value"),
        ("slos:\n- metric: loss.ratio\n  path: pod\n  maximum: 1%", 4, "mean 'max'"),
        ("slos:\n- {metric: loss.ratio, path: pod}", 2, "no limit"),
        ("slos:\n- {metric: loss.ratio, path: pod, max: 1%, min: 0%}", 2, "both max and min"),
        ("slos:\n- {metric: loss.ratio, path: pod, max: 1%, max: 2%}", 2, "given twice"),
        ("slos:\n- {metric: loss.ratio, path: pod, baseline: x}", 2, "worse_by is missing"),
        ("slos:\n- {metric: loss.ratio, path: pod, worse_by: 5%}", 2, "baseline is missing"),
        (
            "slos:\n- {metric: loss.ratio, path: pod, max: 1%, baseline: x, worse_by: 5%}",
            2,
            "max beside baseline",
        ),
        (
            "slos:\n- {metric: loss.episodes, path: pod, baseline: x, worse_by: 5%}",
            2,
            "a count of one run",
        ),
        ("slos:\n- {metric: loss.ratio, path: pod, baseline: x, worse_by: 2ms}", 2, "relative"),
        ("slos:\n- {metric: loss.ratio, path: pod, max: 1%, confidence: 40%}", 2, "above 50"),
        ("slos:\n- {metric: loss.ratio, path: pod, max: 1%, confidence: 100%}", 2, "below 100"),
        ("slos:\n- loss below 1 %", 2, "found a single value"),
        ("slo:\n- x", 1, "did you mean 'slos'"),
        ("slos:\n- {metric: loss.ratio", 2, "column"),
    ],
)
def test_a_mistake_is_placed(tmp_path: Path, text: str, line: int, said: str) -> None:
    """Each mistake names file and line, and says what is wrong."""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        slo.read(path)
    message = str(caught.value)
    assert f"{path}, line {line}" in message
    assert said in message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["", "slos:", "slos: []", "slos: 3", "- x"])
def test_no_limits_at_all(tmp_path: Path, text: str) -> None:
    """A file without limits is no file of limits: it must not pass as one that all hold."""
    with pytest.raises(ConfigError, match="list"):
        slo.read(write(tmp_path, text))


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file and one that is no text are named."""
    with pytest.raises(ConfigError, match="cannot be read"):
        slo.read(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        slo.read(tmp_path / "bytes.yaml")
