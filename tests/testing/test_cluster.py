"""What the cluster promises to tests: patience, reports that lead back to the failure, and drivers like real ones."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pbft.core.effects import BecameStable, Broadcast, Effect, Persist, Reason, StateInstalled, ViewEntered
from pbft.core.envelope import Envelope, Kind, Sender
from pbft.core.group import Limits, Quorums
from pbft.core.replica import Replica
from pbft.core.settings import Now
from pbft.machine import StateMachine, operation
from pbft.testing import CallFailed, Cluster, NotFinished, OracleFailure
from pbft.testing import engine as engines
from pbft.testing import station as stations
from pbft.testing.byzantine import Adversary
from pbft.testing.journal import Journal


class Restless(Adversary):
    """Claims to be due at every moment."""

    @property
    def deadline_ms(self) -> int | None:
        """Always now."""
        return 0


class Recorder(Adversary):
    """Writes down what its driver does with it."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.turns: list[tuple[str, int]] = []

    def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
        """Note the moment, and go on."""
        self.turns.append(("receive", now.monotonic_ms))
        return super().receive(envelope, sender, now)

    def tick(self, now: Now) -> list[Effect]:
        """Note the moment, and go on."""
        self.turns.append(("tick", now.monotonic_ms))
        return super().tick(now)


def test_impatience_tells_who_said_what_and_how_to_see_it_again() -> None:
    """A call that is not answered in time names itself, what was heard, the seed, the last lines and a command."""
    group = Cluster(Journal, seed=61, replay="python replay.py 61")
    alice = group.client("alice")
    group.network.isolate("alice")

    with pytest.raises(NotFinished) as stopped:
        group.gather(alice.call("write", "x"), within_ms=500)

    told = str(stopped.value)
    assert "alice.write('x') (heard: r0 silent, r1 silent, r2 silent, r3 silent) within 500 ms" in told
    assert "seed 61" in told
    assert "alice -> r0" in told
    assert told.endswith("replay: python replay.py 61")


def test_within_a_test_the_replay_is_that_test() -> None:
    """Without a command of its own, a run is seen again by running its test again."""
    test = "tests/testing/test_cluster.py::test_within_a_test_the_replay_is_that_test"
    assert Cluster(Journal, seed=62).story().endswith(f"replay: python -m pytest '{test}'")


def test_outside_of_tests_the_replay_is_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    assert Cluster(Journal, seed=62).story().endswith("replay: build this Cluster again with seed=62")


def test_an_oracle_failure_tells_the_run() -> None:
    """The failure of an oracle carries its id, its sentence, the seed and the trace up to it."""
    group = Cluster(Journal, seed=63, quorums=replace(Quorums.of(4), prepared=2), replay="again")
    alice = group.client("alice")

    with pytest.raises(OracleFailure) as failure:
        group.gather(alice.call("write", "x"))

    told = str(failure.value)
    assert told.startswith("O6: ")
    assert "seed 63, at " in told
    assert "proposed v0 s1" in told
    assert told.endswith("replay: again")


def test_another_exception_tells_the_run_too() -> None:
    """A bug that raises within the core comes with the same story, as a note."""

    class Broken(Adversary):
        def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
            """Break."""
            raise ZeroDivisionError

    group = Cluster(Journal, seed=64, byzantine={1: Broken})
    with pytest.raises(ZeroDivisionError) as failure:
        group.run(100)
    assert "seed 64" in failure.value.__notes__[0]


def test_a_party_that_spins_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual time would stand still for ever; the engine says who is to blame instead."""
    monkeypatch.setattr(engines, "MAX_TURNS_AT_ONCE", 20)
    group = Cluster(Journal, seed=65, byzantine={2: Restless})
    with pytest.raises(OracleFailure, match="r2 is due again and again"):
        group.run(100)


def test_a_driver_drains_what_has_arrived_and_then_ticks() -> None:
    """What arrives within one millisecond is received before the one tick that follows, as a real driver does."""
    group = Cluster(Journal, seed=66, clients=("alice", "bob", "carol"), byzantine={0: Recorder}, delay_ms=(5, 5))
    sessions = group.clients("alice", "bob", "carol")
    group.gather(*[session.call("write", session.label) for session in sessions])

    primary = group.replica(0)
    assert isinstance(primary, Recorder)
    moments = dict.fromkeys(moment for _, moment in primary.turns)
    for moment in moments:
        turn = [what for what, when in primary.turns if when == moment]
        assert turn == sorted(turn), "a tick before the inbox was empty"
        assert turn.count("tick") <= 1
    assert [len(batch.requests) for batch in group.history(1)] == [3]


def test_persists_are_kept_before_anything_leaves() -> None:
    """Each replica's vote is durable on its own disk, with what it rests on."""
    group = Cluster(Journal, seed=67)
    group.gather(group.client("alice").call("write", "x"))
    group.run_until_level()

    for replica in range(4):
        kinds = [persist.vote.kind for persist in group.durable(replica)]
        assert kinds == [Kind.PRE_PREPARE if replica == 0 else Kind.PREPARE, Kind.COMMIT]


