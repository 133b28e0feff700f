"""Every decoder of what others write, as a function of octets; with good inputs to begin from.

A decoder may refuse what it gets by podbench's own errors. Anything else that escapes is a find.
"""

import contextlib
import json
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from podbench.campaign import plan, plausible, record
from podbench.campaign.journal import Entry, Journal
from podbench.campaign.options import config
from podbench.gate import slo
from podbench.model.errors import PodbenchError
from podbench.model.facts import NodeFacts, Route
from podbench.model.summary import Summary
from podbench.results import saved
from podbench.store.rundir import RunDir
from podbench.target.kubernetes.api.refs import Ref
from podbench.target.kubernetes.deploy import allowed, ledger
from podbench.wire import (
    answers,
    batches,
    columns,
    fates,
    iperf3,
    messages,
    outer,
    stamp,
    stamp_tlv,
    topics,
)

Decoder = Callable[[bytes], object]
FOLDER = Path(tempfile.mkdtemp(prefix="podbench-fuzz-"))
SESSION = messages.LatencySession(
    session_id=9, peer_address="10.0.0.2", peer_port=8620, rate_pps=100, duration_s=0.1
)
COMMANDS: tuple[messages.Command, ...] = (
    messages.Measure(sessions=(SESSION,)),
    messages.CollectReflections(session_ids=tuple(range(9, 17))),
    messages.CollectCounters(),
    messages.ReadFacts(node="n1"),
    messages.LookUp(address="10.0.0.1"),
    messages.ServeTransfer(bind_address="::", lifetime_s=1),
    messages.CollectTransfer(port=1),
    messages.CollectCapture(),
)


def _sender() -> columns.Table:
    n = 10
    from podbench.wire.answer_tables import SENDER

    table: columns.Table = {}
    for name, column in SENDER.items():
        kind = np.bool_ if column.kind == "b" else np.int64
        values: columns.Column = np.zeros(n, kind)
        table[name] = np.ma.MaskedArray(values, mask=False) if column.gaps else values
    table["session_id"] = np.repeat(np.int64(9), n)
    return table


def answer(data: bytes) -> None:
    """A whole answer: parts, assembly, tables, held to its command, and then read."""
    command = COMMANDS[data[0] % len(COMMANDS)] if data else COMMANDS[0]
    assembly = batches.Assembly()
    if not assembly.add(messages.decode_response(data[1:])):
        return
    _, tables = answers.checked(command, *assembly.whole())
    for name, table in tables.items():
        if name.startswith("latency/"):
            fates.resolve(table, None)


def table(data: bytes) -> None:
    """A table; half of the inputs are the octets before they are deflated."""
    columns.unpack(zlib.compress(data[1:], 1) if data[:1] < b"\x80" else data[1:])


def control(data: bytes) -> None:
    """Requests, envelopes, statuses, topics."""
    messages.request_id(data)
    for decode in (messages.decode_request, messages.decode_status):
        with contextlib.suppress(PodbenchError):
            found = decode(data)
            if isinstance(found, messages.AgentStatus):
                answers.check_status(found)
    with contextlib.suppress(PodbenchError):
        topics.parse(data.decode("utf-8", "replace"))


def transfer(data: bytes) -> None:
    """iperf3's JSON, of both ends."""
    text = data.decode("utf-8", "surrogateescape")
    rows = iperf3.rows(text, text)
    assert len(rows["status"]) >= 1


def packets(data: bytes) -> None:
    """STAMP, its TLVs, captured frames."""
    outer.classify(data)
    for key in (None, b"a key of sixteen"):
        for decode in (stamp.decode_sender, stamp.decode_reflector):
            with contextlib.suppress(PodbenchError):
                decode(data, key)
    if len(data) >= stamp.AUTH_BYTES:
        stamp.is_reply(data, keyed=True)
    stamp.is_reply(data, keyed=False)


def journal(data: bytes) -> None:
    """A run's journal."""
    path = FOLDER / "journal.jsonl"
    path.write_bytes(data)
    Journal(path).rounds_done()


def run_files(data: bytes) -> None:
    """plan.json, run.json, summary.json."""
    run = RunDir(FOLDER)
    run.plan_json.write_bytes(data)
    with contextlib.suppress(PodbenchError):
        plausible.read_plan(run)
    with contextlib.suppress(PodbenchError):
        run.read_json(run.plan_json, record.RunRecord)
    run.summary_json.write_bytes(data)
    saved.format_of(run)
    saved.summary(run)


