"""The wheel, the image's recipe and the pins: what users install is what the tree holds."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = {
    "podbench": ROOT / "harness" / "podbench",
    "podbench_agent": ROOT / "agents" / "podbench_agent",
    "podbench_report": ROOT / "reports" / "podbench_report",
}
NAME = re.compile(r"[A-Za-z0-9._-]+")


def _names(requirements: list[str]) -> set[str]:
    return {_normal(match[0]) for line in requirements if (match := NAME.match(line))}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pins() -> dict[str, str]:
    lines = (ROOT / "scripts/constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {_normal(name): version for name, version in pairs}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a user would build it, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_the_wheel_has_three_packages_and_nothing_else(wheel: Path) -> None:
    """No tests, no scripts, no generic top-level names."""
    assert {p.name for p in wheel.iterdir() if not p.name.endswith(".dist-info")} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_wheel_holds_every_file_of_a_package(wheel: Path, package: str) -> None:
    """Templates and type markers too: an editable install would hide that one was forgotten."""
    source = PACKAGES[package]
    files = [
        path.relative_to(source)
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    ]
    missing = [str(path) for path in files if not (wheel / package / path).is_file()]
    assert files
    assert not missing


def test_the_wheel_works_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """`bench version` and the agent start from the unpacked wheel alone."""
    code = (
        f"import sys; sys.path.insert(0, {str(wheel)!r})\n"
        "import podbench, podbench_agent.__main__, podbench_report, podbench.cli.main\n"
        "print(podbench.__file__)"
    )
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip().startswith(str(wheel))


def test_the_agent_needs_the_base_install_only() -> None:
    """Starting an agent imports nothing of the extra `harness`, which its image does not have."""
    heavy = _names(PROJECT["optional-dependencies"]["harness"]) - {"rich"}  # typer brings rich
    modules = {"pyyaml": "yaml"}
    code = "import sys, podbench_agent.__main__; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "podbench_agent.agent" in loaded
    assert not loaded & {modules.get(name, name) for name in heavy}


def test_every_dependency_is_pinned_exactly() -> None:
    """What pyproject.toml asks for, and the build backend, stand in the constraints with ==."""
    extras = PROJECT["optional-dependencies"]
    asked = _names([*PROJECT["dependencies"], *extras["harness"], *extras["test"], "hatchling"])
    assert not asked - set(_pins())
    assert all(re.fullmatch(r"[0-9][0-9A-Za-z.+!]*", version) for version in _pins().values())


def test_pins_name_no_place_of_their_own() -> None:
    """No path, no index, no editable checkout: they install anywhere."""
    text = (ROOT / "scripts/constraints.txt").read_text(encoding="utf-8")
    assert not re.search(r"://| @ |^-", text, re.MULTILINE)


SETS = ("agent", "build", "harness", "test")


@pytest.mark.parametrize("name", SETS)
def test_every_file_that_is_installed_is_held_to_its_hash(name: str) -> None:
    """`pip install --require-hashes` takes each set; no index, no path, one version of each."""
    text = (ROOT / f"scripts/pins-{name}.txt").read_text(encoding="utf-8")
    assert not re.search(r"://| @ |^-", text, re.MULTILINE)
    blocks = re.findall(
        r"^(\S+)==(\S+)[^\n]*((?:\n    --hash=sha256:[0-9a-f]{64} ?\\?)+)", text, re.MULTILINE
    )
    found = {_normal(package): version for package, version, _ in blocks}
    assert len(found) == len(re.findall(r"^[a-z0-9]\S*==", text, re.MULTILINE))
    elsewhere = {"colorama", "win-inet-pton"}
    pins = _pins()
    assert all(
        pins[package] == version for package, version in found.items() if package not in elsewhere
    )
    extras = PROJECT["optional-dependencies"]
    asked = {
        "agent": _names(PROJECT["dependencies"]),
        "build": {"hatchling"},
        "harness": _names([*PROJECT["dependencies"], *extras["harness"], "hatchling"]),
        "test": _names(
            [*PROJECT["dependencies"], *extras["harness"], *extras["test"], "hatchling"]
        ),
    }
    assert not asked[name] - set(found)


def test_what_installs_takes_the_hashes() -> None:
    """Set-up, image and release; the image's base is named by its digest."""
    for path in ("scripts/setup.sh", "Dockerfile", ".github/workflows/release.yml"):
        text = (ROOT / path).read_text(encoding="utf-8")
        installs = [line for line in text.splitlines() if " install " in line and "pip" in line]
        assert "--require-hashes" in text
        assert not [line for line in installs if "constraints.txt" in line]
    assert re.search(r"^ARG BASE_IMAGE=\S+@sha256:[0-9a-f]{64}$", _stages()[0], re.MULTILINE)


def test_every_dependency_says_what_it_is_for() -> None:
    """A row in docs/dependencies.md for each package of pyproject.toml."""
    text = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    rows = {_normal(match[1]) for match in re.finditer(r"^\| ([\w.-]+) \|", text, re.MULTILINE)}
    extras = PROJECT["optional-dependencies"]
    asked = _names([*PROJECT["dependencies"], *extras["harness"], *extras["test"]])
    assert not asked - rows


def _stages() -> list[str]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return re.split(r"^(?=FROM )", "\n".join(lines), flags=re.MULTILINE)


def test_the_image_takes_its_base_as_an_argument() -> None:
    """Both stages start from BASE_IMAGE, so that an own registry's image can be used."""
    before, *stages = _stages()
    assert re.search(r"^ARG BASE_IMAGE=\S+$", before, re.MULTILINE)
    assert [stage.splitlines()[0] for stage in stages] == [
        "FROM ${BASE_IMAGE} AS build",
        "FROM ${BASE_IMAGE}",
    ]


def test_the_image_runs_as_a_numeric_user_that_is_not_root() -> None:
    """Kubernetes can check a number only (runAsNonRoot), and the agent needs no privilege."""
    users = re.findall(r"^USER (\d+):(\d+)$", _stages()[-1], re.MULTILINE)
    assert users
    assert all(int(number) > 0 for number in users[-1])


def test_the_image_copies_only_what_the_builder_is_sent() -> None:
    """Each source of a COPY is let through by .dockerignore."""
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line[1:] for line in ignore if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", _stages()[1], re.MULTILINE)
    sources = {word for words in copied for word in words.split()}
    assert sources
    assert sources <= let_through
    assert all((ROOT / source).exists() for source in sources)
