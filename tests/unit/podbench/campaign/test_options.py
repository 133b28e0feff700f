"""A configuration file is read with the place of its mistake, and flags win over it."""

import shlex
from pathlib import Path

import msgspec
import pytest
import yaml
from typer.testing import CliRunner

from podbench.campaign import options
from podbench.cli import main
from podbench.model.errors import ConfigError


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "bench.yaml"
    path.write_text(text)
    return path


def test_file_and_flags(tmp_path: Path) -> None:
    """A flag that was given wins; one that was not leaves the file's value."""
    read = options.read(_file(tmp_path, "cni: calico\nmodes: [vxlan, bgp]\nnodes: 4\n"))
    merged = options.merge(read, {"nodes": 2, "modes": None})
    assert merged.nodes == 2
    assert merged.modes == ["vxlan", "bgp"]


def test_what_is_shown_reads_back(tmp_path: Path) -> None:
    """`--print-config` prints what `--config` takes."""
    asked = options.Options(cni="calico", modes=["ipip"], label={"env": "lab"}, seed=3)
    assert options.read(_file(tmp_path, options.show(asked))) == asked


def test_a_command_line_asks_for_the_same() -> None:
    """What `bench run` makes of it are the same options; where the run goes is left out."""
    asked = options.Options(
        cni="calico",
        target="lab",
        modes=["vxlan", "bgp"],
        probes=["latency", "throughput"],
        method="pools",
        nodes=3,
        blocks=3,
        seed=7,
        name="it's $HOME; `x`",
        label={"team": "a b"},
        lab_loss=["n1>n2=1%", "n2>n1=2%"],
        equal_mtu=True,
    )
    given = {**msgspec.to_builtins(asked), "out": "somewhere", "yes": True}
    words = shlex.split(options.command_line(given))
    shown = CliRunner().invoke(main.app, [*words[1:], "--print-config"])

    assert words[:2] == ["bench", "run"]
    assert msgspec.convert(yaml.safe_load(shown.stdout), options.Options) == asked


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("cni: [\n", r"bench.yaml, line \d"),
        ("nodes: 3\nmods: vxlan\n", r"line 2: there is no field 'mods'; did you mean 'modes'"),
        ("nodes: three\n", r"line 1: .*nodes"),
        ("- a\n- b\n", "expected `name: value`"),
    ],
)
def test_mistakes_are_placed(tmp_path: Path, text: str, match: str) -> None:
    """Broken YAML, unknown fields and wrong types name file, line and field."""
    with pytest.raises(ConfigError, match=match):
        options.read(_file(tmp_path, text))


def test_missing_file() -> None:
    """A file that is not there is named."""
    with pytest.raises(ConfigError, match=r"/nowhere/x.yaml cannot be read"):
        options.read(Path("/nowhere/x.yaml"))


def test_labels() -> None:
    """Labels are k=v."""
    assert options.labels(["env=lab", "a=b=c"]) == {"env": "lab", "a": "b=c"}
    with pytest.raises(ConfigError, match="k=v"):
        options.labels(["env"])
