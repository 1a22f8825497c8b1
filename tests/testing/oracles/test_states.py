"""O8, O11 and O12: states, answers and the application's invariant, held against a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from pbft.core.effects import BecameStable, Diverged, Effect, Executed, Ignored, Persist, Reason, StateInstalled
from pbft.core.envelope import Kind
from pbft.core.messages import Checkpoint, batch_digest
from pbft.core.replica import Replica
from pbft.core.session import Completed
from pbft.machine import Application, Context, Outcome, Result
from pbft.testing.oracles import Overseer, oversee
from tests.testing.planted import INTERVAL, SESSION, Nodding, Planter, fires

ONE, OTHER = b"1" * 32, b"2" * 32


def executing(planter: Planter, overseer: Overseer, sequence: int = 1, timestamp: int = 1) -> Executed:
    """Show a batch with one request of Alice's, and return its execution as it should be."""
    request = planter.request(timestamp)
    batch = planter.batch(request, time_ms=sequence)
    overseer.delivered(planter.pre_prepare(batch, sequence))
    fate = planter.fate(request, (0,), timestamp)
    return Executed(0, sequence, batch_digest(batch), sequence, (fate,))


def told(value: int = 5, sequence: int = 1, timestamp: int = 1, index: int = 0) -> Completed:
    """What Alice accepted."""
    return Completed(1, Result.of(Outcome.OK, value), 0, sequence, timestamp, (0, 1), (), (), 2, 1, None, index)


# O8, equal states.


@pytest.mark.parametrize(
    "say",
    [
        lambda planter, digest: Persist(planter.sealed(2, Kind.CHECKPOINT, Checkpoint(INTERVAL, digest)), ()),
        lambda planter, digest: BecameStable(planter.proof(INTERVAL, digest)),
        lambda planter, digest: StateInstalled(INTERVAL, digest, 1, 100),
    ],
)
def test_o8_two_checkpoints_of_one_sequence(say: Callable[[Planter, bytes], Effect]) -> None:
    planter = Planter()
    overseer = planter.only("O8")
    overseer.judge(1, [Persist(planter.sealed(1, Kind.CHECKPOINT, Checkpoint(INTERVAL, ONE)), ())])
    overseer.judge(2, [say(planter, ONE)])
    words = "sequence 4 is 31313131 for replica 1, 32323232 for replica 2"
    fires("O8", lambda: overseer.judge(2, [say(planter, OTHER)]), words)


def test_o8_a_checkpoint_that_the_model_does_not_share() -> None:
    """All replicas may agree on a wrong state: the model that executed the same batches does not."""
    planter = Planter()
    overseer = planter.only("O8")
    for sequence in range(1, INTERVAL + 1):
        overseer.judge(1, [executing(planter, overseer, sequence, sequence)])
    wrong = Persist(planter.sealed(1, Kind.CHECKPOINT, Checkpoint(INTERVAL, ONE)), ())
    fires("O8", lambda: overseer.judge(1, [wrong]), "for the model, 31313131 for replica 1")


def test_o8_a_replica_that_finds_itself_astray() -> None:
    planter = Planter()
    fires("O8", lambda: planter.only("O8").judge(1, [Diverged(INTERVAL, ONE, OTHER)]), "a quorum vouches for 32323232")


def test_o8_states_that_differ() -> None:
    """What lies in the application itself counts, at a sequence where two stand or where the model stands."""
    planter = Planter()

    def replica(i: int, said: int) -> Replica:
        application = Nodding()
        application.said = said
        return Replica(i, planter.group, application, planter.members[i].signer, planter.keys.verifier)

    overseer = planter.only("O8")
    overseer.sampled(replica(1, 0))
    fires("O8", lambda: overseer.sampled(replica(2, 7)), "after sequence 0 replica 2 has another state than the model")

    overseer.judge(1, [executing(planter, overseer)])
    ahead = planter.only("O8")
    ahead.judge(1, [executing(planter, ahead)])
    ahead.sampled(replica(1, 3))
    fires("O8", lambda: ahead.sampled(replica(2, 4)), "replica 2 has another state than replica 1")


