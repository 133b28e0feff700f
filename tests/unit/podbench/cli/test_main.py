"""What an error, the help and shell completion look like to whoever typed the command."""

import os
import subprocess
import sys

import pytest
import typer.core
import typer.main
from support import commands

import podbench
from podbench.cli import main
from podbench.model.errors import ConfigError


def _raising(error: Exception, monkeypatch: pytest.MonkeyPatch, *more: str) -> None:
    def app(**_: object) -> None:
        raise error

    monkeypatch.setattr(main, "app", app)
    monkeypatch.setattr(sys, "argv", ["bench", *more])


def test_an_error_is_a_sentence_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its exit code is the error's own."""
    _raising(ConfigError("--rate: too much", advice="ask for less"), monkeypatch)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "bench: --rate: too much\n  -> ask for less\n"


def test_a_defect_is_told_as_one_and_keeps_its_traceback_for_debug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody but a developer reads tracebacks."""
    _raising(KeyError("n1"), monkeypatch)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert "KeyError: 'n1'" in told
    assert "--debug" in told
    assert "Traceback" not in told

    _raising(KeyError("n1"), monkeypatch, "--debug")
    with pytest.raises(KeyError):
        main.main()


def _paths() -> list[list[str]]:
    """Every command and group, as typed."""
    root = typer.main.get_command(main.app)
    assert isinstance(root, typer.core.TyperGroup)
    found: list[list[str]] = [[]]
    for name, command in root.commands.items():
        found.append([name])
        if isinstance(command, typer.core.TyperGroup):
            found += [[name, inner] for inner in command.commands]
    return found


@pytest.mark.parametrize("path", _paths(), ids=" ".join)
def test_short_help_works_everywhere(path: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """`-h` is `--help`."""
    code, out, err = commands.run(capsys, *path, "-h")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: {' '.join(['bench', *path])} ")
    assert "-h, --help" in out
    assert commands.run(capsys, *path, "--help")[1] == out


def test_help_is_grouped_and_shows_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    """Panels in the order of the groups, valid words and defaults at each option."""
    _, out, _ = commands.run(capsys, "run", "-h")
    headings = [line for line in out.splitlines() if line.endswith(":") and line[:1].isupper()]
    assert headings == [
        "What to measure:",
        "How much:",
        "How:",
        "Lab:",
        "Cluster:",
        "Output:",
        "Configuration file:",
        "Options:",
    ]
    flat = " ".join(out.split())
    assert "--cni CNI CNI to measure (calico, flannel, cilium, auto) [default: auto]" in flat


def test_every_command_has_a_whole_line(capsys: pytest.CaptureFixture[str]) -> None:
    """None is cut off in the list of commands."""
    for path in ([], ["lab"], ["agent"]):
        assert "..." not in commands.run(capsys, *path, "-h")[1].partition("\n\nOptions:")[2]


def test_the_version_has_two_ways(capsys: pytest.CaptureFixture[str]) -> None:
    """As a command and as a flag."""
    for typed in ("version", "--version"):
        assert commands.run(capsys, typed) == (0, f"{podbench.__version__}\n", "")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["run", "--budgett", "3m"], "bench run: no such option: --budgett; did you mean '--bud"),
        (["rnu"], "bench: no such command 'rnu'. Did you mean 'run'?"),
        (["run", "here"], "bench run: got unexpected extra argument(s) (here)"),
        (["gate", "run"], "bench gate: missing option '--slo'"),
        (["run", "--nodes", "x"], "bench: --nodes: 'x' is not a whole number"),
        (["agent", "probe", "h", "--port", "x"], "bench agent probe: invalid value for '--port'"),
    ],
)
def test_a_command_line_that_cannot_be_read(
    typed: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two lines on stderr as for every other error, exit code 2, nothing on stdout."""
    code, out, err = commands.run(capsys, *typed)
    assert (code, out) == (2, "")
    first, second = err.splitlines()
    assert first.startswith(said)
    assert second.startswith("  -> ")


@pytest.mark.parametrize("typed", [[], ["lab"], ["agent"]])
def test_without_a_command_the_help_is_shown(
    typed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr with exit code 2: nothing was done."""
    code, out, err = commands.run(capsys, *typed)
    assert (code, out) == (2, "")
    assert err.startswith("Usage: bench ")


def _bench(*arguments: str, **environment: str) -> str:
    code = "from podbench.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands_flags_and_words(shell: str) -> None:
    """The script exists for each shell, and an option's valid words are offered."""
    assert "bench" in _bench(_BENCH_COMPLETE=f"source_{shell}")

    def complete(line: str) -> str:
        words = line.split(" ")
        typed = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
        typed |= {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        return _bench(_BENCH_COMPLETE=f"complete_{shell}", **typed)

    assert "resume" in complete("bench re")
    assert "flannel" in complete("bench run --cni fl")
    assert "vxlan,bgp" in complete("bench run --modes vxlan,b")


def test_help_brings_nothing_heavy() -> None:
    """`bench -h` answers at once: no numpy, rich, asyncio or YAML is imported for it."""
    code = (
        "import sys; from podbench.cli import main\n"
        "try: main.app(args=['-h'], standalone_mode=False)\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert not {"numpy", "rich", "asyncio", "yaml", "pyroute2"} & set(done.stderr.split())


def test_as_a_plugin_of_kubectl_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Help and errors show what was typed: kubectl runs `kubectl-bench` for `kubectl bench`."""
    monkeypatch.setattr(sys, "argv", ["/usr/local/bin/kubectl-bench", "report", "--nothing"])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("kubectl bench report: ")
    assert "-> kubectl bench report -h" in said
