"""A configuration file is read with the place of its mistake."""

from pathlib import Path

import pytest

from podbench.campaign.options import config
from podbench.campaign.options.table import Options
from podbench.model.errors import ConfigError


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "bench.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("cni: [\n", r"bench.yaml, line \d"),
        ("nodes: 3\nmods: vxlan\n", r"line 2: unknown key 'mods'; did you mean 'modes'"),
        ("nodes: three\n", r"line 1: .*nodes"),
        ("- a\n- b\n", "expected `name: value`"),
        ("no: 1\n", r"line 1: unknown key 'no'"),
    ],
)
def test_mistakes_are_placed(tmp_path: Path, text: str, match: str) -> None:
    """Broken YAML, unknown keys and wrong types name file, line and key."""
    with pytest.raises(ConfigError, match=match):
        config.read(_file(tmp_path, text))


def test_missing_file() -> None:
    """A file that is not there is named."""
    with pytest.raises(ConfigError, match=r"/nowhere/x.yaml cannot be read"):
        config.read(Path("/nowhere/x.yaml"))


def test_yes_is_a_key_not_a_truth(tmp_path: Path) -> None:
    """YAML 1.1 reads a bare `yes` as true; here it is an option's name."""
    assert config.read(_file(tmp_path, "yes: true\n")) == Options(yes=True)


def test_an_empty_file_asks_for_nothing(tmp_path: Path) -> None:
    """The defaults."""
    assert config.read(_file(tmp_path, "# nothing yet\n")) == Options()
