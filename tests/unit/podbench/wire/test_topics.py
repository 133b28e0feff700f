"""Topics of a run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podbench.model.errors import LocalProtocolError, RemoteProtocolError
from podbench.model.nodes import AgentId
from podbench.wire import topics

names = st.text(st.characters(codec="utf-8", exclude_characters="/+# \0"), min_size=1, max_size=20)


@given(run=names, agent=names)
def test_topics_read_back(run: str, agent: str) -> None:
    """A topic tells run, agent and kind, whatever their names."""
    for make, kind in (
        (topics.status, "status"),
        (topics.command, "command"),
        (topics.answer, "answer"),
    ):
        assert topics.parse(make(run, AgentId(agent))) == topics.Place(run, AgentId(agent), kind)


@pytest.mark.parametrize("name", ["", "a/b", "a+", "#", "a b", "a\0"])
def test_names_that_break_a_topic_are_refused(name: str) -> None:
    """Wildcards, separators and empty names never reach the broker."""
    with pytest.raises(LocalProtocolError):
        topics.command("run", AgentId(name))
    with pytest.raises(LocalProtocolError):
        topics.all_answers(name)


@pytest.mark.parametrize(
    "topic", ["", "podbench/r/agent/a/other", "else/r/agent/a/status", "podbench/r/a/status"]
)
def test_foreign_topics_are_refused(topic: str) -> None:
    """A topic that is not ours is the other side's error."""
    with pytest.raises(RemoteProtocolError):
        topics.parse(topic)


def test_filters_cover_every_agent_of_one_run() -> None:
    """The orchestrator's two filters have the wildcard in the agent's place only."""
    assert topics.all_statuses("r1") == "podbench/r1/agent/+/status"
    assert topics.all_answers("r1") == "podbench/r1/agent/+/answer"
