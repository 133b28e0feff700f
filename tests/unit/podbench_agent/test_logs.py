"""An agent's log lines."""

import json
import logging

from podbench_agent import logs


def error() -> ValueError:
    """An exception that was raised, so that it has a traceback."""
    try:
        int("x")
    except ValueError as caught:
        return caught
    raise AssertionError


def line(error: BaseException | None = None, **extra: object) -> dict[str, object]:
    """What one record becomes."""
    caught = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.LogRecord("podbench_agent", logging.INFO, "", 1, "started", (), caught)
    vars(record).update(extra)
    text = logs.JsonFormatter().format(record)
    assert "\n" not in text
    parsed: dict[str, object] = json.loads(text)
    return parsed


def test_a_record_is_one_json_line_with_its_fields() -> None:
    """Event, level, logger and every extra field, whatever its type, on one line."""
    read = line(agent="n1", odd=object)

    assert read["event"] == "started"
    assert (read["level"], read["logger"]) == ("info", "podbench_agent")
    assert read["agent"] == "n1"
    assert read["odd"] == "<class 'object'>"
    assert isinstance(read["wall_ns"], int)
    assert "traceback" not in read


def test_a_traceback_stays_on_the_line() -> None:
    """An exception's traceback is a field, so that lines stay whole."""
    assert "ValueError: invalid literal" in str(line(error())["traceback"])
