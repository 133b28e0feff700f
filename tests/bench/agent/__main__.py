"""What an idle agent weighs, and how long it takes until it can be asked.

    .venv/bin/python tests/bench/agent [--starts 5]

Starts `python -m podbench_agent` on a private broker, several times: seconds from the start of the
process to its announcement, with both measuring processes ready, and the memory of all three once
it is idle. PSS counts a page that several processes share once; the goal is 80 MB and 1 s.
"""

import argparse
import asyncio
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from support.agents import N1, RUN, agent_process, proportional_kib, short_directory

from podbench.transport.broker import private_broker
from podbench.transport.mqtt import MqttFleet

GOAL_MB, GOAL_S = 80.0, 1.0


async def start() -> tuple[float, float]:
    """(seconds to the announcement, MB of agent and children) of one agent."""
    with short_directory() as directory:
        async with (
            private_broker(directory) as path,
            MqttFleet(f"unix://{path}", run_id=RUN) as fleet,
        ):
            began = time.monotonic()
            async with agent_process(path) as agent:
                await fleet.wait_ready([N1], 60)
                took = time.monotonic() - began
                await asyncio.sleep(0.5)
                return took, proportional_kib(agent.pid) * 1024 / 1e6


def main() -> int:
    """Prints each start and the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    found = [asyncio.run(start()) for _ in range(options.starts)]
    for took, weight in found:
        print(f"{took:.2f} s  {weight:.1f} MB")
    took, weight = (statistics.median(values) for values in zip(*found, strict=True))
    print(f"median {took:.2f} s (goal {GOAL_S:g}), {weight:.1f} MB (goal {GOAL_MB:g})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
