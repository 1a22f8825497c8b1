"""O4 fires on every step of a replica that does not follow from the one before."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pbft.core.effects import Broadcast, Effect, Persist, StateInstalled
from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import Checkpoint, Status, pack
from tests.testing.planted import INTERVAL, Planter, fires

STATE = bytes(32)


def status(view: int = 0, target: int = 0, stable: int = 0, executed: int = 0) -> Broadcast:
    """What replica 1 says of itself."""
    return Broadcast(Envelope(Kind.STATUS, 1, pack(Status(view, target, stable, executed, 0, True, b"", (), ()))))


@pytest.mark.parametrize("sequence", [1, 3])
def test_o4_a_gap_or_a_step_back(sequence: int) -> None:
    planter = Planter()
    overseer = planter.only("O4")
    overseer.judge(1, [planter.executed(planter.batch())])
    wrong = planter.executed(planter.batch(), sequence=sequence)
    fires("O4", lambda: overseer.judge(1, [wrong]), f"replica 1 executed sequence {sequence} after 1")


def test_o4_agreed_time_that_moves_back() -> None:
    planter = Planter()
    overseer = planter.only("O4")
    overseer.judge(1, [planter.executed(planter.batch(), time_ms=2_000)])
    earlier = planter.executed(planter.batch(), sequence=2, time_ms=1_999)
    fires("O4", lambda: overseer.judge(1, [earlier]), "moved back on replica 1, from 2000 to 1999")


def test_o4_a_state_that_no_quorum_vouches_for() -> None:
    """A gap is allowed where a state was taken over, and that only with the proof of the very state."""
    planter = Planter()
    overseer = planter.only("O4")
    fires(
        "O4", lambda: overseer.judge(1, [StateInstalled(INTERVAL, STATE, 1, 100)]), "of sequence 4 that it has no proof"
    )

    overseer.judge(1, [planter.stable(INTERVAL, STATE)])
    fires("O4", lambda: overseer.judge(1, [StateInstalled(INTERVAL, b"x" * 32, 1, 100)]), "that it has no proof for")

    overseer.judge(
        1, [StateInstalled(INTERVAL, STATE, 1, 100), planter.executed(planter.batch(), sequence=INTERVAL + 1)]
    )


def test_o4_a_state_of_the_past() -> None:
    planter = Planter()
    overseer = planter.only("O4")
    overseer.judge(1, [planter.executed(planter.batch(), sequence=sequence) for sequence in range(1, INTERVAL + 1)])
    overseer.judge(1, [planter.stable(INTERVAL, STATE)])
    fires("O4", lambda: overseer.judge(1, [StateInstalled(INTERVAL, STATE, 1, 100)]), "the state of sequence 4 after 4")


@pytest.mark.parametrize("kind", [Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT])
@pytest.mark.parametrize("view", [0, 2])
def test_o4_a_vote_in_a_view_it_is_not_in(kind: Kind, view: int) -> None:
    planter = Planter()
    overseer = planter.only("O4")
    overseer.judge(2, [planter.entered(view=1)])
    votes = {
        Kind.PRE_PREPARE: planter.pre_prepare(planter.batch(), view=view, by=2),
        Kind.PREPARE: planter.prepare(STATE, 2, view=view),
        Kind.COMMIT: planter.commit(STATE, 2, view=view),
    }
    words = f"voted {kind.name} v{view} s1 .* while in view 1"
    fires("O4", lambda: overseer.judge(2, [Persist(votes[kind], ())]), words)


def test_o4_a_vote_in_a_view_that_it_has_left() -> None:
    """Whoever asks for view 2 votes no more in view 0, nor in view 1, though it may come to that view later."""
    planter = Planter()
    overseer = planter.only("O4")
    overseer.judge(2, [Persist(planter.view_change(2, view=2), ())])
    fires("O4", lambda: overseer.judge(2, [Persist(planter.commit(STATE, 2), ())]), "after it asked for view 2")

    overseer.judge(2, [planter.entered(view=1)])
    late = Persist(planter.commit(STATE, 2, view=1), ())
    fires("O4", lambda: overseer.judge(2, [late]), "after it asked for view 2")

    overseer.judge(2, [planter.entered(view=2), Persist(planter.commit(STATE, 2, view=2), ())])


def test_o4_what_a_new_view_holds_was_voted_with_it() -> None:
    """A primary that has left its view again may still show a pre-prepare that its NEW-VIEW holds, with its batch."""
    planter = Planter()
    overseer = planter.only("O4")
    batch = planter.batch()
    proposal = planter.pre_prepare(batch, view=1, by=1)
    new_view = Persist(planter.new_view(planter.executed(batch).digest), ())
    overseer.judge(1, [new_view, planter.entered(planter.executed(batch).digest)])
    overseer.judge(1, [Persist(planter.view_change(1, view=2), ()), Persist(proposal, ())])

    other = Persist(planter.pre_prepare(planter.batch(time_ms=2), view=1, by=1), ())
    fires("O4", lambda: overseer.judge(1, [other]), "after it asked for view 2")


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([("view change", 2), ("view change", 2)], "asked for view 2 after 2"),
        ([("view change", 2), ("view change", 1)], "asked for view 1 after 2"),
        ([("entered", 2), ("view change", 2)], "asked for view 2 after 2"),
        ([("entered", 2), ("entered", 2)], "entered view 2 after view 2"),
        ([("entered", 2), ("entered", 1)], "entered view 1 after view 2"),
        ([("view change", 6), ("new view", 5)], "began view 5 after 6"),
        ([("new view", 2)], "began view 2, which is not its own"),
    ],
)
def test_o4_a_view_that_moves_back(steps: Sequence[tuple[str, int]], words: str) -> None:
    planter = Planter()
    overseer = planter.only("O4")

    def step(what: str, view: int) -> Effect:
        if what == "entered":
            return planter.entered(view=view)
        if what == "view change":
            return Persist(planter.view_change(1, view), ())
        body = planter.new_view(view=view).body
        return Persist(Envelope(Kind.NEW_VIEW, 1, body, bytes(64)), ())

    def take() -> None:
        for what, view in steps:
            overseer.judge(1, [step(what, view)])

    fires("O4", take, words)


@pytest.mark.parametrize("sequence", [INTERVAL, 1, 2 * INTERVAL])
def test_o4_a_checkpoint_out_of_turn(sequence: int) -> None:
    """Each is voted once, after its sequence was executed, and none lies between two intervals."""
    planter = Planter()
    overseer = planter.only("O4")
    overseer.judge(1, [planter.executed(planter.batch(), sequence=each) for each in range(1, INTERVAL + 1)])
    overseer.judge(1, [Persist(planter.sealed(1, Kind.CHECKPOINT, Checkpoint(INTERVAL, STATE)), ())])
    wrong = Persist(planter.sealed(1, Kind.CHECKPOINT, Checkpoint(sequence, STATE)), ())
    fires("O4", lambda: overseer.judge(1, [wrong]), f"voted CHECKPOINT s{sequence} .* after s4")


def test_o4_a_stable_checkpoint_that_moves_back() -> None:
    planter = Planter()
    overseer = planter.only("O4")
    overseer.judge(1, [planter.stable(2 * INTERVAL)])
    fires("O4", lambda: overseer.judge(1, [planter.stable(INTERVAL)]), "found s4 stable after s8")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ([status(1, 1), status(0, 1)], "in view 0, after 1"),
        ([status(1, 2), status(1, 1)], "asking for view 1, after 2"),
        ([status(executed=1), status(executed=0)], "at sequence 0, after 1"),
        ([status(executed=2)], "at sequence 2, and it is at sequence 1"),
        ([status(view=2)], "in view 2, and it is in view 1"),
        ([status(target=3)], "asking for view 3, and it is asking for view 2"),
        ([status(stable=INTERVAL)], "stable at 4, and it is stable at 0"),
    ],
)
def test_o4_a_status_that_moves_back_or_boasts(told: Sequence[Effect], words: str) -> None:
    planter = Planter()
    overseer = planter.only("O4")
    overseer.judge(1, [planter.executed(planter.batch()), planter.entered(view=1)])
    overseer.judge(1, [Persist(planter.view_change(1, view=2), ())])

    def tell() -> None:
        for each in told:
            overseer.judge(1, [each])

    fires("O4", tell, words)
