"""What checks of `bench doctor` mean together."""

import pytest

from podbench.doctor import checks
from podbench.doctor.checks import Check, Need


def _check(
    *, ok: bool | None, need: Need = Need.RUN, package: str | None = None, name: str = "thing"
) -> Check:
    return Check(name=name, ok=ok, found="", needed_for="", need=need, package=package)


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([_check(ok=True), _check(ok=True, need=Need.PART)], 0),
        ([_check(ok=True), _check(ok=False, need=Need.ADVICE)], 0),
        ([_check(ok=True), _check(ok=False, need=Need.PART)], 3),
        ([_check(ok=None)], 3),
        ([_check(ok=False), _check(ok=False, need=Need.PART)], 2),
    ],
)
def test_exit_code_tells_all_modes_from_some_from_none(found: list[Check], code: int) -> None:
    """All needed is 0, something missing or not told is 3, no run is 2; advice is not counted."""
    assert checks.exit_code(found) == code


def test_one_apt_line_installs_everything_missing_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages of failed checks stand once each, in order; packages of good checks do not."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    found = [
        _check(ok=False, package="iperf3"),
        _check(ok=False, package="bird2"),
        _check(ok=False, package="iperf3", name="iperf3 JSON"),
        _check(ok=True, package="mosquitto"),
        _check(ok=False),
    ]
    line = "sudo apt-get install --no-install-recommends -y bird2 iperf3"
    assert checks.apt_line(found) == line
    assert checks.apt_line(found[3:]) is None
