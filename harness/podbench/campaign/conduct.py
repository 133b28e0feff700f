"""Runs a session to its end, on the lab or on a cluster, and reports how it ended.

For a lab the process that calls `measure` lives in private namespaces and ends with them. Whatever
happens, run.json says how far it came and the journal what is whole.
"""

import asyncio
import contextlib
import logging
import signal

import msgspec

from podbench.campaign import looks, record
from podbench.campaign.progress import Progress
from podbench.campaign.session import Session
from podbench.model.errors import PodbenchError
from podbench.store.rundir import RunDir
from podbench.target.base import Target
from podbench.target.lab.target import LabTarget

INTERRUPTED = 130
logger = logging.getLogger(__name__)


def measure(rundir: RunDir, progress: Progress, read: looks.Read) -> int:
    """Measures what is missing in a run directory; returns the exit code.

    Args:
        rundir: holds the plan, and what is measured already.
        progress: told of every step.
        read: reads the growing run for a look at it (`results.gather.inputs`).

    Raises:
        PodbenchError: It could not go on; run.json says so too, as of any other error.
    """
    begun = rundir.read_json(rundir.run_json, record.RunRecord)
    # Gone on with, it has no end yet: killed now, it must not pass for what it was before.
    begun = msgspec.structs.replace(begun, status="running", ended=None, error=None)
    session = Session(rundir, begun, progress, read)
    target = _target(begun, rundir, progress)
    session.journal.note("resumed" if session.journal.entries() else "begun")
    try:
        asyncio.run(_until_signalled(session, target))
    except asyncio.CancelledError:
        _close(session, target, "interrupted")
        return INTERRUPTED
    except PodbenchError as error:
        with contextlib.suppress(PodbenchError):
            _close(session, target, "failed", str(error))
        raise
    except KeyboardInterrupt:
        # Before the handlers of `_until_signalled` stand, a signal comes as this.
        with contextlib.suppress(PodbenchError):
            _close(session, target, "interrupted")
        raise
    except Exception as error:
        # A defect of ours: the record must not say for ever that the run is under way.
        with contextlib.suppress(PodbenchError):
            _close(session, target, "failed", f"{type(error).__name__}: {error}")
        raise
    _close(session, target, "measured")
    return 0


def _target(begun: record.RunRecord, rundir: RunDir, progress: Progress) -> Target:
    if begun.spec.cluster is None:
        return LabTarget(begun.spec.lab, begun.run_id, progress.say)
    # The client of a cluster takes half a second to load, which a lab does without.
    from podbench.campaign.cluster import survey

    return survey.target(begun, rundir.path, progress.say)


async def _until_signalled(session: Session, target: Target) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    cancelled = told = False

    def end() -> None:
        """The first ends the run, which then takes away what it made; a second must not stop that.

        A third does, for whoever cannot wait. A run that ends by itself is past the first.
        """
        nonlocal cancelled, told
        if (cancelled or target.aftermath is not None) and not told:
            told = True
            session.progress.say("already ending: removing what the run created")
        else:
            cancelled = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end)
    await session.run(target)


def _close(session: Session, target: Target, status: str, error: str | None = None) -> None:
    ended = msgspec.structs.replace(
        session.record,
        status=status,
        ended=record.now(),
        error=error,
        # An attempt that made nothing does not take away what an earlier one left.
        aftermath=target.aftermath or session.record.aftermath,
    )
    session.rundir.write_json(session.rundir.run_json, ended)
    session.journal.note("ended" if status == "measured" else status, error)
