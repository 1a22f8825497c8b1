"""A process's own log: one JSON object a line, in a file of bounded size.

Owns: the lines' form, the file's rotation, and who else hears of each line. Knows nothing of what is noted.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_FILE_BYTES: Final = 4 * 1024 * 1024
_KEPT_FILES: Final = 2
_SHOWN_CHARACTERS: Final = 500

Listener = Callable[[str, str, Mapping[str, object]], None]
"""Takes a line's level ("info", "warning" or "error"), its event and its fields. Must neither block nor raise."""


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(line, default=str)


class EventLog:
    """Writes events to a file; when that is full it becomes `.1`, and what was `.1` becomes `.2`."""

    def __init__(self, path: Path) -> None:
        """Open the file for appending. Raises OSError."""
        self.listeners: list[Listener] = []
        """Called with each line that was written."""
        self._handler = logging.handlers.RotatingFileHandler(
            path, maxBytes=_FILE_BYTES, backupCount=_KEPT_FILES, encoding="utf-8"
        )
        self._handler.setFormatter(_Lines())
        # A logger of its own, outside the tree of named ones: several replicas may live in one process.
        self._logger = logging.Logger("pbft", logging.INFO)
        self._logger.addHandler(self._handler)

    def note(self, event: str, **fields: object) -> None:
        """Write one line."""
        self._logger.info(event, extra={"fields": fields})
        self._tell("info", event, fields)

    def warn(self, event: str, **fields: object) -> None:
        """Write one line about something that an operator should look at."""
        self._logger.warning(event, extra={"fields": fields})
        self._tell("warning", event, fields)

    def fail(self, event: str, error: BaseException, **fields: object) -> None:
        """Write one line with the traceback of an error. Listeners hear of its kind and text."""
        self._logger.error(event, exc_info=error, extra={"fields": fields})
        self._tell("error", event, {"error": type(error).__name__, "text": text_of(error), **fields})

    def _tell(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        for listener in list(self.listeners):
            listener(level, event, fields)

    def close(self) -> None:
        """Close the file."""
        self._handler.close()


def text_of(error: BaseException) -> str:
    """Return how an error words itself, as far as a line shows it."""
    try:
        return str(error)[:_SHOWN_CHARACTERS]
    except (Exception, SystemExit):
        # How an error words itself is the application's code, which may break too.
        return "its text cannot be read"
