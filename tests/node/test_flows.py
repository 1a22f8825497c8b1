"""Flows of sampled sequences: what one replica saw of them, how many are noted, and that nobody makes that grow."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pbft.core.codec import MAX_UINT
from pbft.core.effects import CommittedLocal, Executed, ExecutedRequest, Persist, Prepared, StateInstalled, ViewEntered
from pbft.core.envelope import Envelope, Kind
from pbft.core.group import ReplicaId
from pbft.core.messages import Batch, Commit, Prepare, PrePrepare, Request, batch_digest, pack
from pbft.node.flows import FLOWS_A_LOOK, SHOWN_REQUESTS, Flows, sequence_of
from tests.node.parties import make_parties

PARTIES = make_parties()
LOG_SIZE = PARTIES.group.limits.log_size
BODIES: dict[Kind, Any] = {Kind.PRE_PREPARE: PrePrepare, Kind.PREPARE: Prepare, Kind.COMMIT: Commit}
OTHER = bytes([9]) * 32


def request(name: str, timestamp: int = 1, operations: int = 1) -> Envelope:
    client = PARTIES.client(name)
    body = pack(Request(client, bytes(16), timestamp, (b"op",) * operations))
    return Envelope(Kind.REQUEST, client, body, timestamp.to_bytes(32, "big") + client)


BATCH = pack(Batch(7, (request("alice", 3).to_bytes(), request("bob", 1, 2).to_bytes())))
DIGEST = batch_digest(BATCH)


def vote(kind: Kind, member: ReplicaId, sequence: int = 1, view: int = 0, digest: bytes = DIGEST) -> Envelope:
    beside = BATCH if kind is Kind.PRE_PREPARE else b""
    return Envelope(kind, member, pack(BODIES[kind](view, sequence, digest)), bytes(64), beside)


class Watched:
    """The flows of one replica, and a clock that moves on by 1 with each thing that happens."""

    def __init__(self, me: ReplicaId = 1, us: int = 1_000) -> None:
        self.flows = Flows(me, PARTIES.group, 0, 0)
        self.me = me
        self.us = us

    def hear(self, kind: Kind, member: ReplicaId, sequence: int = 1, view: int = 0, digest: bytes = DIGEST) -> int:
        return self.take(vote(kind, member, sequence, view, digest), member)

    def take(self, envelope: Envelope, sender: ReplicaId | bytes) -> int:
        self.us += 1
        self.flows.take_in(envelope, sender, self.us)
        return self.us

    def see(self, effect: Any) -> int:
        self.us += 1
        self.flows.watch(effect, self.us)
        return self.us

    def accept(self, sequence: int = 1, view: int = 0) -> int:
        """Let a backup vote for the primary's proposal."""
        primary = PARTIES.group.primary(view)
        return self.see(
            Persist(vote(Kind.PREPARE, self.me, sequence, view), (vote(Kind.PRE_PREPARE, primary, sequence, view),))
        )

    def commit(self, sequence: int = 1, view: int = 0) -> int:
        return self.see(Persist(vote(Kind.COMMIT, self.me, sequence, view), ()))

    def execute(self, sequence: int = 1, view: int = 0, digest: bytes = DIGEST) -> int:
        done = ExecutedRequest(PARTIES.client("bob"), bytes(16), 8, bytes(32), (0, 1))
        return self.see(Executed(view, sequence, digest, 0, (done,)))

    def changed(self) -> list[dict[str, Any]]:
        return self.flows.changed(self.us)

    def one(self) -> dict[str, Any]:
        (flow,) = self.changed()
        return flow


def certificate(kind: Kind, *members: ReplicaId, sequence: int = 1, view: int = 0) -> tuple[Envelope, ...]:
    return tuple(vote(kind, member, sequence, view) for member in members)


