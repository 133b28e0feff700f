"""`bench lab up|exec|down`: a lab that stays up for exploration."""

import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from podbench.campaign.options.table import Options
from podbench.cli import flags, panels
from podbench.model import errors, units
from podbench.target.lab import control, syscalls
from podbench.target.lab.control import Description

if TYPE_CHECKING:
    from podbench.campaign.spec import RunSpec

app = panels.app("Start a lab and look around in it")

Foreground = Annotated[
    bool, typer.Option("--foreground", help="Stay in the foreground; Ctrl-C ends the lab")
]
Where = Annotated[str, typer.Argument(metavar="NODE-OR-POD", help="n1, n1-vxlan, ...")]
Command = Annotated[list[str], typer.Argument(metavar="-- CMD...", help="Command to run there")]


class _Started(msgspec.Struct, frozen=True, kw_only=True):
    """The one message of the detached process: the lab, or why it failed."""

    description: Description | None = None
    kind: str = ""
    message: str = ""
    advice: str | None = None


@app.command("up", cls=panels.Command)
@flags.takes("lab up")
def up(options: Options, foreground: Foreground = False) -> None:
    """Start a lab with real VXLAN, IPIP and BGP.

    Returns when it is ready.
    """
    from podbench.campaign import prerequisites, spec

    options = msgspec.structs.replace(options, target="lab", probes=["latency"])
    resolved = spec.resolve(options)
    # No agents here, so no broker.
    prerequisites.require(p for p in prerequisites.needed(resolved) if p != "mosquitto")
    if foreground:
        raise typer.Exit(_stay(resolved, as_json=options.json))
    _show(_detach(resolved), as_json=options.json)


def _stay(resolved: "RunSpec", *, as_json: bool) -> int:
    from podbench.cni import registry
    from podbench.target.lab import hold
    from podbench.target.lab.isolate import run_isolated

    def ready(description: Description) -> None:
        _show(description, as_json=as_json)
        print("Ctrl-C ends it", file=sys.stderr)
        sys.stdout.flush()

    with control.listen() as server:
        return run_isolated(
            lambda: hold.run(registry.driver(resolved.cni), resolved.lab, server, ready)
        )


def _detach(resolved: "RunSpec") -> Description:
    """Starts the lab in a separate process and waits until it is ready.

    Raises:
        PodbenchError: What the lab's process raised.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    process = syscalls.fork()
    if process == 0:
        os.close(reader)
        _live_apart(resolved, writer)
    os.close(writer)
    try:
        with os.fdopen(reader, "rb") as told:
            line = told.readline()
    except KeyboardInterrupt:
        os.kill(process, signal.SIGTERM)
        os.waitpid(process, 0)
        raise
    if not line:
        _, status = os.waitpid(process, 0)
        code = os.waitstatus_to_exitcode(status)
        raise errors.LabError(f"the lab ended with status {code} before it was ready")
    started = msgspec.json.decode(line, type=_Started)
    if started.description is None:
        os.waitpid(process, 0)
        kind = getattr(errors, started.kind, errors.LabError)
        raise kind(started.message, advice=started.advice)
    return started.description


def _live_apart(resolved: "RunSpec", writer: int) -> None:
    """The detached process; never returns."""

    def tell(started: _Started) -> None:
        os.write(writer, msgspec.json.encode(started) + b"\n")

    code = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nothing, stream)
        from podbench.cni import registry
        from podbench.target.lab import hold
        from podbench.target.lab.isolate import run_isolated

        with control.listen() as server:
            code = run_isolated(
                lambda: hold.run(
                    registry.driver(resolved.cni),
                    resolved.lab,
                    server,
                    lambda description: tell(_Started(description=description)),
                )
            )
    except errors.PodbenchError as error:
        tell(_Started(kind=type(error).__name__, message=str(error), advice=error.advice))
    except BaseException as error:  # noqa: BLE001 - the process's edge: nobody else hears of it
        trace = "".join(traceback.format_exception(error))
        tell(_Started(kind="LabError", message=f"the lab's process failed:\n{trace}"))
    os._exit(code)


@app.command(
    "exec",
    cls=panels.Command,
    context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True},
)
def exec_(name: Where, command: Command) -> None:
    """Run a command in a node or pod of the lab.

    Returns the command's exit status.
    """
    # Everything from the name on is the user's, so click leaves the separator in.
    wanted = command[1:] if command[:1] == ["--"] else command
    if not wanted:
        raise errors.ConfigError("exec: no command", advice="bench lab exec n1 -- ip route")
    raise typer.Exit(control.enter(name, wanted))


@app.command("down", cls=panels.Command)
def down() -> None:
    """End the running lab and check that nothing is left of it."""
    ended = control.down()
    nodes = ended.description.nodes
    pods = sum(len(node.pods) for node in nodes)
    how = "was killed, as it did not end by itself" if ended.forced else "has ended"
    if ended.left:
        numbers = ", ".join(str(pid) for pid in ended.left)
        raise errors.LabError(f"the lab {how}, but these processes are left: {numbers}")
    print(f"the lab {how}: {len(nodes)} nodes and {pods} pods are gone, nothing is left")


def _show(description: Description, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(description)).decode())
        return
    options = description.options
    print(f"a {description.cni} lab is up: network namespaces on one machine, not your cluster")
    for mode, implementation in description.implementations.items():
        what = implementation or f"not set up: {description.refused.get(mode)}"
        print(f"  {mode:8}{what}")
    if options.rate_bps is not None:
        print(f"  every link is limited to {units.show_bps(options.rate_bps)}")
    for loss in options.losses:
        print(f"  {units.show_ratio(loss.ratio)} of packets from {loss.src} to {loss.dst} are lost")
    if options.cpu_noise:
        print(f"  {options.cpu_noise} CPU burners run beside it")
    print(f"\n  {'name':14}{'address':18}{'MTU':6}process")
    for node in description.nodes:
        print(f"  {node.name:14}{node.address:18}{node.mtu_underlay:<6}{node.pid}")
        for pod in node.pods:
            print(f"  {pod.name:14}{pod.address:18}{pod.mtu:<6}{pod.pid}")
    print("\ntry:")
    for line in _suggestions(description):
        print(f"  {line}")


def _suggestions(description: Description) -> list[str]:
    first, second = description.nodes[:2]
    lines = [f"bench lab exec {first.name} -- ip route"]
    if first.pods:
        pod, other = first.pods[0], second.pod(first.pods[0].mode)
        lines.append(f"bench lab exec {pod.name} -- ping -c 3 {other.address}")
        lines.append(f"bench lab exec {second.name} -- tcpdump -ni eth0 -c 4")
    if "bgp" in description.implementations:
        socket = f"/run/podbench/bird-{first.name}.ctl"
        lines.append(f"bench lab exec {first.name} -- birdc -s {socket} show protocols")
    lines += [f"bench lab exec {first.name} -- bash", "bench lab down"]
    return lines
