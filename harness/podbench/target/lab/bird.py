"""BIRD on every node: configuration, start, session state, end. What it learns is `proto bird`.

The configuration has what Calico's confd template gives its nodes (projectcalico/calico,
confd/etc/calico/confd/templates/bird.cfg.template and bird_aggr.cfg.template), in BIRD 2's words:
kernel protocol with learn, persist, graceful restart, merged paths and a 2 s scan; direct protocol
over everything but the pods' links, without which iBGP next hops do not resolve; full mesh in AS
64512 in which the node with the lower address waits for the other, graceful restart for 120 s,
connect delay 1 s and retry 3 s; the node's own blocks as blackholes, and only those announced.
Left out: `krt_tunnel` and BFD, which only Calico's own BIRD has in that form, and peers beyond the
mesh. Waiting until routes are in the kernel is `mesh`'s matter.
"""

import asyncio
import contextlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from podbench.model.errors import LabError
from podbench.model.facts import BgpSession
from podbench.target.lab import namespaces
from podbench.target.lab.layout import NodePlan
from podbench.transport import children

RUN = Path("/run/podbench")
AS_NUMBER = 64512
"""Calico's default AS number, private (RFC 6996)."""

RESTART_S = 120
"""How long peers keep the routes of a daemon that died (RFC 4724), as Calico's template has it."""

ANSWER_S = 5.0
"""A control socket that says nothing for so long belongs to a daemon in trouble."""

_CONFIG = """\
log "{log}" all;
router id {address};

protocol kernel {{
  learn;
  persist;
  scan time 2;
  graceful restart;
  merge paths on;
  # As Calico's routes have it; BIRD 2 would give 32.
  metric 0;
  ipv4 {{
    import all;
    # The other pools are programmed by Felix (calico_kernel_programming).
    export filter {{ if (net ~ [ {pools} ]) then accept; reject; }};
  }};
}}

protocol device {{ scan time 2; }}

protocol direct {{
  ipv4;
  interface -"cali*", "*";
}}

protocol static {{
  ipv4;
{blackholes}
}}

template bgp mesh {{
  local {address} as {number};
  multihop;
  graceful restart on;
  graceful restart time {restart_s};
  connect delay time 1;
  connect retry time 3;
  error wait time 5,60;
  ipv4 {{
    gateway recursive;
    import all;
    # Only whole blocks, nothing beneath them (calico_aggr).
    export filter {{ if (net ~ [ {blocks} ]) then accept; reject; }};
    add paths on;
  }};
}}
"""

_PEER = """
protocol bgp {name} from mesh {{
  neighbor {address} as {number};{passive}
}}
"""


class Announced(msgspec.Struct, frozen=True):
    """What one node announces of one pool."""

    pool_cidr: str
    block: str


def render(own: NodePlan, nodes: Sequence[NodePlan], announced: Sequence[Announced]) -> str:
    """The configuration of one node; `announced` has at least one block."""
    text = _CONFIG.format(
        log=RUN / f"bird-{own.name}.log",
        address=own.address,
        pools=", ".join(f"{each.pool_cidr}+" for each in announced),
        blocks=", ".join(each.block for each in announced),
        blackholes="\n".join(f"  route {each.block} blackhole;" for each in announced),
        number=AS_NUMBER,
        restart_s=RESTART_S,
    )
    for peer in nodes:
        if peer != own:
            text += _PEER.format(
                name="Mesh_" + peer.address.replace(".", "_"),
                address=peer.address,
                number=AS_NUMBER,
                # One side connects: two connections at once would end a graceful restart early.
                passive="\n  passive on;" if peer.number > own.number else "",
            )
    return text


def configure(own: NodePlan, text: str) -> Path:
    """Writes a node's configuration; a running daemon reads it on `reload`."""
    path = RUN / f"bird-{own.name}.conf"
    RUN.mkdir(exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def start(own: NodePlan, text: str) -> subprocess.Popen[bytes]:
    """Starts a node's daemon, as Calico does with `-R` so that a restart is graceful.

    Raises:
        PrerequisiteError: BIRD is not installed.
        LabError: It cannot be started.
    """
    program = children.find("bird", "bird2")
    config = configure(own, text)
    arguments = ["-f", "-R", "-c", str(config), "-s", str(control_socket(own.name))]
    return namespaces.spawn(own.name, [str(program), *arguments])


async def reload(own: NodePlan, text: str) -> None:
    """Gives a running daemon a new configuration.

    Raises:
        LabError: It does not answer, or refuses.
    """
    configure(own, text)
    try:
        async with asyncio.timeout(ANSWER_S):
            answer = await _ask(own.name, "configure")
    except (OSError, TimeoutError) as error:
        raise LabError(f"BIRD on {own.name} does not answer: {log_tail(own.name)}") from error
    if not answer[-1].startswith("Reconfigur"):
        raise LabError(f"BIRD on {own.name} refuses its configuration: {answer[-1]}")


def control_socket(node: str) -> Path:
    """Where `birdc -s` finds a node's daemon."""
    return RUN / f"bird-{node}.ctl"


async def sessions(node: str) -> tuple[BgpSession, ...]:
    """The node's BGP sessions as its daemon tells them; empty when no daemon answers.

    Raises:
        LabError: The daemon answers something else.
    """
    try:
        async with asyncio.timeout(ANSWER_S):
            lines = await _ask(node, "show protocols")
    except (OSError, TimeoutError):
        return ()
    return parse_sessions(lines)


def parse_sessions(lines: Sequence[str]) -> tuple[BgpSession, ...]:
    """Reads `show protocols`: name, proto, table, state, since, info, in columns.

    Raises:
        LabError: A BGP line has too few columns.
    """
    found = []
    for line in lines:
        fields = line.split()
        if len(fields) < 2 or fields[1] != "BGP":
            continue
        if len(fields) < 5:
            raise LabError(f"BIRD says something unknown about a session: {line!r}")
        found.append(
            BgpSession(
                peer=fields[0].removeprefix("Mesh_").replace("_", "."),
                # `info` is the BGP state (RFC 4271 section 8.2.2); without one the protocol's own.
                state=fields[5] if len(fields) > 5 else fields[3],
                since=fields[4],
            )
        )
    return tuple(found)


async def _ask(node: str, command: str) -> list[str]:
    """One command over the control socket: lines `NNNN-text`, ` text`, the last `NNNN text`."""
    reader, writer = await asyncio.open_unix_connection(str(control_socket(node)))
    try:
        await _answer(reader)
        writer.write(command.encode() + b"\n")
        await writer.drain()
        return await _answer(reader)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> list[str]:
    lines: list[str] = []
    while True:
        raw = await reader.readline()
        if not raw:
            raise ConnectionResetError("BIRD closed its control socket")
        line = raw.decode("utf-8", "replace").rstrip("\n")
        if line[:1] == " ":
            lines.append(line[1:])
        elif line[:4].isdigit():
            lines.append(line[5:])
            if line[4:5] != "-":
                return lines


def log_tail(node: str) -> str:
    """The last words of a node's daemon, for an error message."""
    try:
        lines = (RUN / f"bird-{node}.log").read_text("utf-8", "replace").splitlines()
    except OSError:
        return "it wrote no log"
    return lines[-1] if lines else "its log is empty"
