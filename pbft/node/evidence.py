"""The folder in which a replica keeps evidence against others, one file a piece (design 4.13).

Owns: the files' names, how they are written so that none is ever half there, and how many there may be. Knows nothing
of how evidence is found; what a file says is `pbft.core.evidence`'s matter.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from pbft.core.effects import Evidence
from pbft.core.evidence import Misbehaviour, Place, place
from pbft.core.group import Group, ReplicaId

SUFFIX: Final = ".cbor"
KEPT_FILES: Final = 256
KEPT_BYTES: Final = 64 * 1024 * 1024
"""Shared by the replicas alike, as the files are: the last file of each may go beyond its part."""

_UNFINISHED: Final = "unfinished"


class EvidenceFolder:
    """Keeps one file for each culprit, kind and place; what is kept is never written again.

    Each replica has its part of the room, so that one that lies without end leaves some for proof against another.
    Files of an earlier run count.
    """

    def __init__(self, folder: Path, group: Group) -> None:
        """Take the folder that is made when there is something to keep."""
        self._folder = folder
        self._group = group
        self._sizes: dict[str, int] | None = None
        """What is kept, by file; None while nobody has looked."""

    def keep(self, evidence: Evidence) -> Path | None:
        """Return the file that holds evidence of this culprit, kind and place, written now unless it is there.

        None when there is no room for another, or when the two messages speak for no place. Raises OSError.
        """
        spot = place(evidence.first.kind, evidence.first.body)
        if spot is None:
            return None
        name = _file_name(evidence.culprit, spot)
        path = self._folder / name
        if self._sizes is None:
            self._sizes = self._look()
        if name in self._sizes:
            return path
        if not self._has_room(self._sizes, evidence.culprit):
            return None
        if not path.exists():
            self._write(path, Misbehaviour.of(self._group, evidence).to_bytes())
        self._sizes[name] = path.stat().st_size
        return path

    def _look(self) -> dict[str, int]:
        try:
            with os.scandir(self._folder) as entries:
                return {each.name: each.stat().st_size for each in entries if each.name.endswith(SUFFIX)}
        except FileNotFoundError:
            return {}

    def _has_room(self, sizes: dict[str, int], culprit: ReplicaId) -> bool:
        own = [size for name, size in sizes.items() if name.startswith(f"{culprit}-")]
        n = self._group.n
        return len(sizes) < KEPT_FILES and len(own) < max(1, KEPT_FILES // n) and sum(own) < KEPT_BYTES // n

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file that is there whole or not at all, whenever the machine stops."""
        self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        unfinished = self._folder / _UNFINISHED
        try:
            with unfinished.open("wb") as file:
                # To be handed to whoever wants to check it: it holds no secret.
                os.fchmod(file.fileno(), 0o644)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
        except OSError:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            raise


def _file_name(culprit: ReplicaId, spot: Place) -> str:
    parts = [str(culprit), spot.kind.name.lower().replace("_", "-")]
    if spot.view is not None:
        parts.append(f"v{spot.view}")
    if spot.sequence is not None:
        parts.append(f"s{spot.sequence}")
    return "-".join(parts) + SUFFIX
