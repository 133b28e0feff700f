"""The release workflow: pinned, least rights, signed before it can be found by a tag."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / ".github" / "workflows" / "release.yml"
TEXT = FILE.read_text("utf-8")
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)


def _steps(job: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = WORKFLOW["jobs"][job]["steps"]
    return steps


def _place(job: str, mark: str) -> int:
    (found,) = [place for place, step in enumerate(_steps(job)) if mark in str(step)]
    return found


def test_every_action_is_pinned_by_its_hash() -> None:
    """A tag can be moved by whoever takes over the action; its version stands beside the hash."""
    uses = re.findall(r"uses: (.*)$", TEXT, re.MULTILINE)
    assert len(uses) == sum("uses" in step for job in WORKFLOW["jobs"] for step in _steps(job))
    for each in uses:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each


def test_rights_are_given_job_by_job() -> None:
    """Nothing by default, no job may write more than what it publishes."""
    assert WORKFLOW["permissions"] == {}
    rights = {name: job["permissions"] for name, job in WORKFLOW["jobs"].items()}
    assert rights["check"] == {"contents": "read"}
    assert rights["image"]["contents"] == "read"


def test_the_wheel_is_tried_on_every_supported_python() -> None:
    """Those that the package says it supports, away from the checkout."""
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    named = re.findall(r"Programming Language :: Python :: (3\.\d+)", text)
    assert WORKFLOW["jobs"]["wheel"]["strategy"]["matrix"]["python"] == named
    (last,) = [step["run"] for step in _steps("wheel") if "run" in step]
    assert last.index("cd /tmp") < last.index("bench version")


def test_no_step_leaves_its_credentials_to_the_next() -> None:
    """The checkout's token is not kept in the clone, and no expression is put into a shell line."""
    for job in WORKFLOW["jobs"]:
        for step in _steps(job):
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