def test_a_replica_that_sends_before_it_persists_is_found_out() -> None:
    """A core whose effects come in the wrong order, inside the whole simulator: the oracle stops the run."""

    class Hasty(Replica):
        def receive(self, envelope: Envelope, sender: Sender, now: Now) -> list[Effect]:
            """Let votes leave first."""
            effects = super().receive(envelope, sender, now)
            return sorted(effects, key=lambda effect: isinstance(effect, Persist) - isinstance(effect, Broadcast))

    group = Cluster(Journal, seed=68, replica_type=Hasty)
    with pytest.raises(OracleFailure) as failure:
        group.gather(group.client("alice").call("write", "x"))
    assert failure.value.oracle == "persist-before-send"


def test_clocks_differ_and_nobody_minds() -> None:
    """Monotonic clocks have nothing in common but their pace, and wall clocks are some milliseconds apart."""
    group = Cluster(Journal, seed=69, byzantine=dict.fromkeys(range(4), Recorder))
    group.run(50)
    cores = [group.replica(i) for i in range(4)]
    starts = [core.turns[0][1] for core in cores if isinstance(core, Recorder)]
    assert len(dict.fromkeys(starts)) == 4


def test_an_answer_needs_an_address() -> None:
    """A replica that never got a session's greeting cannot answer it, and says so in the trace."""
    group = Cluster(Journal, seed=70, trace_lines=None)
    group.network.on(Kind.HELLO, dst=3).drop(first=1)
    alice = group.client("alice")
    group.network.on(Kind.HELLO, dst=3).drop()
    group.gather(alice.call("write", "x"))
    group.run(100)
    assert any("r3 " in line and "has no address of alice: REPLY" in line for line in group.trace.last())


def test_a_crashed_replica_does_nothing_more() -> None:
    """It neither receives nor sends nor ticks, and its history ends where it died."""
    group = Cluster(Journal, seed=71, trace_lines=None)
    alice = group.client("alice")
    group.gather(alice.call("write", "x"))
    group.run_until_level()
    group.crash(3)
    before = len(group.trace.last())
    group.gather(alice.call("write", "y"))

    lines = group.trace.last()[before:]
    assert not [line for line in lines if line.split()[1:3] in (["r3", "<-"], ["r3", "->"]) or " <- r3" in line]
    assert len(group.history(3)) == 1
    assert group.histories_agree()


def test_histories_that_differ_do_not_agree() -> None:
    """The check at the end of a scenario is no formality: a state or a history that differs is seen."""
    group = Cluster(Journal, seed=72)
    alice = group.client("alice")
    group.gather(alice.call("write", "x"))
    group.run_until_level()
    assert group.histories_agree()

    right = group.history(2)[0]
    group.history(2)[0] = replace(right, digest=bytes(32))
    assert not group.histories_agree()
    group.history(2)[0] = replace(right, sequence=2)
    assert not group.histories_agree(), "a gap that no state fills"
    group.history(2).clear()
    assert group.histories_agree(), "a shorter history is the beginning of a longer one"


def test_states_that_differ_do_not_agree() -> None:
    """Equal histories are not enough: an application that is not deterministic shows in its state's digest."""
    made: list[Drifting] = []

    class Drifting(StateMachine):
        drift: int = 0

        def __init__(self) -> None:
            made.append(self)

        @operation
        def move(self) -> None:
            """End up somewhere else on each replica."""
            self.drift = next(place for place, machine in enumerate(made) if machine is self)

    group = Cluster(Drifting, seed=76)
    assert group.gather(group.client("alice").call("move")) == [None]
    group.run_until_level()
    assert not group.histories_agree()


def test_envelopes_of_a_tests_own_go_over_the_link_it_says() -> None:
    """A prepare of replica 2's that comes over the link of replica 3 is relayed, and must verify."""
    group = Cluster(Journal, seed=73)
    group.inject(Envelope(Kind.PREPARE, 2, b"\x83\x00\x01\x58\x20" + bytes(32), bytes(64)), to=1, sender=3)
    group.run(100)
    assert group.ignored(1)[Reason.BAD_SIGNATURE] == 1


def test_an_unknown_name_is_refused() -> None:
    group = Cluster(Journal, seed=74)
    with pytest.raises(ValueError, match="no client is called 'carol'; this group knows alice, bob"):
        group.client("carol")


def test_a_call_has_no_value_before_its_answer() -> None:
    group = Cluster(Journal, seed=75)
    call = group.client("alice").call("write", "x")
    assert not call.done
    assert call.outcome is None
    with pytest.raises(CallFailed, match=r"alice\.write\('x'\) has not been answered yet"):
        call.value()


