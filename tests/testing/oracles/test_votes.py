"""O5, O16, and no vote before it is durable: each fires on the one thing it is there for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pbft.core.effects import Broadcast, Effect, Evidence, Persist, Send
from pbft.core.envelope import Envelope, Kind, seal
from pbft.core.messages import Prepare, Reply, pack
from tests.testing.planted import Planter, fires

# O5, no equivocation; and no vote before it is durable.


@pytest.mark.parametrize("kind", [Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT])
@pytest.mark.parametrize("way", ["persist", "send", "broadcast"])
def test_o5_two_votes_in_one_place(kind: Kind, way: str) -> None:
    planter = Planter()
    overseer = planter.overseer(without=["persist-before-send", "O6"])

    def vote(digest: bytes) -> Effect:
        envelope = seal(planter.group, planter.members[1].signer, kind, 1, pack(Prepare(0, 1, digest)))
        ways: dict[str, Effect] = {
            "persist": Persist(envelope, ()),
            "send": Send(2, envelope),
            "broadcast": Broadcast(envelope),
        }
        return ways[way]

    overseer.judge(1, [vote(bytes(32)), vote(bytes(32))])
    fires(
        "O5",
        lambda: overseer.judge(1, [vote(b"x" * 32)]),
        f"replica 1 signed {kind.name} v0 s1 78787878, after 00000000",
    )


def test_o5_two_roots_for_one_sequence() -> None:
    """A reply commits its replica to the results of a sequence, whatever the view."""
    planter = Planter()
    overseer = planter.overseer()

    def reply(root: bytes) -> Broadcast:
        return Broadcast(seal(planter.group, planter.members[1].signer, Kind.REPLY, 1, pack(Reply(1, root))))

    overseer.judge(1, [reply(bytes(32))])
    fires("O5", lambda: overseer.judge(1, [reply(b"x" * 32)]), "replica 1 signed REPLY s1")


def test_o5_what_others_said_may_be_passed_on() -> None:
    """Relaying two votes of somebody who equivocates is no equivocation of one's own."""
    planter = Planter(byzantine=[3])
    overseer = planter.overseer()
    overseer.judge(1, [Send(2, planter.prepare(bytes(32), 3)), Send(2, planter.prepare(b"x" * 32, 3))])


@pytest.mark.parametrize("way", [Broadcast, lambda envelope: Send(2, envelope)])
def test_persist_before_send_fires_on_a_vote_that_leaves_too_early(way: Callable[[Envelope], Effect]) -> None:
    """The order within one list counts: a Persist after its Send is too late."""
    planter = Planter()
    overseer = planter.overseer()
    vote = planter.prepare(bytes(32), 1)
    early = [way(vote), Persist(vote, ())]
    fires("persist-before-send", lambda: overseer.judge(1, early), "replica 1 sent PREPARE v0 s1 00000000 before")


def test_a_vote_made_durable_once_may_be_sent_again() -> None:
    """Repair sends old votes again, long after their Persist."""
    planter = Planter()
    overseer = planter.overseer()
    vote = planter.prepare(bytes(32), 1)
    overseer.judge(1, [Persist(vote, ()), Broadcast(vote)])
    overseer.judge(1, [Send(3, vote)])


# O16, evidence.


@pytest.mark.parametrize(
    ("culprit", "first", "second", "words"),
    [
        (3, (3, bytes(32), 1), (3, b"x" * 32, 2), "which may both be said"),
        (3, (3, bytes(32), 1), (3, bytes(32), 1), "which may both be said"),
        (3, (2, bytes(32), 1), (3, b"x" * 32, 1), "a PREPARE it never signed"),
        (2, (2, bytes(32), 1), (2, b"x" * 32, 1), "which is correct"),
    ],
)
def test_o16_blame_for_the_innocent(
    culprit: int, first: tuple[int, bytes, int], second: tuple[int, bytes, int], words: str
) -> None:
    planter = Planter(byzantine=[3])
    votes = [planter.prepare(digest, by, sequence) for by, digest, sequence in (first, second)]
    evidence = Evidence(culprit, votes[0], votes[1])
    fires("O16", lambda: planter.overseer().judge(1, [evidence]), words)


def test_o16_a_forged_signature_blames_nobody() -> None:
    planter = Planter(byzantine=[3])
    forged = Envelope(Kind.PREPARE, 3, planter.prepare(b"x" * 32, 2).body, bytes(64))
    evidence = Evidence(3, planter.prepare(bytes(32), 3), forged)
    fires("O16", lambda: planter.overseer().judge(1, [evidence]), "never signed")


def test_o16_is_content_with_true_evidence() -> None:
    planter = Planter(byzantine=[3])
    votes = [planter.prepare(digest, 3) for digest in (bytes(32), b"x" * 32)]
    planter.overseer().judge(1, [Evidence(3, votes[0], votes[1])])
