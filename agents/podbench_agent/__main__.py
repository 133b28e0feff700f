"""`python -m podbench_agent --id n1-vxlan --broker unix:///run/podbench/mqtt.sock --run RUN`.

Starts the parts, announces them, serves commands until `Stop`, SIGTERM or SIGINT. The measuring
processes are forked before asyncio and its threads begin.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import podbench
from podbench.model.errors import ConfigError, PodbenchError
from podbench.model.nodes import AgentId
from podbench.transport.endpoint import Credentials, Endpoint, parse_broker, read_secret
from podbench.transport.mqtt import serve_agent
from podbench.wire import messages, topics
from podbench_agent import logs
from podbench_agent.agent import Agent
from podbench_agent.workers import Workers, start_workers

logger = logging.getLogger("podbench_agent")

DEFAULT_PORT = 8620
"""862 (RFC 8762 section 4.1) needs a capability; ports from 1024 on must be configurable."""
KEY_BYTES = 16
"""HMAC keys shorter than this are refused, as for the instrument on its own."""
END_S = 1.8
"""After a signal this process is gone within two seconds, whatever still hangs."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="podbench_agent", description=__doc__)
    parser.add_argument("--id", required=True, help="this agent's name: n1-vxlan")
    parser.add_argument("--broker", required=True, help="unix:///path, mqtt[s]://host:port")
    parser.add_argument("--run", required=True, help="the run's id: its part of the broker")
    parser.add_argument("--bind", default="0.0.0.0", help="the reflector's address")  # noqa: S104 a pod's only one
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="the reflector's UDP port")
    parser.add_argument("--username", help="at the broker; this agent's name where not given")
    parser.add_argument("--password-file", type=Path, help="the password for the broker")
    parser.add_argument("--ca-file", type=Path, help="PEM: whom to trust as the broker")
    parser.add_argument("--hmac-key-file", type=Path, help="its octets authenticate STAMP")
    parser.add_argument("--node", help="the node this agent runs on")
    parser.add_argument("--log-level", default="info")
    return parser.parse_args(arguments)


async def _capabilities(
    options: argparse.Namespace, agent: Agent, workers: Workers
) -> dict[str, str | None]:
    """What this agent can do; null: tried and absent."""
    return {
        "stamp_source": workers.stamp_source,
        "reflector_port": None if workers.port is None else str(workers.port),
        "iperf3": await agent.transfers.version(),
        "node": options.node,
        "started": str(time.time_ns()),
    }


def _end_by_force(*_: object) -> None:
    os._exit(1)


def _on_signal(stop: asyncio.Event) -> None:
    stop.set()
    # The kernel ends the children with us (PR_SET_PDEATHSIG). As the first process of a container
    # we would ignore a signal without a handler.
    signal.signal(signal.SIGALRM, _end_by_force)
    signal.setitimer(signal.ITIMER_REAL, END_S)


def _broker(options: argparse.Namespace) -> Endpoint:
    def secret(option: str) -> str | None:
        path: Path | None = getattr(options, option)
        return None if path is None else read_secret(path, f"--{option.replace('_', '-')}")

    password = secret("password_file")
    name: str = options.username or options.id
    username = None if password is None else name
    return parse_broker(options.broker, Credentials(secret("ca_file"), username, password))


def _hmac_key(options: argparse.Namespace) -> bytes | None:
    path: Path | None = options.hmac_key_file
    if path is None:
        return None
    key = read_secret(path, "--hmac-key-file").encode()
    if len(key) < KEY_BYTES:
        raise ConfigError(f"--hmac-key-file: {path} holds {len(key)} octets, needs {KEY_BYTES}")
    return key


async def _serve(options: argparse.Namespace, workers: Workers) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, _on_signal, stop)
    agent = Agent(
        workers.prober,
        workers.reflector,
        absent=workers.absent,
        stop=stop,
        key=_hmac_key(options),
    )
    capabilities = await _capabilities(options, agent, workers)
    for part, why in workers.absent.items():
        logger.warning("part of the agent is absent", extra={"part": part, "why": why})
    logger.info("agent started", extra={"agent": options.id, "capabilities": capabilities})
    try:
        await serve_agent(
            _broker(options),
            run_id=options.run,
            status=messages.AgentStatus(
                agent=AgentId(options.id),
                online=True,
                version=podbench.__version__,
                pid=os.getpid(),
                capabilities=capabilities,
            ),
            handler=agent.handle,
            stop=stop,
        )
    finally:
        await agent.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one agent; returns the exit status."""
    options = parse(arguments)
    logs.set_up(options.log_level)
    try:
        _broker(options).context()
        topics.command(options.run, AgentId(options.id))
        workers = start_workers(options.bind, options.port, _hmac_key(options))
    except PodbenchError as error:
        logger.error("agent cannot start", extra={"why": str(error), "advice": error.advice})  # noqa: TRY400 its reason is enough
        return error.exit_code
    try:
        asyncio.run(_serve(options, workers))
    finally:
        workers.stop()
    logger.info("agent ended", extra={"agent": options.id})
    return 0


if __name__ == "__main__":
    sys.exit(main())
