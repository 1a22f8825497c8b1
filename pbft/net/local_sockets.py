"""Where processes of one machine meet: Unix sockets beside a group's data.

Owns: the path of such a socket, also where a folder's own path is longer than the system lets a socket's be, that only
its owner can open it, and that nothing is left behind. Knows nothing of what is said there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import socket
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
    place = _private_place()
    _refuse_strangers(place)
    return str(place / hashlib.blake2b(os.fsencode(path), digest_size=16).hexdigest())


def open_socket(path: str) -> socket.socket:
    """Return a listening socket at a path that `socket_path` gave, for processes of this user alone. Raises OSError.

    Whoever calls holds a mark that nobody else holds: a socket that lies there was left behind by a killed process.
    """
    place = _private_place()
    if Path(path).parent == place:
        place.mkdir(mode=0o700, exist_ok=True)
        _refuse_strangers(place)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        remove_socket(path)
        listening.bind(path)
        # Nobody can connect before it listens.
        os.chmod(path, 0o600)
        listening.listen()
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def remove_socket(path: str) -> None:
    """Remove a socket if one lies at a path, and the private place with the last one in it.

    Raises OSError where something else lies there.
    """
    try:
        kind = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise FileExistsError(errno.EEXIST, "something that is no socket lies there", path)
    os.unlink(path)
    place = _private_place()
    if Path(path).parent == place:
        with contextlib.suppress(OSError):
            place.rmdir()


def _private_place() -> Path:
    return Path(tempfile.gettempdir()) / f"pbft-{os.getuid()}"


def _refuse_strangers(place: Path) -> None:
    """Refuse a folder that whoever made it before us could listen in, in our place."""
    with contextlib.suppress(FileNotFoundError):
        found = place.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PermissionError(
                errno.EACCES, "not a folder of this user alone; remove it, or choose shorter folders", str(place)
            )
