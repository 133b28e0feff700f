"""One iperf3 transfer with STAMP at 100 pps beside it: latency under load, rows of its own."""

import asyncio
import time

from podbench.campaign import latency, loads, plan
from podbench.campaign.agents import SOURCE_PORTS, Crew, End, Outcome
from podbench.campaign.journal import Failure, Span
from podbench.campaign.pace import Pace
from podbench.model.arms import Mode, Path
from podbench.model.errors import PodbenchError
from podbench.wire import iperf3, messages

UDP_HEADERS_BYTES = 28
"""IPv4 20 (RFC 791) and UDP 8 (RFC 768): the largest payload is the inner MTU less these."""
INTERVAL_S = 0.1
HARD_STOP_S = 15.0
"""iperf3 is ended this long after its planned end; its record then says so."""


def _command(
    transfer: plan.Transfer, near: End, far: End, port: int, duration_s: int
) -> messages.Transfer:
    udp = transfer.probe in {"throughput-udp", "throughput-small"}
    largest = near.mtu - UDP_HEADERS_BYTES
    small = transfer.probe == "throughput-small"
    return messages.Transfer(
        peer_address=far.address,
        peer_port=port,
        bind_address=near.address,
        protocol="udp" if udp else "tcp",
        streams=8 if transfer.probe == "throughput-tcp8" else 1,
        duration_s=duration_s,
        interval_s=INTERVAL_S,
        packet_bytes=(iperf3.SMALL_BYTES if small else largest) if udp else None,
    )


async def measure(
    crew: Crew, mode: Mode, transfer: plan.Transfer, pace: Pace, outcome: Outcome
) -> None:
    """Runs one transfer; a failed one is a row with its reason."""
    near = crew.end(transfer.src, mode, transfer.path)
    far = crew.end(transfer.dst, mode, transfer.path)
    beside = latency.Stretch(
        pairs=((transfer.src, transfer.dst),),
        mode=mode,
        path=transfer.path,
        phase="loaded",
        rate_pps=plan.LOADED_PPS,
        duration_s=float(pace.transfer_s),
    )
    client: str | None = None
    server: str | None = None
    reason: str | None = None
    start_ns = time.monotonic_ns()
    try:
        serve = messages.ServeTransfer(
            bind_address=far.address, lifetime_s=pace.transfer_s + HARD_STOP_S
        )
        served = await crew.ask(far.agent, serve)
        assert isinstance(served.answer, messages.Done)
        port = int(served.answer.facts["port"] or 0)
        start_ns = time.monotonic_ns()
        # Both to their end, whatever becomes of one: the other would run beside the next transfer.
        ran, loaded = await asyncio.gather(
            crew.ask(
                near.agent,
                _command(transfer, near, far, port, pace.transfer_s),
                pace.transfer_s + HARD_STOP_S,
            ),
            latency.measure(crew, beside, outcome),
            return_exceptions=True,
        )
        if isinstance(loaded, BaseException):
            raise loaded
        if isinstance(ran, BaseException):
            raise ran
        client, reason = _output(ran.answer)
        ended = await crew.ask(far.agent, messages.CollectTransfer(port=port))
        server, trouble = _output(ended.answer)
        reason = reason or trouble
    except PodbenchError as error:
        reason = str(error)
    _keep(transfer, outcome, (client, server), pace, reason)
    outcome.spans.append(
        Span(
            kind=transfer.probe,
            path=transfer.path,
            src=transfer.src,
            dst=transfer.dst,
            start_mono_ns=start_ns,
            end_mono_ns=time.monotonic_ns(),
        )
    )


def _output(answer: messages.Answer) -> tuple[str | None, str | None]:
    if not isinstance(answer, messages.Ran):
        return None, "the agent did not run iperf3"
    return answer.output, answer.error


def _keep(
    transfer: plan.Transfer,
    outcome: Outcome,
    outputs: tuple[str | None, str | None],
    pace: Pace,
    reason: str | None,
) -> None:
    client, server = outputs
    stem = f"{transfer.src}-{transfer.dst}-{transfer.path}-{transfer.probe}"
    if client is not None:
        outcome.raw[f"{stem}-client"] = client
    if server is not None:
        outcome.raw[f"{stem}-server"] = server
    rows = iperf3.rows(client or "", server, omit_s=pace.omit_s, reason=reason)
    place = {"src": transfer.src, "dst": transfer.dst}
    outcome.throughput.setdefault(transfer.path, []).append((rows, {**place}))
    failed = iperf3.failure(rows)
    if failed is not None:
        outcome.failures.append(
            Failure(
                kind=transfer.probe,
                path=transfer.path,
                src=transfer.src,
                dst=transfer.dst,
                reason=failed,
            )
        )
    elif transfer.path is Path.POD:
        beside_packets = round(plan.LOADED_PPS * pace.transfer_s) + SOURCE_PORTS
        pair = (transfer.src, transfer.dst)
        moved = loads.of_transfer(transfer.probe, pair, client, server, beside_packets)
        if moved is not None:
            outcome.loads.append(moved)
