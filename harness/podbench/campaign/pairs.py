"""Runs a pairwise probe (`pairwise`) on one pair: the far end listens, the near end measures."""

import time

import numpy as np

from podbench.campaign.agents import Crew, End, Outcome
from podbench.campaign.journal import Failure, Span
from podbench.campaign.pairwise import Probe, load
from podbench.model.arms import Mode, Path
from podbench.model.errors import PodbenchError
from podbench.store import schemas
from podbench.store.samples import Scalar
from podbench.wire import messages
from podbench.wire.columns import Table


async def measure(
    crew: Crew, mode: Mode, name: str, path: Path, pair: tuple[str, str], outcome: Outcome
) -> None:
    """Runs a probe on one pair and path; a failed one is a row with its reason."""
    src, dst = pair
    start_ns = time.monotonic_ns()
    rows: Table = {}
    reason: str | None = None
    try:
        ends = (crew.end(src, mode, path), crew.end(dst, mode, path))
        rows = await _rows(crew, load(name), name, ends)
    except PodbenchError as error:
        reason = str(error)
        rows = {"rtt_ns": np.ma.masked_array([0], mask=[True], dtype=np.int64)}
        outcome.failures.append(Failure(kind=name, path=path, src=src, dst=dst, reason=reason))
    place: dict[str, Scalar] = {"src": src, "dst": dst, "reason": reason}
    outcome.pairwise.setdefault(name, {}).setdefault(path, []).append((rows, place))
    outcome.spans.append(
        Span(
            kind=name,
            path=path,
            src=src,
            dst=dst,
            start_mono_ns=start_ns,
            end_mono_ns=time.monotonic_ns(),
        )
    )


async def _rows(crew: Crew, probe: Probe, name: str, ends: tuple[End, End]) -> Table:
    near, far = ends
    serve, run = probe.settings(near, far)
    served = await crew.ask(
        far.agent, messages.RunProbe(name=name, part="serve", settings=serve, lasts_s=0.0)
    )
    assert isinstance(served.answer, messages.Done)
    run |= {"peer_port": int(served.answer.facts["port"] or 0)}
    command = messages.RunProbe(
        name=name,
        part="run",
        settings=run,
        columns=schemas.own_columns(name),
        lasts_s=probe.DURATION_S,
    )
    ran = await crew.ask(near.agent, command, probe.DURATION_S)
    return ran.tables[name]
