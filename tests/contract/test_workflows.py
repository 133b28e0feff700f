"""CI and release: pinned, least rights, tested wheel; signed before a tag can find it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from podbench.model import published

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TEXTS = {file.stem: file.read_text("utf-8") for file in FILES}
WORKFLOWS: dict[str, dict[Any, Any]] = {name: yaml.safe_load(text) for name, text in TEXTS.items()}
WORKFLOW = WORKFLOWS["release"]
PYTHONS = re.findall(
    r"Programming Language :: Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text("utf-8")
)
EACH = pytest.mark.parametrize("name", TEXTS)


def _steps(job: str, workflow: str = "release") -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = WORKFLOWS[workflow]["jobs"][job]["steps"]
    return steps


def _place(job: str, mark: str) -> int:
    (found,) = [place for place, step in enumerate(_steps(job)) if mark in str(step)]
    return found


@EACH
def test_every_action_is_pinned_by_its_hash(name: str) -> None:
    """A tag can be moved by whoever takes over the action; its version stands beside the hash."""
    uses = re.findall(r"uses: (.*)$", TEXTS[name], re.MULTILINE)
    steps = [step for job in WORKFLOWS[name]["jobs"] for step in _steps(job, name)]
    assert len(uses) == sum("uses" in step for step in steps)
    for each in uses:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


@EACH
def test_rights_are_given_job_by_job(name: str) -> None:
    """Nothing by default, every job names its own."""
    assert WORKFLOWS[name]["permissions"] == {}
    assert all(job["permissions"] for job in WORKFLOWS[name]["jobs"].values())


def test_nothing_but_a_release_may_write() -> None:
    """CI reads; of a release no job may write more than what it publishes."""
    jobs = WORKFLOWS["ci"]["jobs"].values()
    assert all(job["permissions"] == {"contents": "read"} for job in jobs)
    rights = {name: job["permissions"] for name, job in WORKFLOW["jobs"].items()}
    assert rights["check"] == {"contents": "read"}
    assert rights["image"]["contents"] == "read"


def test_the_wheel_is_tried_on_every_supported_python() -> None:
    """Those that the package says it supports, away from the checkout."""
    assert WORKFLOW["jobs"]["wheel"]["strategy"]["matrix"]["python"] == PYTHONS
    (last,) = [step["run"] for step in _steps("wheel") if "run" in step]
    assert last.index("cd /tmp") < last.index("bench version")


def test_ci_runs_the_tests_and_the_wheel_s_on_every_supported_python() -> None:
    """`scripts/test` on a checkout, `scripts/test-wheel` on what users install."""
    jobs = WORKFLOWS["ci"]["jobs"]
    for job, script in (("test", "scripts/test <"), ("wheel", "scripts/test-wheel")):
        assert jobs[job]["strategy"]["matrix"]["python"] == PYTHONS
        assert any(script in step.get("run", "") for step in _steps(job, "ci"))
        used = [step.get("with", {}).get("python-version") for step in _steps(job, "ci")]
        assert "${{ matrix.python }}" in used


@EACH
def test_no_step_leaves_its_credentials_to_the_next(name: str) -> None:
    """The checkout's token is not kept in the clone, and no expression is put into a shell line."""
    for job in WORKFLOWS[name]["jobs"]:
        for step in _steps(job, name):
            if "actions/checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False
            assert "${{" not in step.get("run", ""), step


def test_the_image_is_for_both_architectures_and_small() -> None:
    """The limit is checked on what was built, before anybody can find it."""
    (build,) = [step for step in _steps("image") if step.get("id") == "build"]
    assert build["with"]["platforms"] == "linux/amd64,linux/arm64"
    assert "push-by-digest=true" in build["with"]["outputs"]
    assert int(WORKFLOW["env"]["MAX_IMAGE_BYTES"]) == 80_000_000
    checked, signed, tagged = (
        _place("image", mark)
        for mark in ("MAX_IMAGE_BYTES", "cosign sign", "imagetools create --tag")
    )
    assert checked < signed < tagged


def test_nothing_is_published_untested() -> None:
    """Tests, then image and wheel, then packages."""
    assert WORKFLOW["jobs"]["image"]["needs"] == "check"
    assert WORKFLOW["jobs"]["wheel"]["needs"] == "check"
    assert WORKFLOW["jobs"]["packages"]["needs"] == ["image", "wheel"]
    assert any("sudo .ci/run" in step.get("run", "") for step in _steps("check"))


def test_the_package_names_the_image_of_its_own_release() -> None:
    """What `--image` defaults to is written before the wheel is built, by the image's digest."""
    written, built = (
        _place("packages", "release.json"),
        _place("packages", "hatchling build -d dist"),
    )
    assert written < built
    step = _steps("packages")[written]
    assert step["env"]["DIGEST"] == "${{ needs.image.outputs.digest }}"
    assert f"harness/podbench/{published.FILE}" in step["run"]
