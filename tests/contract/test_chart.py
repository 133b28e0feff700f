"""The chart, its carried rendering and what `bench` makes of it are one thing."""

import importlib.util
from typing import Any

import pytest
import yaml
from support import chart
from support.chart_settings import CASES, settings

import podbench
from podbench.target.kubernetes.deploy.objects import PARTS, manifest, objects
from podbench.target.kubernetes.deploy.settings import Settings, values

needs_helm = pytest.mark.skipif(
    importlib.util.find_spec("helm_python") is None,
    reason="needs a real Helm: helm-python-sdk is not installed",
)


def _of_helm(case: Settings) -> list[dict[str, Any]]:
    texts = chart.render(values(case))
    loaded = (each for part in PARTS for each in yaml.safe_load_all(texts[part]))
    return [each for each in loaded if each is not None]


@needs_helm
def test_the_package_carries_the_charts_rendering() -> None:
    """Byte for byte; `scripts/render-manifests` makes it so."""
    expected = chart.carried()
    assert sorted(path.stem for path in chart.MANIFESTS.iterdir()) == sorted(expected)
    for part, text in expected.items():
        assert manifest(part) == text, f"{part}: scripts/render-manifests was not run"


@needs_helm
@pytest.mark.parametrize("name", CASES)
def test_helm_and_objects_agree(name: str) -> None:
    """Every deployment is the same by Helm and by the carried rendering."""
    assert objects(CASES[name]) == _of_helm(CASES[name])


@needs_helm
def test_helm_finds_no_fault() -> None:
    """`helm lint --strict` has nothing to say but that there is no icon."""
    import helm_python

    report = helm_python.lint(chart.CHART, values(CASES["pools"]), strict=True)
    assert report["errors"] == []
    assert [each["error"] for each in report["messages"]] == ["icon is recommended"]


def _without(tree: dict[str, Any], *path: str) -> dict[str, Any]:
    key, *rest = path
    return {**tree, key: _without(tree[key], *rest) if rest else None}


def _with(tree: dict[str, Any], value: object, *path: str) -> dict[str, Any]:
    key, *rest = path
    return {**tree, key: _with(tree.get(key, {}), value, *rest) if rest else value}


@needs_helm
@pytest.mark.parametrize("path", [(), ("image",), ("broker",), ("broker", "tls"), ("agents",)])
def test_an_unknown_value_is_refused(path: tuple[str, ...]) -> None:
    """A misspelt name must not be ignored: strict everywhere."""
    import helm_python

    with pytest.raises(helm_python.HelmError, match="misspelt"):
        chart.render(_with(values(settings()), 1, *path, "misspelt"))


@needs_helm
@pytest.mark.parametrize(
    "path", [("run",), ("nodes",), ("modes",), ("lease", "holder"), ("image", "reference")]
)
def test_what_a_run_needs_has_no_default(path: tuple[str, ...]) -> None:
    """Nothing starts with another run's or with empty values."""
    import helm_python

    with pytest.raises(helm_python.HelmError, match=path[-1]):
        chart.render(_without(values(settings()), *path))


@needs_helm
@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("a run/with+wildcards#", ("run",)),
        ('x"\n  injected: true', ("run",)),
        ("x: y\nz", ("image", "reference")),
        (["<b>n1</b>"], ("nodes",)),
        ("mqtt://10.0.0.1:1883", ("broker", "url")),
        ("10.0.0.1\nallow_anonymous true", ("broker", "address")),
        (80, ("agents", "port")),
        ("short", ("host", "passwords", "n1")),
    ],
)
def test_values_that_could_break_out_are_refused(value: object, path: tuple[str, ...]) -> None:
    """Markup, line breaks, wildcards, plain connections and weak passwords end at the schema."""
    import helm_python

    with pytest.raises(helm_python.HelmError, match=path[0]):
        chart.render(_with(values(settings()), value, *path))


def test_chart_and_package_have_one_version() -> None:
    """A chart of another release would start agents of another release."""
    described = yaml.safe_load((chart.CHART / "Chart.yaml").read_text("utf-8"))
    assert described["version"] == described["appVersion"] == podbench.__version__
