"""What a keeper tells of its group, in the form in which it is told, and what is said where there is no keeper."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pbft.group_file import GroupFile
from pbft.lab.control import Control, find_state
from pbft.lab.faults import FaultError
from pbft.lab.making import make_group
from pbft.lab.starting import control_path
from pbft.lab.state import LabState, LinksState, ReplicaState
from pbft.net.local_sockets import open_socket
from pbft.node.marks import Mark

STATE = LabState(
    (
        ReplicaState(0, 11, "running"),
        ReplicaState(1, 12, "paused"),
        ReplicaState(2, 13, "running", "Equivocator", True),
        ReplicaState(3, None, "ended", "Silent", False, 70, "it said so"),
        ReplicaState(4, 14, "running", None, True),
        ReplicaState(5, None, "killed", None, False, -9),
        ReplicaState(6, None, "stopped", None, False, 0),
    ),
    2,
    LinksState(((0, 1),), (("*", "*", 20), (0, 2, 0)), ((1, 2, 50),), ("prepares: drop",), True, 7),
)


@pytest.fixture
def files(tmp_path: Path) -> GroupFile:
    return make_group(tmp_path / "group", "pbft_apps.counter:Counter")


def test_a_state_survives_json():
    """What is written is what is read, faulty replicas with their reasons beside it."""
    told = json.loads(json.dumps(STATE.to_json()))
    assert LabState.from_json(told) == STATE
    assert told["faulty"] == [
        [1, "paused"],
        [2, "lies: Equivocator"],
        [3, "ended"],
        [4, "restarted: forgot its votes"],
        [5, "killed"],
        [6, "stopped"],
    ]
    assert STATE.budget == (6, 2)
    assert (STATE.links.calm, LinksState().calm) == (False, True)


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {},
        {"replicas": 5},
        STATE.to_json() | {"faults": None},
        STATE.to_json() | {"links": {"cut": [[1]]}},
        STATE.to_json() | {"replicas": [{**STATE.to_json()["replicas"][0], "state": "asleep"}]},
    ],
)
def test_what_is_no_state(wrong: object):
    """Another program's words are refused in one way, whatever they are."""
    with pytest.raises(ValueError, match=r"."):
        LabState.from_json(wrong)


def test_nobody_to_ask(files: GroupFile):
    """Without a keeper the sentence says how to get one; a group that is no lab's has none and never will."""
    control = Control(files)
    with pytest.raises(FaultError, match=f"start the group with pbft up {files.directory}"):
        asyncio.run(control.fault(["kill", "2"]))
    with pytest.raises(FaultError, match="is no lab's"):
        asyncio.run(Control(replace(files, lab=False)).state())
    assert asyncio.run(find_state(files)) is None


@contextmanager
def keeper(files: GroupFile, *answers: bytes) -> Iterator[None]:
    """Listen in a keeper's place, and give the first question of each connection one of the answers."""
    mark = Mark.take(files.directory / "data")
    assert mark is not None
    mark.note(keeps=True)
    listening = open_socket(control_path(files))
    listening.setblocking(True)

    def serve() -> None:
        for answer in answers:
            connection, _ = listening.accept()
            with connection, connection.makefile("rb") as questions:
                questions.readline()
                connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        thread.join()
        listening.close()
        mark.release()


def test_answers(files: GroupFile):
    """Sentences, refusals and states."""
    said, refused = b'{"said": "done"}\n', b'{"error": "one sentence"}\n'
    state = json.dumps({"state": STATE.to_json()}).encode() + b"\n"
    with keeper(files, said, refused, state, state):
        control = Control(files)

        async def ask() -> None:
            assert await control.stop() == "done"
            with pytest.raises(FaultError, match="one sentence"):
                await control.fault(["kill", "2"])
            assert await control.state() == STATE
            assert await find_state(files) == STATE

        asyncio.run(ask())


@pytest.mark.parametrize("answer", [b"", b'{"said": "do', b"\xff\n", b"[]\n"])
def test_a_keeper_that_does_not_answer(files: GroupFile, answer: bytes):
    """It ends in the middle of a line, or says what is no answer: the sentence says how to be rid of it."""
    wanted = f"does not answer; stop the group: pbft down {files.directory}"
    with keeper(files, answer), pytest.raises(FaultError, match=wanted):
        asyncio.run(Control(files).state())


def test_a_state_of_another_release(files: GroupFile):
    """An answer that holds no state we know is refused in a sentence."""
    with keeper(files, b'{"state": {}}\n'), pytest.raises(FaultError, match="of another release"):
        asyncio.run(Control(files).state())


def test_following(files: GroupFile):
    """Events come until the keeper ends, half a line at the end is dropped."""
    first: dict[str, Any] = {"event": "lab", "us": 1}
    with keeper(files, json.dumps(first).encode() + b'\n[]\n{"event": "fa'):

        async def follow() -> list[dict[str, Any]]:
            return [event async for event in Control(files).follow()]

        assert asyncio.run(follow()) == [first]


def test_the_socket_is_for_its_user_alone(files: GroupFile):
    """Nobody else may connect, and what a killed keeper left behind is no hindrance."""
    (files.directory / "data").mkdir(mode=0o700)
    path = control_path(files)
    first = open_socket(path)
    again = open_socket(path)
    assert Path(path).stat().st_mode & 0o777 == 0o600
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.connect(path)
    first.close()
    again.close()