def test_a_backup_sees_each_vote_and_phase_with_its_time():
    """From the pre-prepare to the execution, its own votes among them, and what comes after that too."""
    watched = Watched(me=1)
    proposed = watched.hear(Kind.PRE_PREPARE, 0)
    own = watched.accept()
    second = watched.hear(Kind.PREPARE, 2)
    prepared = watched.see(Prepared(0, 1, DIGEST, certificate(Kind.PREPARE, 1, 2)))
    own_commit = watched.commit()
    commits = [watched.hear(Kind.COMMIT, member) for member in (0, 2)]
    committed = watched.see(CommittedLocal(0, 1, DIGEST, certificate(Kind.COMMIT, 0, 1, 2)))
    executed = watched.execute()
    late = [watched.hear(Kind.PREPARE, 3), watched.hear(Kind.COMMIT, 3)]

    assert watched.one() == {
        "sequence": 1,
        "view": 0,
        "digest": DIGEST.hex(),
        "requests": [
            {"client": "alice", "timestamp": 3, "operations": 1},
            {"client": "bob", "timestamp": 1, "operations": 2},
        ],
        "request_count": 2,
        "request_us": None,
        "pre_prepare_us": proposed,
        "prepares": {"1": own, "2": second, "3": late[0]},
        "prepared_us": prepared,
        "commits": {"0": commits[0], "1": own_commit, "2": commits[1], "3": late[1]},
        "committed_us": committed,
        "executed_us": executed,
        "differing": [],
    }
    assert watched.changed() == []


def test_a_primary_sees_when_the_request_came():
    """The first arrival counts, of whichever request of its batch; its proposal is its own."""
    watched = Watched(me=0)
    arrived = watched.take(request("bob", 1, 2), PARTIES.client("bob"))
    watched.take(request("bob", 1, 2), PARTIES.client("bob"))
    watched.take(request("alice", 3), PARTIES.client("alice"))
    proposed = watched.see(Persist(vote(Kind.PRE_PREPARE, 0), ()))

    flow = watched.one()
    assert (flow["request_us"], flow["pre_prepare_us"]) == (arrived, proposed)
    assert (flow["prepares"], [each["client"] for each in flow["requests"]]) == ({}, ["alice", "bob"])


def test_votes_that_come_first_are_shown_before_the_proposal_is():
    """Datagrams overtake each other: nothing is lost, and what was not proposed has no digest yet."""
    watched = Watched(me=1)
    early = watched.hear(Kind.PREPARE, 2)
    flow = watched.one()
    assert (flow["digest"], flow["pre_prepare_us"], flow["prepares"]) == (None, None, {"2": early})

    watched.hear(Kind.PRE_PREPARE, 0)
    assert watched.one()["prepares"] == {"2": early}


def test_whoever_names_another_digest_differs():
    """A vote for another batch, two votes of one member, a primary that proposes twice: each is told of its member."""
    watched = Watched(me=1)
    watched.hear(Kind.PRE_PREPARE, 0)
    watched.accept()
    watched.hear(Kind.PREPARE, 3, digest=OTHER)
    flow = watched.one()
    assert (list(flow["prepares"]), flow["differing"]) == (["1"], [3])

    watched.hear(Kind.COMMIT, 2)
    watched.hear(Kind.COMMIT, 2, digest=OTHER)
    assert watched.one()["differing"] == [2, 3]

    watched.hear(Kind.PRE_PREPARE, 0, digest=OTHER)
    assert watched.one()["differing"] == [0, 2, 3]


def test_a_batch_that_committed_against_this_replica_vote_shows_who_was_deceived():
    """A liar's first proposal is not what a quorum committed: the flow follows the quorum."""
    watched = Watched(me=1)
    watched.see(Persist(vote(Kind.PREPARE, 1, digest=OTHER), (vote(Kind.PRE_PREPARE, 0, digest=OTHER),)))
    watched.see(CommittedLocal(0, 1, DIGEST, certificate(Kind.COMMIT, 0, 2, 3)))
    flow = watched.one()
    assert (flow["digest"], flow["prepares"], flow["differing"]) == (DIGEST.hex(), {}, [0, 1])
    assert list(flow["commits"]) == ["0", "2", "3"]


def test_relayed_votes_count_once_a_certificate_names_them():
    """What one member says in another's name may be a lie, until the core has checked the signature."""
    watched = Watched(me=1)
    watched.hear(Kind.PRE_PREPARE, 0)
    watched.accept()
    watched.take(vote(Kind.PREPARE, 2), 3)
    watched.take(vote(Kind.PREPARE, 2), PARTIES.client("alice"))
    assert list(watched.one()["prepares"]) == ["1"]

    at = watched.see(Prepared(0, 1, DIGEST, (vote(Kind.PRE_PREPARE, 0), *certificate(Kind.PREPARE, 1, 2))))
    assert watched.one()["prepares"]["2"] == at


