"""Agent logging: one JSON object per line on stderr, constant event text plus fields."""

import logging
import sys

import msgspec

_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """`{"wall_ns", "level", "logger", "event", ...}`; what was given as `extra` follows."""

    def format(self, record: logging.LogRecord) -> str:
        """Formats a record as one line."""
        line: dict[str, object] = {
            "wall_ns": int(record.created * 1e9),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _ORDINARY}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


def set_up(level: str) -> None:
    """Sends every logger's records to stderr as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
