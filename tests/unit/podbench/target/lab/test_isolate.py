"""What `run_isolated` refuses before it starts anything, and how it reads an end."""

from pathlib import Path

import pytest

from podbench.model.errors import PrerequisiteError
from podbench.target.lab import init, isolate


def _never() -> int:
    raise AssertionError("must not be run")


@pytest.mark.parametrize("path", ["/run", "/run/user/1000/out", "/var/run/x", "/tmp/../run/x"])
def test_refuses_what_its_private_run_would_hide(path: str) -> None:
    """Named, with the way out, before a process is made."""
    with pytest.raises(PrerequisiteError, match="lies below /run") as caught:
        isolate.run_isolated(_never, paths=[Path(path)])
    assert caught.value.advice == "use a directory outside /run"


@pytest.mark.parametrize(("status", "code"), [(0, 0), (7 << 8, 7), (9, 137), (15, 143)])
def test_an_end_reads_as_in_a_shell(status: int, code: int) -> None:
    """The exit status, or 128 and the signal."""
    assert init.exit_code(status) == code


@pytest.mark.parametrize(
    ("uid", "advice"),
    [(0, "--privileged"), (1000, "sudo")],
)
def test_a_refusing_kernel_comes_with_a_way_out(uid: int, advice: str) -> None:
    """Root is likely in a container; a user needs root or a switch."""
    refusal = init._refusal(PermissionError(1, "unshare: Operation not permitted"), uid)
    assert "Operation not permitted" in str(refusal)
    assert advice in (refusal.advice or "")


@pytest.mark.parametrize(
    ("switch", "refused", "remedy"),
    [
        ("user/max_user_namespaces", "0\n", "sysctl -w user.max_user_namespaces=10000"),
        ("kernel/unprivileged_userns_clone", "0\n", "kernel.unprivileged_userns_clone=1"),
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1\n",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ],
)
def test_the_switch_that_stands_in_the_way_is_named(
    switch: str, refused: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user learns which setting it is and how an administrator turns it."""
    (tmp_path / switch).parent.mkdir(parents=True)
    (tmp_path / switch).write_text(refused)
    monkeypatch.setattr(init, "SYSCTL", tmp_path)
    refusal = init._refusal(OSError(28, "unshare: No space left on device"), 1000)
    assert switch.replace("/", ".") in str(refusal)
    assert remedy in (refusal.advice or "")