def test_what_came_by_repair_names_its_requests_from_their_fates():
    """No proposal was seen here, only that it committed and ran."""
    watched = Watched(me=1)
    watched.see(CommittedLocal(0, 1, DIGEST, certificate(Kind.COMMIT, 0, 2, 3)))
    watched.execute()
    flow = watched.one()
    assert flow["requests"] == [{"client": "bob", "timestamp": 8, "operations": 2}]
    assert (flow["request_count"], flow["pre_prepare_us"]) == (1, None)


def test_a_new_view_begins_what_was_not_executed_anew():
    """What it proposes again has its digest from the NEW-VIEW; votes of the new view that came early are kept."""
    watched = Watched(me=1)
    for sequence in (1, 2, 3):
        watched.hear(Kind.PRE_PREPARE, 0, sequence)
        watched.accept(sequence)
    watched.execute(1)
    early = watched.hear(Kind.PREPARE, 3, 2, view=1)
    watched.hear(Kind.PREPARE, 3, 1, view=1)
    assert [list(flow["prepares"]) for flow in watched.changed()] == [["1"], ["1"], ["1"]]

    entered = watched.see(ViewEntered(1, 1, (DIGEST,), ()))
    again, dropped = watched.changed()
    assert (again["sequence"], again["view"], again["digest"]) == (2, 1, DIGEST.hex())
    assert (again["pre_prepare_us"], again["prepares"], again["requests"]) == (entered, {"3": early}, [])
    assert (dropped["view"], dropped["digest"], dropped["pre_prepare_us"]) == (1, None, None)

    watched.accept(2, view=1)
    assert len(watched.one()["requests"]) == 2


def test_only_the_primary_of_the_view_proposes():
    """Anybody else's pre-prepare, or one for a view that this replica is not in, changes nothing."""
    watched = Watched(me=1)
    watched.hear(Kind.PRE_PREPARE, 2)
    watched.hear(Kind.PRE_PREPARE, 3, view=3)
    assert watched.changed() == []


def test_a_member_has_one_place_a_phase_whatever_it_sends():
    """Votes for later and later views take their own place only, and are no news until that view comes."""
    watched = Watched(me=1)
    watched.hear(Kind.PRE_PREPARE, 0)
    watched.accept()
    watched.hear(Kind.PREPARE, 2)
    watched.changed()
    for view in range(1, 500):
        watched.hear(Kind.PREPARE, 3, view=view)
        assert watched.changed() == []
    watched.hear(Kind.COMMIT, 3)
    assert list(watched.one()["prepares"]) == ["1", "2"]


def test_while_little_happens_every_sequence_is_shown():
    """Whoever sends a request by hand, even three in a second, sees each of hers."""
    watched = Watched(me=1)
    for sequence in range(1, 30):
        watched.us += 330_000
        watched.hear(Kind.PREPARE, 2, sequence)
        watched.execute(sequence)
        assert watched.one()["sequence"] == sequence


def run_at(watched: Watched, rate: int, first: int, count: int) -> list[int]:
    """Execute sequences at a rate, looking each 250 ms; return those that were shown."""
    shown, looked_us = [], watched.us
    for sequence in range(first, first + count):
        watched.us += 1_000_000 // rate - 2
        watched.hear(Kind.PREPARE, 2, sequence)
        watched.execute(sequence)
        if watched.us - looked_us >= 250_000:
            looked_us = watched.us
            shown += [flow["sequence"] for flow in watched.changed()]
    return shown


def test_under_load_two_or_three_a_second_are():
    """At whatever rate, the stride settles at a power of two; a second without work and all are shown again."""
    for rate in (10, 100, 333, 2_000):
        watched = Watched(me=1)
        shown = run_at(watched, rate, 1, 8 * rate)
        settled = [each for each in shown if each > 2 * rate]
        stride = watched.flows.stride(watched.us)
        assert 1.4 <= rate / stride <= 3.1
        assert settled == [each for each in range(2 * rate + 1, settled[-1] + 1) if each % stride == 0]
        assert len(shown) <= 4 * 8 + 16
        watched.us += 1_100_000
        watched.hear(Kind.PREPARE, 2, 8 * rate + 1)
        assert 8 * rate + 1 in [flow["sequence"] for flow in watched.changed()]


def test_replicas_that_hear_at_other_moments_sample_alike():
    """One that looks 100 ms later than another shows the same sequences, once both know the rate."""
    one, other = Watched(me=1), Watched(me=2, us=101_234)
    first, second = (run_at(each, 150, 1, 1_200) for each in (one, other))
    settled = [[each for each in shown if 300 < each < 1_100] for shown in (first, second)]
    assert settled[0] == settled[1] != []


