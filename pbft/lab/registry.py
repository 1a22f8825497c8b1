"""Which local groups were started last, so that a command need not be told which one is meant.

Owns: one small file a group in the user's state folder. It is a convenience: where it cannot be kept nothing fails, and
a crash leaves at worst an entry whose group no longer runs, which is passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

from pbft.node.marks import holder


def note_started(directory: Path) -> None:
    """Remember that a group was started just now."""
    directory = directory.resolve()
    entry = json.dumps({"directory": str(directory), "started_ns": time.time_ns()})
    with contextlib.suppress(OSError):
        folder = _folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = hashlib.blake2b(os.fsencode(directory), digest_size=16).hexdigest()
        temporary = folder / f"{name}.{os.getpid()}.new"
        temporary.write_text(entry, encoding="utf-8")
        temporary.replace(folder / f"{name}.json")


def last_running() -> Path | None:
    """Return the folder of the group started last that still runs, if there is one."""
    started: list[tuple[int, str]] = []
    with contextlib.suppress(OSError):
        for path in _folder().glob("*.json"):
            try:
                entry = json.loads(path.read_text(encoding="utf-8"))
                started.append((int(entry["started_ns"]), str(entry["directory"])))
            except (OSError, ValueError, KeyError, TypeError):
                continue
    for _, directory in sorted(started, reverse=True):
        if is_running(Path(directory)):
            return Path(directory)
    return None


def is_running(directory: Path) -> bool:
    """Say whether any replica of the group in a folder runs on this machine, or a keeper that may start them again."""
    data = directory / "data"
    with contextlib.suppress(OSError):
        return any(holder(each) is not None for each in (data, *data.glob("replica-*")))
    return False


def _folder() -> Path:
    return state_folder() / "groups"


def state_folder() -> Path:
    """Return the folder in which programs of this user keep what is convenient and can be lost."""
    state = os.environ.get("XDG_STATE_HOME", "")
    # What is not absolute is to be ignored, says the specification of these folders.
    base = Path(state) if os.path.isabs(state) else Path("~/.local/state").expanduser()
    return base / "pbft"
