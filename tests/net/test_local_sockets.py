"""Where local sockets lie, who may open them, and that none is left behind."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pbft.net.local_sockets import MAX_PATH_BYTES, open_socket, remove_socket, socket_path


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder that temporary files go to, with nothing in it and a short name."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        yield Path(short)


def connects(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        try:
            asking.connect(path)
        except OSError:
            return False
        return True


def test_a_short_path_is_taken_as_it_is(temporary: Path):
    """The socket lies in the folder itself, and is its owner's alone; one that was left behind is replaced."""
    path = socket_path(temporary, "events")
    assert path == str(temporary / "events")
    for _ in range(2):
        with open_socket(path):
            assert connects(path)
            assert Path(path).stat().st_mode & 0o777 == 0o600
    remove_socket(path)
    remove_socket(path)
    assert list(temporary.iterdir()) == []


def test_a_long_path_gets_a_short_one(temporary: Path):
    """It is the same for the same folder and name, another for others, and its place goes with the last socket."""
    deep = temporary / ("d" * MAX_PATH_BYTES)
    one, other = socket_path(deep, "events"), socket_path(deep, "control")
    assert one == socket_path(deep, "events") != other
    assert list(temporary.iterdir()) == []
    with open_socket(one), open_socket(other):
        assert connects(one)
        assert Path(one).parent.stat().st_mode & 0o777 == 0o700
    remove_socket(one)
    assert not connects(one)
    remove_socket(other)
    assert list(temporary.iterdir()) == []


def test_a_strangers_place_is_refused(temporary: Path):
    """Where others may write, somebody could listen in our place."""
    deep = temporary / ("d" * MAX_PATH_BYTES)
    Path(socket_path(deep, "events")).parent.mkdir(mode=0o755)
    with pytest.raises(PermissionError, match="not a folder of this user alone"):
        socket_path(deep, "events")


def test_what_is_no_socket_stays(temporary: Path):
    """A file of that name is somebody's, and is not removed."""
    (temporary / "events").write_text("mine")
    with pytest.raises(FileExistsError, match="no socket"):
        open_socket(str(temporary / "events"))
    assert (temporary / "events").read_text() == "mine"