def test_a_look_gives_few_and_the_newest_proposed_first():
    """What is left over comes with the next look, unless it is no longer sampled."""
    watched = Watched(me=1)
    for sequence in range(1, 8):
        watched.hear(Kind.PRE_PREPARE, 0, sequence)
    watched.hear(Kind.PREPARE, 3, 9)
    assert FLOWS_A_LOOK == 4
    assert [flow["sequence"] for flow in watched.changed()] == [4, 5, 6, 7]
    assert [flow["sequence"] for flow in watched.changed()] == [1, 2, 3, 9]
    assert watched.changed() == []


def test_a_flood_of_votes_pushes_out_what_nobody_proposed():
    """A liar votes for all that lies between the watermarks: what is proposed stays, and what follows finds room."""
    watched = Watched(me=1)
    for sequence in range(1, 6):
        watched.hear(Kind.PRE_PREPARE, 0, sequence)
    for sequence in range(LOG_SIZE + 50, 0, -1):
        watched.hear(Kind.COMMIT, 3, sequence)
    for sequence in range(6, 9):
        watched.hear(Kind.PREPARE, 2, sequence)
        watched.hear(Kind.PRE_PREPARE, 0, sequence)
        watched.accept(sequence)
    shown: list[dict[str, Any]] = []
    while some := watched.changed():
        shown += some
    assert len(shown) <= 40
    assert [flow["sequence"] for flow in shown if flow["digest"] is not None] == [5, 6, 7, 8, 1, 2, 3, 4]
    assert watched.flows._flows.keys() <= set(range(1, LOG_SIZE + 1))
    assert len(watched.flows._flows) == 32


def test_beyond_the_watermarks_nothing_is_noted():
    """Neither what was executed before anybody watched, nor what no replica can have proposed."""
    watched = Watched(me=1)
    watched.execute(10)
    for sequence in (0, 10, 10 + LOG_SIZE + 1, MAX_UINT):
        watched.hear(Kind.COMMIT, 2, sequence)
    assert watched.changed() == []


def test_a_state_taken_over_ends_what_led_there():
    """What will never execute here makes room, and the jump is no rate."""
    watched = Watched(me=1)
    for sequence in range(1, 33):
        watched.hear(Kind.PREPARE, 2, sequence)
    watched.see(StateInstalled(256, bytes(32), 3, 700))
    assert watched.flows.stride(watched.us) == 1
    assert watched.changed() == []
    watched.hear(Kind.PREPARE, 2, 257)
    assert watched.one()["sequence"] == 257


def test_arrivals_and_requests_shown_are_bounded():
    """However many requests come, and however many a batch holds."""
    watched = Watched(me=0)
    for timestamp in range(1, 2_000):
        watched.take(request("alice", timestamp), PARTIES.client("alice"))
    assert len(watched.flows._arrived) == 512
    large = pack(Batch(7, tuple(request("alice", each).to_bytes() for each in range(1, 101))))
    proposal = Envelope(Kind.PRE_PREPARE, 0, pack(PrePrepare(0, 1, batch_digest(large))), bytes(64), large)
    watched.see(Persist(proposal, ()))
    flow = watched.one()
    assert (len(flow["requests"]), flow["request_count"]) == (SHOWN_REQUESTS, 100)


def test_what_is_no_vote_is_passed_over():
    """Bodies that do not decode, and a liar's own nonsense in place of its vote, raise nothing."""
    watched = Watched(me=1)
    for body in (b"", b"\x83", b"\x83\x00\x01", pack(Prepare(0, 1, DIGEST))[:-1], b"\x83\x00\x1f", b"\x83\x00\x1b\x00"):
        for kind in BODIES:
            watched.take(Envelope(kind, 2, body, bytes(64)), 2)
            watched.see(Persist(Envelope(kind, 1, body, bytes(64)), ()))
    assert [flow["prepares"] for flow in watched.changed()] in ([], [{}])


@given(st.integers(0, MAX_UINT), st.integers(0, MAX_UINT))
def test_the_sequence_is_read_without_decoding_the_rest(view: int, sequence: int):
    """For every view and sequence that a vote can name."""
    assert sequence_of(pack(Commit(view, sequence, DIGEST))) == sequence


@given(st.binary(max_size=40))
def test_no_bytes_confuse_that_reading(body: bytes):
    """A number, or -1, whatever a liar sends."""
    assert -1 <= sequence_of(body) <= 2**64