def changes(data: bytes) -> None:
    """A run directory's ledger, and what of it may be undone."""
    (FOLDER / ledger.FILE).write_bytes(data)
    for entry in ledger.on_disk(FOLDER):
        if entry.earlier is None:
            allowed.refused_object(entry.ref)
        else:
            given = {field.path: field.values for field in entry.fields}
            allowed.refused_change(entry.ref, entry.earlier, given)
            allowed.refused_write(entry.ref, entry.earlier, dict.fromkeys(given))


def limits(data: bytes) -> None:
    """A file of limits (SLO)."""
    path = FOLDER / "slo.yaml"
    path.write_bytes(data)
    slo.read(path)


def options(data: bytes) -> None:
    """A configuration file."""
    path = FOLDER / "config.yaml"
    path.write_bytes(data)
    config.read(path)


def _response(reply: messages.Answer, tables: dict[str, columns.Table]) -> bytes:
    (part,) = batches.cut(1, reply, tables)
    return messages.encode(part)


def _packed() -> bytes:
    masked = np.ma.MaskedArray([1, 2, 3], mask=[False, True, False])
    return zlib.decompress(columns.pack({"a": masked, "b": np.array(["x", "yz", ""])}))


_FACTS = NodeFacts(node="n1", wall_ns=1, routes=(Route(dst="10.0.0.0/8", device="eth0"),))
_STREAM = {"start": 0, "end": 0.1, "seconds": 0.1, "bits_per_second": 1e9, "lost_packets": 1}
_TEST = {"protocol": "TCP", "num_streams": 1, "blksize": 131072}
_IPERF = {
    "start": {"version": "iperf 3.12", "test_start": _TEST},
    "intervals": [{"streams": [_STREAM]}],
}
_POOL = {"kind": "IPPool", "metadata": {"name": "default"}, "spec": {"ipipMode": "Always"}}
_ENTRY = ledger.Entry(
    ref=Ref("IPPool", "default"),
    earlier=_POOL,
    fields=(ledger.Field(("spec", "ipipMode"), ("Never",)),),
)
_ROUND = {"number": 1, "phase": "warm", "pairs": [["n1", "n2"]]}
_VISIT = {"block": 1, "order": 1, "mode": "vxlan", "repeat": 1, "rounds": [_ROUND]}
_PLAN = {
    "seed": 1,
    "nodes": ["n1", "n2"],
    "modes": ["vxlan"],
    "aa_mode": "vxlan",
    "blocks": 1,
    "probes": ["latency"],
    "visits": [_VISIT],
    "block_s": 1.0,
    "exclusive": True,
}

TARGETS: dict[str, tuple[Decoder, tuple[bytes, ...]]] = {
    "answer": (
        answer,
        (
            b"\0" + _response(messages.Done(), {"latency/9": _sender()}),
            b"\3" + _response(messages.Facts(read=_FACTS), {}),
            b"\5" + _response(messages.Done(facts={"port": 5201}), {}),
            b"\6"
            + _response(messages.Ran(program="iperf3", version="3", exit_status=0, output=""), {}),
        ),
    ),
    "table": (table, (b"\0" + _packed(), b"\xff" + zlib.compress(_packed()))),
    "control": (
        control,
        (
            messages.encode(messages.Request(id=1, command=COMMANDS[0])),
            messages.encode(messages.AgentStatus(agent="n1", online=True)),  # type: ignore[arg-type] # a name
            topics.status("r", "n1").encode(),  # type: ignore[arg-type] # a name
        ),
    ),
    "transfer": (transfer, (json.dumps(_IPERF).encode(),)),
    "packets": (
        packets,
        (
            stamp.encode_sender(
                stamp.SenderPacket(
                    sequence=1, timestamp=2, session_id=3, tail=stamp_tlv.request_tail(20)
                )
            ),
            bytes(12) + b"\x08\x00\x45" + bytes(60),
        ),
    ),
    "journal": (
        journal,
        (msgspec.json.encode(Entry(event="round", wall_ns=1, block=1, arm="vxlan/pod", round=1)),),
    ),
    "run_files": (run_files, (json.dumps(_PLAN).encode(), b'{"format": 1, "run_id": "r"}')),
    "changes": (
        changes,
        (msgspec.json.encode(ledger.Line(event="planned", wall_ns=1, run_id="r", entry=_ENTRY)),),
    ),
    "limits": (limits, (b"slos:\n  - {metric: rtt_app_ns.p99, path: pod, max: 2ms}\n",)),
    "options": (options, (b"cni: calico\nmodes: [vxlan, bgp]\nbudget: 3m\nlabel: {a: b}\n",)),
}

del plan, Summary
