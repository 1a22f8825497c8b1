"""The fixture `pbft_group` on virtual time, as tests of an application use it."""

from __future__ import annotations

import re

import pytest

from tests.plugin.writing import HEAD

pytest_plugins = ["pytester"]


def passes(pytester: pytest.Pytester, body: str, *options: str, passed: int = 1) -> None:
    """Run tests of a user, all of which pass, and say nothing of any group."""
    pytester.makepyfile(test_auction=HEAD + body)
    ran = pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)
    ran.assert_outcomes(passed=passed)
    ran.stdout.no_fnmatch_line("*pbft group*")


def test_the_example_of_the_plugin(pytester: pytest.Pytester) -> None:
    """Calls, pending calls, a rejection, every kind of fault, a replica that turns, and one demand at the end."""
    passes(
        pytester,
        """
@pytest.mark.pbft(app=Auction, replicas=4)
def test_bids(pbft_group):
    alice, bob = pbft_group.clients("alice", "bob")
    assert alice.call("bid", "lamp", 5) == 5
    pending = bob.submit("bid", "lamp", 7)
    assert not pending.done
    pbft_group.kill(0)
    assert pending.result() == 7
    assert pending.done
    with pytest.raises(Rejected, match="lamp stands at 7"):
        alice.call("bid", "lamp", amount=6)
    pbft_group.cut(1, 2)
    pbft_group.isolate(3)
    pbft_group.heal()
    pbft_group.pause(1)
    pbft_group.resume(1)
    pbft_group.make_byzantine(3, "Equivocator")
    assert pbft_group.correct == (0, 1, 2)
    pbft_group.assert_converged()
    assert pbft_group.check_linearizable()
""",
    )


def test_answers_are_those_of_real_clients(pytester: pytest.Pytester) -> None:
    """Every way a call ends has the class that `pbft.Client.call` raises, and a reply has the rest."""
    passes(
        pytester,
        """
@pytest.mark.pbft(app=Auction)
def test_ends(pbft_group):
    alice, bob = pbft_group.clients()
    assert (alice.name, bob.name) == ("alice", "bob")
    with pytest.raises(InvalidOperation, match="no operation"):
        alice.call("bidd", "lamp", 5)
    with pytest.raises(InvalidOperation):
        alice.call("bid", object(), 5)
    with pytest.raises(OperationFailed):
        alice.call("divide", 1, by=0)
    reply = alice.submit("bid", "lamp", 5).reply()
    assert (reply.value, len(reply.matching)) == (5, 2)
    began = pbft_group.now_ms
    for replica in range(4):
        pbft_group.pause(replica)
    with pytest.raises(Timeout, match="within 3 s"):
        alice.call("bid", "lamp", 6, timeout=3)
    assert pbft_group.now_ms <= began + 3_000
    for replica in range(4):
        pbft_group.resume(replica)
    assert bob.call("bid", "lamp", 9) == 9
""",
    )


def test_replicas_can_be_looked_at(pytester: pytest.Pytester) -> None:
    """A copy of a replica's application: whatever a test does to it, the replica's own stays."""
    passes(
        pytester,
        """
@pytest.mark.pbft(app=Auction, byzantine={2: "wrong-reply"})
def test_state(pbft_group):
    (alice,) = pbft_group.clients("alice")
    alice.call("bid", "lamp", 5)
    pbft_group.run(1_000)
    for replica in range(4):
        seen = pbft_group.state(replica)
        assert (dict(seen.winners), seen.rounds) == ({"lamp": "alice"}, 1)
        seen.winners["lamp"] = "mallory"
        seen.rounds = 99
    pbft_group.assert_converged()
    assert pbft_group.state(0).winners["lamp"] == "alice"
    assert pbft_group.cluster.executed(0) == 1
    assert pbft_group.n, pbft_group.faults == (4, 1)
    assert not pbft_group.real
""",
    )