def test_a_paused_replica_stands_still_and_goes_on() -> None:
    """It neither receives nor ticks; what came meanwhile it receives first of all, and then it ticks."""
    group = Cluster(Journal, seed=77, byzantine={3: Recorder}, trace_lines=None)
    alice = group.client("alice")
    group.gather(alice.call("write", "x"))
    group.run(500)
    paused = group.replica(3)
    assert isinstance(paused, Recorder)
    group.pause(3)
    before = len(paused.turns)
    group.gather(alice.call("write", "y"))
    group.run(500)
    assert len(paused.turns) == before

    group.resume(3)
    group.run(0)

    turns = [what for what, _ in paused.turns[before:]]
    assert turns.count("receive") > 5
    assert turns == sorted(turns), "a tick before the inbox was empty"
    group.run(1_000)
    assert group.executed(3) == 2


def test_to_resume_who_never_stood_still_changes_nothing() -> None:
    one, other = Cluster(Journal, seed=78), Cluster(Journal, seed=78)
    one.resume(2)
    for group in (one, other):
        group.run(100)
    assert one.trace_digest() == other.trace_digest()


def test_a_full_inbox_loses_what_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Like a socket's buffer: what waits already stays, and the loss is told."""
    monkeypatch.setattr(stations, "MAX_INBOX", 3)
    group = Cluster(Journal, seed=79, byzantine={3: Recorder}, trace_lines=None)
    paused = group.replica(3)
    assert isinstance(paused, Recorder)
    group.pause(3)
    for sequence in range(1, 6):
        group.inject(Envelope(Kind.PREPARE, 2, b"%d" % sequence, bytes(64)), to=3, sender=2)
        group.run(20)
    lost = [line for line in group.trace.last() if "r2 -> r3" in line and "lost: PREPARE" in line]
    assert len(lost) >= 2
    group.resume(3)
    group.run(0)
    assert [what for what, _ in paused.turns].count("receive") == 3


def test_heal_mends_everything_and_lets_everybody_go_on() -> None:
    """After it nothing is lost any more, whatever was cut, dropped, split, slowed or paused before."""
    group = Cluster(Journal, seed=80, loss=0.5, duplicate=0.5, reorder=0.5)
    alice = group.client("alice")
    group.network.isolate("alice")
    group.network.split((0, 1), (2, 3))
    group.network.on(Kind.PREPARE).drop()
    group.pause(1)
    call = alice.call("write", "x")
    group.run(2_000)
    assert not call.done

    group.heal()

    assert group.finish(call)[0].value() == 1
    assert group.histories_agree()


def test_what_is_planned_happens_at_its_moment() -> None:
    """In the order in which it was planned, and before what arrives in that millisecond is received."""
    group = Cluster(Journal, seed=81)
    happened: list[tuple[str, int]] = []
    for name, at_ms in (("late", 30), ("first", 20), ("second", 20)):
        group.at(at_ms, lambda name=name: happened.append((name, group.now_ms)))  # type: ignore[misc]
    group.run(25)
    assert happened == [("first", 20), ("second", 20)]
    group.at(0, lambda: happened.append(("past", group.now_ms)))
    group.run(10)
    assert happened[2:] == [("past", 25), ("late", 30)]


def test_a_call_tells_its_end_at_once() -> None:
    """A program that goes on when it is answered needs no polling."""
    group = Cluster(Journal, seed=82)
    alice = group.client("alice")
    moments: list[int] = []
    call = alice.call("write", "x")
    call.then = lambda: moments.append(group.now_ms)
    group.gather(call)
    assert moments == [group.now_ms]


def test_a_state_taken_over_fills_a_gap() -> None:
    """A replica cut off for several checkpoints takes over a state: its history has a gap, and the group agrees."""
    group = Cluster(Journal, seed=83, limits=Limits(checkpoint_interval=4, log_size=8))
    alice = group.client("alice")
    group.network.isolate(3)
    for word in range(20):
        group.gather(alice.call("write", f"word {word}"))
    group.heal()

    group.finish(alice.call("write", "the last"))

    assert group.steps(3, StateInstalled)
    assert len(group.history(3)) < len(group.history(0)) == group.executed(0) == group.executed(3)
    assert group.histories_agree()
    assert group.steps(0, BecameStable)[0].proof.sequence == 4


def test_views_are_counted_and_told() -> None:
    """The primary dies: the living enter view 1, and each step of it is kept for whoever asks."""
    group = Cluster(Journal, seed=84)
    alice = group.client("alice")
    group.gather(alice.call("write", "x"))
    group.crash(0)
    group.gather(alice.call("write", "y"))
    group.run_until(lambda: group.views() == {1})
    assert group.living == (1, 2, 3)
    assert group.correct == (0, 1, 2, 3)
    assert [step.view for step in group.steps(1, ViewEntered)] == [1]
    assert not group.steps(0, ViewEntered)
