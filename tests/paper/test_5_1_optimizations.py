"""OSDI'99 section 5.1: ways to say less. None is taken here: the rules of section 4 hold as they are."""

from __future__ import annotations

from pbft.core.effects import Answer, Executed
from pbft.core.envelope import Kind
from pbft.core.replies import read_reply
from pbft.testing import Cluster
from pbft_apps.counter import Counter
from tests.core.builders import Scene
from tests.paper.stage import SIZES, Panel, only


@SIZES
def test_read_only_operations_are_ordered_like_others(n):
    """5.1: A read-only operation may be answered at once, by every replica for itself.

    Differs: it is ordered like a write, since an attacker can keep readers from ever finding a quorum of equal answers
    (Berger, Reiser, Bessani 2021; design 4.12).
    """
    group = Cluster(Counter, seed=53, n=n)
    alice, bob = group.clients("alice", "bob")
    group.gather(alice.call("add", 5))
    read = bob.call("value")
    assert group.gather(read) == [5]
    assert read.completed is not None
    assert (read.completed.sequence, len(group.history(0))) == (2, 2)


@SIZES
def test_nothing_is_executed_tentatively(n):
    """5.1: A request may be executed and answered tentatively once it is prepared.

    Differs: it is executed once it is committed-local, as section 4.2 says, so f+1 answers are enough and nothing is
    ever taken back.
    """
    watched = Scene(n).watch(1)
    proposal = watched.scene.pre_prepare(1, watched.scene.request())
    watched.give(proposal)
    assert not watched.prepare(proposal).of(Executed)
    assert watched.commit(proposal).of(Executed)


def test_every_replica_sends_the_whole_result():
    """5.1: All replicas but one may answer with the digest of a result only.

    Differs: each sends all of it, so that no client has to ask again because the one it chose is faulty.
    """
    scene = Scene()
    panel = Panel(scene, range(4))
    panel.tell(0, scene.request())
    panel.tick(0)
    panel.pass_on()
    answers = [read_reply(only(panel.turn(member).of(Answer)).envelope) for member in range(4)]
    assert [each.results[0].value for each in answers] == [(1, b"op")] * 4
    assert {each.envelope.kind for each in answers} == {Kind.REPLY}