def test_o8_a_state_that_was_taken_over_and_is_another() -> None:
    """Its digest is right, and what lies behind it is not: whoever took a state over is looked at by content, once."""

    class Deceiving(Nodding):
        def snapshot(self) -> Iterable[bytes]:
            """Tell something that the digest does not."""
            return [b"another"]

    planter = Planter()

    def replica(i: int, application: Nodding) -> Replica:
        return Replica(i, planter.group, application, planter.members[i].signer, planter.keys.verifier)

    overseer = planter.only("O8")
    overseer.sampled(replica(2, Deceiving()))
    overseer.judge(1, [StateInstalled(INTERVAL, ONE, 1, 100)])
    overseer.judge(2, [StateInstalled(INTERVAL, ONE, 1, 100)])
    overseer.sampled(replica(1, Nodding()))
    overseer.sampled(replica(1, Deceiving()))
    words = "after sequence 0 replica 2, which took over a state, has another application"
    fires("O8", lambda: overseer.sampled(replica(2, Deceiving())), words)


def test_o8_a_correct_source_that_is_refused() -> None:
    """What a correct replica gives of a state is never wrong; what a liar gives may be."""
    planter = Planter(byzantine=[3])
    overseer = planter.only("O8")
    overseer.judge(1, [Ignored(Reason.WRONG_DIGEST, 3, Kind.NODES), Ignored(Reason.NOT_WANTED, 2, Kind.NODES)])
    refused = Ignored(Reason.WRONG_DIGEST, 2, Kind.NODES)
    fires("O8", lambda: overseer.judge(1, [refused]), "replica 1 refused nodes of a state that replica 2 gave")


# O11, answers.


def test_o11_a_replica_that_comes_to_something_else() -> None:
    planter = Planter()
    overseer = planter.only("O11")
    right = executing(planter, overseer)
    wrong = Executed(0, 1, right.digest, 1, (planter.fate(planter.request(), (1,)),))
    fires("O11", lambda: overseer.judge(1, [wrong]), r"came to \[\(1,\)\] at sequence 1, the model to \[\(0,\)\]")


def test_o11_a_replica_with_another_time() -> None:
    planter = Planter()
    overseer = planter.only("O11")
    right = executing(planter, overseer)
    late = Executed(0, 1, right.digest, 2, right.requests)
    fires("O11", lambda: overseer.judge(1, [late]), "at the agreed time 2, the model at 1")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (told(value=6), "was told .* at sequence 1; the model came to"),
        (told(sequence=2), "at sequence 2; the model came to"),
        (told(index=1), "the model came to None"),
        (told(timestamp=2), "an answer to t2, which the model never ran"),
    ],
)
def test_o11_a_client_that_is_told_what_never_was(answer: Completed, words: str) -> None:
    """The payload counts to the byte, where O3 looks at outcomes alone."""
    planter = Planter()
    overseer = planter.only("O11")
    overseer.judge(1, [executing(planter, overseer)])
    overseer.completed(planter.alice.public_key, SESSION, told())
    fires("O11", lambda: overseer.completed(planter.alice.public_key, SESSION, answer), words)


# O12, the application's invariant.


class Leaking(Nodding):
    """Changes something even where it says no."""

    def execute(self, operation: bytes, context: Context) -> Result:
        """Count whatever is asked, and reject it."""
        self.said += 1
        return Result.of(Outcome.REJECTED, "no")


def test_o12_a_rejection_that_changes_something() -> None:
    planter = Planter()
    overseer = oversee(planter.facts(Leaking), ["O1", "O2", "O3", "O6", "O11"])
    fires("O12", lambda: overseer.judge(1, [executing(planter, overseer)]), "sequence 1 changed the state, though no")


def test_o12_an_invariant_that_no_longer_holds() -> None:
    """It is asked after every batch, once, of the model that has just executed it."""
    planter = Planter()
    asked: list[int] = []

    def invariant(machine: Application) -> str | None:
        assert isinstance(machine, Nodding)
        asked.append(machine.said)
        return "too much was said" if machine.said > 2 else None

    overseer = oversee(planter.facts(Nodding, invariant), ["O1", "O2", "O3", "O6"])
    for sequence in (1, 2):
        executed = executing(planter, overseer, sequence, sequence)
        for i in (1, 2, 3):
            overseer.judge(i, [executed])
    third = executing(planter, overseer, 3, 3)
    fires("O12", lambda: overseer.judge(1, [third]), "after sequence 3 too much was said")
    assert asked == [1, 2, 3]


def test_a_batch_that_cannot_be_read_ends_the_replay() -> None:
    """What executes though nobody ever showed it is O2's matter; the model neither guesses nor breaks."""
    planter = Planter()
    overseer = planter.only("O11", "O12")
    overseer.judge(1, [planter.executed(planter.batch(planter.request()), planter.request())])
    overseer.judge(1, [executing(planter, overseer, 2, 2)])
    assert overseer.record.executed == 0
