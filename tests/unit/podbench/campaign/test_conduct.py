"""What signals do to a run that measures or is undone, and what run.json says of its end."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from support.specs import make_spec

from podbench.campaign import conduct, record
from podbench.campaign.options.table import Options
from podbench.campaign.progress import Silent
from podbench.campaign.session import Session
from podbench.model.errors import ClusterError
from podbench.results import gather
from podbench.store import rundir as store
from podbench.target.base import Aftermath, Target


class Told(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.heard = asyncio.Event()

    def say(self, text: str) -> None:
        """Kept."""
        self.said.append(text)
        self.heard.set()


class Undone:
    """A target; `aftermath` as it is while it undoes."""

    aftermath: Aftermath | None = None


class Measuring:
    """A session that ends by itself, is then undone, and is signalled meanwhile."""

    def __init__(self, *, undoing: bool) -> None:
        self.progress = Told()
        self._undoing = undoing
        self.undone = False

    async def run(self, target: Undone) -> None:
        """Measures for ever, or undoes once it was told that it is ending already."""
        if not self._undoing:
            signal.raise_signal(signal.SIGINT)
            try:
                await asyncio.Event().wait()
            finally:
                await self._undo(target)
        await self._undo(target)

    async def _undo(self, target: Undone) -> None:
        target.aftermath = Aftermath(made=())
        signal.raise_signal(signal.SIGTERM)
        await self.progress.heard.wait()
        self.undone = True


@pytest.mark.parametrize("undoing", [False, True])
def test_undoing_is_not_ended_by_the_signal_that_comes_first_in_it(undoing: bool) -> None:
    """Of a run that ended by itself, too: there the first signal is what the second is else."""
    session = Measuring(undoing=undoing)
    as_session = cast("Session", cast("Any", session))
    running = conduct._until_signalled(as_session, cast("Target", Undone()))
    if undoing:
        asyncio.run(running)
    else:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(running)
    assert session.undone
    assert session.progress.said == [
        "already ending: removing what the run created",
    ]


def test_what_an_earlier_attempt_left_is_still_told_by_one_that_made_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gone on with too early it is refused; while it runs it has neither an end nor an error."""
    rundir = store.create(tmp_path / "r")
    record.begin(rundir, Options(), make_spec())
    begun = rundir.read_json(rundir.run_json, record.RunRecord)
    earlier = Aftermath(made=("Namespace podbench",), left=("Namespace podbench: refused",))
    before = msgspec.structs.replace(
        begun, status="failed", ended=record.now(), error="first", aftermath=earlier
    )
    rundir.write_json(rundir.run_json, before)
    during: list[record.RunRecord] = []

    async def refused(self: Session, target: Target) -> None:
        during.append(self.record)
        raise ClusterError("Namespace podbench is left")

    monkeypatch.setattr(Session, "run", refused)
    with pytest.raises(ClusterError):
        conduct.measure(rundir, Silent(), gather.inputs)
    assert [(each.status, each.ended, each.error) for each in during] == [("running", None, None)]
    after = rundir.read_json(rundir.run_json, record.RunRecord)
    assert (after.status, after.error) == ("failed", "Namespace podbench is left")
    assert after.aftermath == earlier


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (ZeroDivisionError("by zero"), "failed", "ZeroDivisionError: by zero"),
        (KeyboardInterrupt(), "interrupted", None),
    ],
)
def test_an_error_that_is_nobody_s_own_ends_the_record_too(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    status: str,
    told: str | None,
) -> None:
    """It goes on to whoever shows it; run.json does not say `running` for ever."""
    rundir = store.create(tmp_path / "r")
    record.begin(rundir, Options(), make_spec())

    async def broken(self: Session, target: Target) -> None:
        self.journal.note("round", "kept")
        raise error

    monkeypatch.setattr(Session, "run", broken)
    with pytest.raises(type(error)):
        conduct.measure(rundir, Silent(), gather.inputs)
    after = rundir.read_json(rundir.run_json, record.RunRecord)
    assert (after.status, after.error) == (status, told)
    assert after.ended is not None
    lines = rundir.journal.read_text("utf-8").splitlines()
    assert [json.loads(each)["event"] for each in lines] == ["begun", "round", status]
