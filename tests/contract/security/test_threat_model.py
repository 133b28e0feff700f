"""The threat model of docs/security.md: each line names a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_every_line_of_the_threat_model_names_its_test() -> None:
    """Who, what, what stops it, and where that is held: no line without a test of that name."""
    text = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    section = text.split("## Threat model", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(lines) > 15
    for line in lines:
        named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", line.split(" | ")[-1])
        assert named, line
        for file, test in named:
            held = (ROOT / "tests" / file).read_text(encoding="utf-8")
            assert f"def {test}(" in held, f"{file}::{test}"