def test_who_was_away_converges_once_it_can(pytester: pytest.Pytester) -> None:
    """A cut-off replica that nobody tells that it is behind, one that was killed and started again, one that lies."""
    passes(
        pytester,
        """
@pytest.mark.pbft(app=Auction, replicas=7, limits={"checkpoint_interval": 4, "log_size": 8}, loss=0.05)
def test_away(pbft_group):
    alice, bob = pbft_group.clients("alice", "bob")
    pbft_group.isolate(6)
    pbft_group.kill(5)
    for amount in range(1, 12):
        alice.call("bid", "lamp", amount)
    pbft_group.make_byzantine(0, "equivocate")
    with pytest.raises(NotConverged, match="replica 6 executed s0.*replica 6 is isolated: heal"):
        pbft_group.assert_converged()
    pbft_group.heal()
    pbft_group.assert_converged()
    pbft_group.restart(5)
    assert pbft_group.state(5).rounds == 0
    pbft_group.assert_converged()
    assert pbft_group.state(5).rounds == pbft_group.state(6).rounds == 11
    pbft_group.pause(4)
    with pytest.raises(NotConverged, match="replica 4 cannot converge while paused"):
        pbft_group.assert_converged()
""",
    )


def test_replicas_that_differ_are_named_with_the_key(pytester: pytest.Pytester) -> None:
    """An application that is not deterministic: who differs, in which key, and what each has."""
    pytester.makepyfile(
        HEAD
        + """
class Odd(StateMachine):
    names: Table[str, int]

    @operation
    def add(self, name: str) -> int:
        Odd.calls += 1
        self.names[name] = Odd.calls
        return 1

    calls = 0
    del calls

Odd.calls = 0

@pytest.mark.pbft(app=Odd)
def test_odd(pbft_group):
    (alice,) = pbft_group.clients("alice")
    alice.call("add", "x")
    pbft_group.assert_converged()
"""
    )
    ran = pytester.runpytest_inprocess()
    ran.assert_outcomes(failed=1)
    ran.stdout.re_match_lines(
        [r"E .*NotConverged: no equal states within \d+ ms: replicas 0, 1, 2 and 3 executed s2.*"]
    )
    ran.stdout.re_match_lines([r"E .*another state than replica 0: the key 'x' of names is \d there and \d here"])


def test_mistakes_in_a_test_are_one_sentence_each(pytester: pytest.Pytester) -> None:
    """What cannot be is refused where it is asked for, and says what to write instead."""
    passes(
        pytester,
        """
@pytest.mark.pbft(app=Auction, byzantine={3: "Silent"})
def test_mistakes(pbft_group):
    group = pbft_group
    with pytest.raises(Misused, match="there is no replica 4; they are 0 to 3"):
        group.kill(4)
    with pytest.raises(Misused, match="there is no replica 'r1'"):
        group.pause("r1")
    with pytest.raises(Misused, match="no client is called 'carol'; this group knows alice, bob; name more"):
        group.client("carol")
    with pytest.raises(Misused, match="replica 2 has none to itself"):
        group.cut(2, 2)
    with pytest.raises(Misused, match="did you mean"):
        group.make_byzantine(0, "Equivocater")
    with pytest.raises(Misused, match="a misbehaviour is a class of pbft.testing.byzantine or its name"):
        group.make_byzantine(0, Auction)
    with pytest.raises(Misused, match="4 replicas survive 1 faulty one, and 3 already counts: replica 0 would be one"):
        group.make_byzantine(0, "Silent")
    with pytest.raises(Misused, match="replica 3 is byzantine already"):
        group.make_byzantine(3, "Silent")
    with pytest.raises(Misused, match="replica 0 runs already"):
        group.restart(0)
    with pytest.raises(Misused, match="prepares"):
        group.let("prepers: drop")
    group.kill(0)
    with pytest.raises(Misused, match="replica 0 is dead already"):
        group.kill(0)
    with pytest.raises(Misused, match="replica 0 has crashed and lies no more"):
        group.make_byzantine(0, "Silent")
    with pytest.raises(Misused, match="replica 0 is dead and cannot stand still"):
        group.pause(0)
    group.resume(1)
""",
    )


