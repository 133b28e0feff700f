"""Runs a session to its end inside the lab's isolation, and says how it ended.

The process that calls `measure` lives in private namespaces and ends with them. Whatever happens,
run.json says how far it came and the journal what is whole.
"""

import asyncio
import contextlib
import logging
import signal

import msgspec

from podbench.model.errors import PodbenchError
from podbench.run import record
from podbench.run.progress import Progress
from podbench.run.session import Session
from podbench.store.rundir import RunDir
from podbench.target.lab.target import LabTarget

INTERRUPTED = 130
logger = logging.getLogger(__name__)


def measure(rundir: RunDir, progress: Progress) -> int:
    """Measures what is missing in a run directory; returns the exit code.

    Raises:
        PodbenchError: It could not go on; run.json says so too.
    """
    begun = rundir.read_json(rundir.run_json, record.RunRecord)
    session = Session(rundir, begun, progress)
    target = LabTarget(begun.spec.lab, begun.run_id)
    session.journal.note("resumed" if session.journal.entries() else "begun")
    try:
        asyncio.run(_until_signalled(session, target))
    except asyncio.CancelledError:
        _close(session, "interrupted")
        return INTERRUPTED
    except PodbenchError as error:
        with contextlib.suppress(PodbenchError):
            _close(session, "failed", str(error))
        raise
    _close(session, "measured")
    return 0


async def _until_signalled(session: Session, target: LabTarget) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    await session.run(target)


def _close(session: Session, status: str, error: str | None = None) -> None:
    ended = msgspec.structs.replace(session.record, status=status, ended=record.now(), error=error)
    session.rundir.write_json(session.rundir.run_json, ended)
    session.journal.note("ended" if status == "measured" else status, error)
