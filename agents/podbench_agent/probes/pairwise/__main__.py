"""`python -m podbench_agent.probes.pairwise NAME serve|run SETTINGS`: one end of a pairwise probe.

Prints one line of JSON: where the far end listens, or the near end's columns. A failure is one line
on stderr. The far end ends with the agent: its standard input then closes.
"""

import importlib
import json
import os
import signal
import sys
import threading

from podbench_agent import timestamping


def _end_with_the_agent() -> None:
    sys.stdin.read()
    os._exit(0)


def _say(result: object) -> None:
    print(json.dumps(result), flush=True)  # noqa: T201 - the answer to the agent


def main() -> int:
    """Runs one end; returns the exit status."""
    name, part, settings = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    timestamping.die_with_parent(signal.SIGKILL)
    probe = importlib.import_module(f"{__package__}.{name}")
    try:
        if part == "serve":
            threading.Thread(target=_end_with_the_agent, daemon=True).start()
            probe.serve(settings, _say)
        else:
            _say(probe.run(settings))
    except OSError as error:
        print(f"{name}: {error.strerror or error}", file=sys.stderr)  # noqa: T201 - its reason
        return 1
    return 0


sys.exit(main())