def test_an_invariant_is_asked_after_every_batch(pytester: pytest.Pytester) -> None:
    """The oracle says what is wrong, at the test's own line, and nothing of our code is shown."""
    pytester.makepyfile(
        HEAD
        + """
def few(auction):
    return f"there were {auction.rounds} rounds" if auction.rounds > 1 else None

@pytest.mark.pbft(app=Auction, invariant=few)
def test_rounds(pbft_group):
    (alice,) = pbft_group.clients("alice")
    alice.call("bid", "lamp", 1)
    alice.call("bid", "lamp", 2)
"""
    )
    ran = pytester.runpytest_inprocess()
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["*OracleFailure: O12: after sequence 2 there were 2 rounds", "*pbft group*"])
    assert not re.search(r"\n(?!test_)\S*\.py:\d+: ", ran.stdout.str())


def test_what_an_oracle_saw_is_not_passed_over(pytester: pytest.Pytester) -> None:
    """A test that swallows the failure fails at its end; one that goes beyond f on purpose does not."""
    pytester.makepyfile(
        HEAD
        + """
def none(auction):
    return "there was a round" if auction.rounds else None

@pytest.mark.pbft(app=Auction, invariant=none)
def test_swallows(pbft_group):
    (alice,) = pbft_group.clients("alice")
    with pytest.raises(AssertionError):
        alice.call("bid", "lamp", 1)

@pytest.mark.pbft(app=Auction, beyond=True, byzantine={2: "wrong-reply", 3: "wrong-reply"})
def test_beyond(pbft_group):
    (alice,) = pbft_group.clients("alice")
    with pytest.raises(AssertionError, match="alice was told"):
        for amount in range(1, 99):
            alice.call("bid", "lamp", amount)
"""
    )
    ran = pytester.runpytest_inprocess()
    ran.assert_outcomes(passed=2, errors=1)
    ran.stdout.fnmatch_lines(["an oracle of the simulator saw this*", "O12: after sequence 1 there was a round"])


def test_replicas_that_differ_are_seen_though_the_test_never_asks(pytester: pytest.Pytester) -> None:
    """At its end; when one turns, judged for what it was before; and where the test runs the cluster itself."""
    pytester.makepyfile(
        HEAD
        + """
import contextlib
import random

class Dice(StateMachine):
    total: int = 0

    @operation
    def throw(self) -> None:
        self.total += random.SystemRandom().randrange(10**6)

@pytest.mark.pbft(app=Dice)
def test_never_asks(pbft_group):
    pbft_group.client("alice").call("throw")

@pytest.mark.pbft(app=Auction)
def test_turns(pbft_group):
    pbft_group.client("alice").call("bid", "lamp", 1)
    pbft_group.cluster.replica(3)._execution._application.rounds = 7
    with pytest.raises(AssertionError, match="replica 3 has another state"):
        pbft_group.make_byzantine(3, "Equivocator")

@pytest.mark.pbft(app=Dice)
def test_runs_the_cluster(pbft_group):
    alice = pbft_group.client("alice")
    with contextlib.suppress(AssertionError):
        for _ in range(100):
            alice.submit("throw")
            pbft_group.cluster.run(500)
"""
    )
    ran = pytester.runpytest_inprocess()
    ran.assert_outcomes(passed=3, errors=3)
    ran.stdout.fnmatch_lines(["O8: after sequence 1 replica 0 has another state than the model"])


def test_a_group_of_which_nobody_is_left_does_not_converge(pytester: pytest.Pytester) -> None:
    passes(
        pytester,
        """
@pytest.mark.pbft(app=Auction)
def test_dead(pbft_group):
    for replica in range(4):
        pbft_group.kill(replica)
    with pytest.raises(NotConverged, match="no replica is left"):
        pbft_group.assert_converged()
""",
    )
