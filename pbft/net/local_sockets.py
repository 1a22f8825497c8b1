"""Where processes of one machine meet: Unix sockets beside a group's data.

Owns: the path of such a socket, also where a folder's own path is longer than the system lets a socket's be, and that
nobody else's folder is used. Knows nothing of what is said there.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

MAX_PATH_BYTES: Final = 100
"""What a socket's address holds on every system we know, with some room: 108 on Linux, 104 on macOS."""


def socket_path(folder: Path, name: str) -> str:
    """Return the path of a socket of this name in a folder, always the same one for the same two.

    Where the path would be too long, the socket lies in a folder of this user's own among temporary files, under a
    digest of the path. Raises OSError where that folder is somebody else's.
    """
    path = Path(os.path.abspath(folder)) / name
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        return str(path)
    place = Path(tempfile.gettempdir()) / f"pbft-{os.getuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    found = place.lstat()
    # Whoever made a folder of that name before us could listen in our place.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{place} is not a folder of this user alone; remove it, or choose shorter folders")
    return str(place / hashlib.blake2b(os.fsencode(path), digest_size=16).hexdigest())
