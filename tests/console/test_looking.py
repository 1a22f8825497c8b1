"""For whom `:wait ok` waits, and for whom it does not."""

from __future__ import annotations

from pbft.console.looking import _missing
from pbft.lab.state import Condition, LabState, ReplicaState
from pbft.lab.survey import HEALTHY, NO_ANSWER, NOT_RUNNING, Seen, Survey


def found(*health: str, lies: str | None = None) -> Survey:
    """A survey in which replica i is as told, and the last one lies."""
    last = len(health) - 1
    return Survey(
        tuple(Seen(i, None, None, words, lies if i == last else None) for i, words in enumerate(health)), 3, 2
    )


def kept(*conditions: Condition, misbehaviour: str | None = None) -> LabState:
    """What a keeper tells; the last replica lies."""
    last = len(conditions) - 1
    return LabState(
        tuple(ReplicaState(i, i + 100, each, misbehaviour if i == last else None) for i, each in enumerate(conditions)),
        1,
    )


def waited_for(survey: Survey, state: LabState | None) -> list[int]:
    return [each.replica for each in _missing(survey, state)]


def test_without_a_keeper():
    """Whoever was started must answer and keep up; a liar may do as it likes."""
    assert waited_for(found(HEALTHY, NO_ANSWER, "behind", NOT_RUNNING), None) == [1, 2]
    assert waited_for(found(HEALTHY, HEALTHY, HEALTHY, "behind", lies="Silent"), None) == []


def test_with_a_keeper():
    """Nobody waits for one that is hurt on purpose, but for one that just began before anybody else knows of it."""
    state = kept("running", "killed", "paused", "running")
    assert waited_for(found(HEALTHY, NOT_RUNNING, NO_ANSWER, NOT_RUNNING), state) == [3]
    lying = kept("running", "running", "running", "running", misbehaviour="Silent")
    assert waited_for(found(HEALTHY, HEALTHY, "view change", NO_ANSWER), lying) == [2]
