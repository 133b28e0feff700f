"""MQTT topics of a run: one subtree per run, one branch per agent.

    podbench/<run>/agent/<agent>/status     retained AgentStatus; the last will sets it offline
    podbench/<run>/agent/<agent>/command    Request, from the orchestrator
    podbench/<run>/agent/<agent>/answer     Response batches, from the agent

The agent's name is in every topic, so that a broker's ACL can hold each agent to its own branch.
"""

import msgspec

from podbench.model.errors import LocalProtocolError, RemoteProtocolError
from podbench.model.nodes import AgentId

ROOT = "podbench"
KINDS = ("status", "command", "answer")

_FORBIDDEN = frozenset("/+#\0 ")
"""`/` opens a level, `+` and `#` are wildcards, NUL is illegal (MQTT 5 sections 4.7.1, 4.7.3)."""


class Place(msgspec.Struct, frozen=True):
    """A parsed topic: agent and kind of message."""

    run_id: str
    agent: AgentId
    kind: str


def _level(name: str, what: str) -> str:
    if not name or _FORBIDDEN & set(name):
        raise LocalProtocolError(f"{what} {name!r} cannot be a topic level")
    return name


def _topic(run_id: str, agent: str, kind: str) -> str:
    return f"{ROOT}/{_level(run_id, 'run id')}/agent/{agent}/{kind}"


def status(run_id: str, agent: AgentId) -> str:
    """Returns the topic of this agent's retained status.

    Raises:
        LocalProtocolError: The run id or the agent's name cannot be a topic level.
    """
    return _topic(run_id, _level(agent, "agent"), "status")


def command(run_id: str, agent: AgentId) -> str:
    """Returns the topic of commands to this agent.

    Raises:
        LocalProtocolError: The run id or the agent's name cannot be a topic level.
    """
    return _topic(run_id, _level(agent, "agent"), "command")


def answer(run_id: str, agent: AgentId) -> str:
    """Returns the topic of this agent's answers.

    Raises:
        LocalProtocolError: The run id or the agent's name cannot be a topic level.
    """
    return _topic(run_id, _level(agent, "agent"), "answer")


def all_statuses(run_id: str) -> str:
    """Returns the filter for the status of all agents in a run.

    Raises:
        LocalProtocolError: The run id cannot be a topic level.
    """
    return _topic(run_id, "+", "status")


def all_answers(run_id: str) -> str:
    """Returns the filter for the answers of all agents in a run.

    Raises:
        LocalProtocolError: The run id cannot be a topic level.
    """
    return _topic(run_id, "+", "answer")


def parse(topic: str, of_run: str | None = None) -> Place:
    """Parses a topic.

    Raises:
        RemoteProtocolError: It is not one of ours, or of another run than `of_run`.
    """
    match topic.split("/"):
        case [root, run_id, "agent", agent, kind] if root == ROOT and kind in KINDS:
            if of_run not in (None, run_id):
                raise RemoteProtocolError(f"a topic of another run: {topic[:256]!r}")
            return Place(run_id, AgentId(agent), kind)
        case _:
            raise RemoteProtocolError(f"not a podbench topic: {topic!r}")
