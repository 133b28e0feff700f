"""scripts/bench and its set-up, with every program that would change the machine replaced.

A copy of the scripts runs in a folder of its own, with a PATH whose `id`, `apt-get` and Python do
what a test says. What a first use really installs is seen on a clean clone only.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Checkout:
    """A copy of the scripts, with room for fake programs."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "check out"
        self.programs = folder / "bin"
        self.root.mkdir(parents=True)
        self.programs.mkdir()
        shutil.copytree(ROOT / "scripts", self.root / "scripts")
        shutil.copy(ROOT / "pyproject.toml", self.root)

    def program(self, name: str, body: str) -> Path:
        """Puts a shell script on the PATH."""
        path = self.programs / name
        path.write_text(f"#!/bin/bash\n{body}\n")
        path.chmod(0o755)
        return path

    def venv(self) -> Path:
        """A .venv that looks whole: Python does all but pip, `bench` shows its arguments."""
        binaries = self.root / ".venv" / "bin"
        binaries.mkdir(parents=True)
        python = binaries / "python"
        python.write_text(
            '#!/bin/bash\n[ "$1 $2 $3" != "-m pip install" ] || { echo no network >&2; exit 1; }\n'
            f'exec "{sys.executable}" "$@"\n'
        )
        bench = binaries / "bench"
        bench.write_text('#!/bin/bash\nprintf "<%s>" "$@"\n')
        python.chmod(0o755)
        bench.chmod(0o755)
        return self.root / ".venv"

    def stamp(self) -> None:
        """Says that .venv is up to date."""
        key = self.shell("venv_key").stdout
        (self.root / ".venv/.podbench-harness").write_text(key)

    def shell(self, code: str) -> "subprocess.CompletedProcess[str]":
        """Runs shell code after scripts/setup.sh was read."""
        return self.run(
            "bash", "-c", f'set -euo pipefail; . "$0/scripts/setup.sh"; {code}', self.root
        )

    def run(self, *command: str | Path) -> "subprocess.CompletedProcess[str]":
        """Runs a program in another directory with the fake programs first."""
        environment = os.environ | {"PATH": f"{self.programs}:{os.environ['PATH']}"}
        return subprocess.run(
            [str(word) for word in command],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A fresh copy, with nobody being root."""
    made = Checkout(tmp_path)
    made.program("id", "echo 1000")
    return made


def test_a_user_is_told_one_line_and_nothing_is_installed(checkout: Checkout) -> None:
    """Not root: exactly one apt line with every missing package, on stderr, exit code 2."""
    checkout.program("apt-get", "echo called; exit 99")
    done = checkout.shell("ensure_packages iperf3 bird2")
    assert done.returncode == 2
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if "apt-get" in line]
    assert len(lines) == 1
    assert lines[0].endswith("apt-get install --no-install-recommends -y iperf3 bird2")


def test_another_distribution_is_told_the_programs(checkout: Checkout) -> None:
    """Without apt-get the programs are named, exit code 2."""
    done = checkout.shell(f"PATH={checkout.programs}; ensure_packages iperf3")
    assert done.returncode == 2
    for program in ("iproute2", "nftables", "iperf3", "BIRD 2", "mosquitto"):
        assert program in done.stderr


def test_only_what_is_missing_is_asked_for(checkout: Checkout) -> None:
    """A program that is there is not asked for again."""
    done = checkout.shell("missing_packages sh:dash no-such-program:some-package")
    assert done.stdout.split() == ["some-package"]


def test_a_python_that_is_too_old_is_refused_by_name(checkout: Checkout) -> None:
    """PODBENCH_PYTHON must be 3.11 or newer."""
    old = checkout.program("python-old", "exit 1")
    done = checkout.shell(f"PODBENCH_PYTHON={old}; find_python")
    assert done.returncode == 2
    assert "PODBENCH_PYTHON" in done.stderr


def test_a_complete_environment_starts_at_once(checkout: Checkout) -> None:
    """No pip, no apt: arguments reach bench as they are, stdout is bench's alone."""
    checkout.venv()
    checkout.stamp()
    done = checkout.run(checkout.root / "scripts/bench", "run", "--name", "two words", "")
    assert (done.returncode, done.stdout) == (0, "<run><--name><two words><>")
    assert done.stderr == ""


def test_a_symbolic_link_finds_the_checkout(checkout: Checkout, tmp_path: Path) -> None:
    """scripts/bench may be called by a link from anywhere."""
    checkout.venv()
    checkout.stamp()
    link = tmp_path / "bench"
    link.symlink_to(checkout.root / "scripts/bench")
    assert checkout.run(link, "version").stdout == "<version>"


@pytest.mark.parametrize(
    "file", ["pyproject.toml", "scripts/constraints.txt", "scripts/pins-harness.txt"]
)
def test_a_changed_pin_makes_the_environment_stale(checkout: Checkout, file: str) -> None:
    """After `git pull` the new versions are installed; a failure says so and leaves no stamp."""
    checkout.venv()
    checkout.stamp()
    checkout.program("sleep", "")
    with (checkout.root / file).open("a") as changed:
        changed.write("\n# changed\n")
    done = checkout.run(checkout.root / "scripts/bench", "version")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "no network" in done.stderr
    assert "pip could not install" in done.stderr
    assert not list(checkout.root.glob(".venv/.podbench-*"))


def test_a_moved_checkout_is_noticed(checkout: Checkout) -> None:
    """Programs in .venv name their folder: after a move it is out of date."""
    checkout.venv()
    checkout.stamp()
    assert checkout.shell("venv_is_current harness").returncode == 0
    checkout.root = checkout.root.rename(checkout.root.with_name("elsewhere"))
    assert checkout.shell("venv_is_current harness").returncode == 1


def test_a_failed_first_use_leaves_no_half_environment(checkout: Checkout) -> None:
    """Without a package index the message says what to do, and .venv is gone again."""
    checkout.program("sleep", "")
    fake = checkout.program(
        "python-fake",
        '[ "$1 $2" != "-m venv" ] || { mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; exit 0; }\n'
        '[ "$1 $2 $3" != "-m pip install" ] || exit 1\n'
        f'exec "{sys.executable}" "$@"',
    )
    done = checkout.shell(f'ensure_venv harness harness "{fake}"')
    assert done.returncode == 2
    assert "check the network" in done.stderr
    assert not (checkout.root / ".venv").exists()


def test_what_a_kill_left_is_made_anew(checkout: Checkout) -> None:
    """An environment whose making was not finished is not trusted."""
    venv = checkout.venv()
    (venv / ".podbench-unfinished").touch()
    (venv / "leftover").touch()
    fake = checkout.program(
        "python-fake",
        '[ "$1 $2" != "-m venv" ] || { mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; exit 0; }\n'
        '[ "$1 $2 $3" != "-m pip install" ] || exit 0\n'
        f'exec "{sys.executable}" "$@"',
    )
    done = checkout.shell(f'ensure_venv harness harness "{fake}"')
    assert done.returncode == 0, done.stderr
    assert not (venv / "leftover").exists()
    assert not (venv / ".podbench-unfinished").exists()
    assert checkout.shell("venv_is_current harness").returncode == 0


@pytest.mark.parametrize(("failures", "code", "calls"), [(0, 0, 1), (2, 0, 3), (3, 1, 3)])
def test_what_needs_a_network_is_tried_three_times(
    checkout: Checkout, failures: int, code: int, calls: int
) -> None:
    """One bad moment of an index does not end a set-up; one that lasts does."""
    checkout.program("sleep", "")
    asked = f'echo >>"$0/asked"; [ "$(wc -l <"$0/asked")" -gt {failures} ]'
    done = checkout.shell(f"ask() {{ {asked}; }}; three_times ask || exit 1")
    assert done.returncode == code
    assert (checkout.root / "asked").read_text() == "\n" * calls


def test_a_lock_that_stays_taken_is_an_error_that_names_its_holder(checkout: Checkout) -> None:
    """A process that somebody forgot does not hold a set-up for ever."""
    with subprocess.Popen(
        ["bash", "-c", 'exec 7<"$0"; flock 7; echo; read -r', checkout.root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        done = checkout.shell('exec 9<"$root"; lock_folder 9 "$root" 1; echo had')
        holder.communicate(b"\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"hold it: {holder.pid} (bash -c" in done.stderr
    assert "call this again" in done.stderr
    assert checkout.shell('exec 9<"$root"; lock_folder 9 "$root" 1; echo had').stdout == "had\n"


def test_apt_waits_for_the_lock_on_its_lists(checkout: Checkout) -> None:
    """apt-get gives up at once where another holds it, as a new machine's own updates do."""
    checkout.program("sleep", "")
    checkout.program(
        "apt-get",
        f'echo >>"{checkout.root}/asked"; [ "$(wc -l <"{checkout.root}/asked")" -gt 2 ] && exit 0\n'
        'echo "E: Could not get lock /l/lock. It is held by process 7 (apt-get)" >&2; exit 100',
    )
    assert checkout.shell("apt_get update").returncode == 0
    assert (checkout.root / "asked").read_text() == "\n" * 3
    checkout.program("apt-get", "echo E: something else >&2; exit 100")
    done = checkout.shell("apt_get update")
    assert (done.returncode, done.stderr) == (1, "E: something else\n")


def test_services_are_forbidden_while_installing_only(checkout: Checkout, tmp_path: Path) -> None:
    """A temporary policy-rc.d says 101 while its maker lives, 0 after that, and is taken away."""
    policy = tmp_path / "policy-rc.d"
    done = checkout.shell(
        f'policy="{policy}"; forbid_services; "$policy" || echo "while $?"\n'
        'cp "$policy" "$policy.old"; allow_services; [ ! -e "$policy" ] && echo gone'
    )
    assert done.stdout.splitlines() == ["while 101", "gone"]
    assert checkout.run(f"{policy}.old").returncode == 0


def test_somebody_elses_policy_is_left_alone(checkout: Checkout, tmp_path: Path) -> None:
    """A policy-rc.d that is there already is neither changed nor removed."""
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    checkout.shell(f'policy="{policy}"; forbid_services; allow_services')
    assert policy.read_text() == "#!/bin/sh\nexit 101\n"


def test_every_script_is_valid_shell_and_can_be_started() -> None:
    """Each one is read without complaint; those without an ending can be executed."""
    for script in (ROOT / "scripts").iterdir():
        if script.suffix == ".txt":
            continue
        subprocess.run(["bash", "-n", script], check=True)
        assert script.suffix == ".sh" or os.access(script, os.X_OK), script
