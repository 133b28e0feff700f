"""Text from clusters, agents and strangers: never a formula, a control sequence or markup."""

import csv
import errno
import io
import os
import resource
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from support import bundles, results
from support.bench import BENCH, lab_trouble, small_run

from podbench.cli import streams
from podbench.cli.main import without_debug
from podbench.export import csv as csv_file
from podbench.export import exposition, junit
from podbench.model import markdown, plain
from podbench.model.summary import Doubt, Summary

EVIL = "=cmd|' /C calc'!A0\x1b[2J\u202e\x00\r\nnext"


@pytest.mark.parametrize("begin", ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "=\x00cmd"])
def test_no_cell_of_a_csv_is_a_formula(begin: str) -> None:
    """A name that a spreadsheet would compute is text with an apostrophe; figures stay figures."""
    lost = results.lost(100, 1, (0.001, 0.05))
    text = csv_file.render(results.summary(results.pair(begin, EVIL, loss=lost)))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert rows
    for row in rows:
        assert row["src"].startswith("'")
        assert plain.is_plain(row["src"] + row["dst"], 200)
    assert {row["value"] for row in rows if row["metric"] == "loss.ratio"} == {"0.01"}


def test_no_control_characters_in_what_is_exported() -> None:
    """Markdown, OpenMetrics and XML: replaced, whatever the text."""
    family = exposition.Family(name="x", kind="gauge", help=EVIL)
    out = exposition.Exposition()
    out.gauge(family, {"node": EVIL}, 1.0)
    shown = [out.text(), *markdown.table(["a"], [[EVIL]]), markdown.code(EVIL)]
    for text in shown:
        assert plain.lines(text) == text
        assert "\r" not in text
    assert len(markdown.table(["a"], [[EVIL]])) == 3


ATTRIBUTES = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {
        *("name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp"),
        *("hostname", "id", "package", "file", "log", "url"),
    },
    "testcase": {"name", "time", "classname", "group"},
    "failure": {"type", "message"},
    "skipped": {"type", "message"},
    "system-out": set(),
    "system-err": set(),
}
INSIDE = {
    "testsuites": {"testsuite"},
    "testsuite": {"testcase", "system-out", "system-err"},
    "testcase": {"failure", "skipped", "system-out", "system-err"},
}
REQUIRED = {"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name"}}
"""What the schema of Jenkins' xUnit plugin (junit-10.xsd) allows and asks for."""


def _violations(element: ET.Element) -> list[str]:
    allowed, needed = ATTRIBUTES[element.tag], REQUIRED.get(element.tag, set())
    found = [f"{element.tag}: {name}" for name in set(element.keys()) - allowed]
    found += [f"{element.tag}: no {name}" for name in needed - set(element.keys())]
    for child in element:
        if child.tag not in INSIDE.get(element.tag, set()):
            found.append(f"{child.tag} in {element.tag}")
        found += _violations(child)
    return found


def _warned(*doubts: Doubt) -> Summary:
    return msgspec.structs.replace(bundles.make_bundle().summary, warnings=doubts)


def test_junit_holds_to_the_schema_and_its_names_are_stable() -> None:
    """Two runs with other figures have the same cases, each once."""
    names = []
    for share in ("6.2", "7.9"):
        doubts = (
            Doubt(code="samples_invalid", message=f"up to {share} % of n1"),
            Doubt(code="samples_invalid", message=f"up to {share} % of n2"),
            Doubt(code="few_blocks", message=EVIL),
        )
        root = ET.fromstring(junit.render(_warned(*doubts)).encode())
        assert _violations(root) == []
        names.append([(c.get("classname"), c.get("name")) for c in root.iter("testcase")])
        assert len(set(names[-1])) == len(names[-1])
    assert names[0] == names[1]
    assert ("warnings", "samples_invalid") in names[0]


@pytest.mark.parametrize(
    ("words", "kept", "debug"),
    [
        ("run --debug --quiet", "run --quiet", True),
        ("--debug lab exec n1 -- CMD --debug", "lab exec n1 -- CMD --debug", True),
        ("lab exec n1 -- CMD --debug -h --help", "lab exec n1 -- CMD --debug -h --help", False),
        ("lab exec n1 CMD --debug", "lab exec n1 CMD --debug", False),
        ("lab exec --debug n1 CMD", "lab exec n1 CMD", True),
        ("lab up --debug", "lab up", True),
    ],
)
def test_debug_of_another_command_is_not_ours(words: str, kept: str, debug: bool) -> None:
    """`bench lab exec n1 -- CMD --debug` passes every word on."""
    assert without_debug(words.split()) == (kept.split(), debug)


def test_a_stream_that_nobody_reads_is_dropped() -> None:
    """What is written after the reader has gone goes nowhere; a full disk still is an error."""
    reader, writer = os.pipe()
    with streams.Steady(os.fdopen(writer, "wb"), line_buffering=True) as stream:
        os.close(reader)
        for _ in range(3):
            print("x" * 100_000, file=stream)
        with pytest.raises(OSError, match="full"):
            stream._leave(OSError(errno.ENOSPC, "full"))


@pytest.mark.lab
@pytest.mark.timeout(300)
@pytest.mark.skipif(lab_trouble() is not None, reason=f"no lab here: {lab_trouble()}")
def test_a_closed_pipe_does_not_end_a_run(tmp_path: Path) -> None:
    """`bench run 2>&1 | head -3`: it goes quiet, and on to its report."""
    out = tmp_path / "r"
    command = small_run(out, "--modes", "bgp", "--probes", "latency")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        for _ in range(3):
            assert process.stdout.readline()
        process.stdout.close()
        code = process.wait(timeout=250)
    assert code in {0, 3}
    assert (out / "report.html").is_file()
    assert '"status": "complete"' in (out / "run.json").read_text()


@pytest.mark.parametrize("command", ["run --target lab --out {}", "report {}"])
def test_too_little_address_space_is_a_sentence(tmp_path: Path, command: str) -> None:
    """`ulimit -v`: exit 2 at once, not a spin in a library that waits for memory."""
    (tmp_path / "run.json").write_text("{}")
    out = tmp_path / "r" if "--out" in command else tmp_path
    limits = (500 << 20, 500 << 20)
    done = subprocess.run(
        [*BENCH, *command.format(out).split()],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, limits),
    )
    assert done.returncode == 2
    assert "`ulimit -v` allows this process 500 MiB" in done.stderr
    assert len(done.stderr.splitlines()) == 2
