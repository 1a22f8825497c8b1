"""A process's own log: one JSON object a line, in a file of bounded size.

Owns: the lines' form and the file's rotation. Knows nothing of what is noted.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_FILE_BYTES: Final = 4 * 1024 * 1024
_KEPT_FILES: Final = 2


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

    def warn(self, event: str, **fields: object) -> None:
        """Write one line about something that an operator should look at."""
        self._logger.warning(event, extra={"fields": fields})

    def fail(self, event: str, error: BaseException, **fields: object) -> None:
        """Write one line with the traceback of an error."""
        self._logger.error(event, exc_info=error, extra={"fields": fields})

    def close(self) -> None:
        """Close the file."""
        self._handler.close()
