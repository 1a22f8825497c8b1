"""Votes: one a member and view, verified when a certificate needs them, conflicts judged once each (design 4.4; R2)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pbft.core.envelope import Envelope, Kind, genuine
from pbft.core.messages import Prepare
from pbft.core.votes import Admission, Vote, Votes
from tests.core.builders import Scene, forged

BLUE, RED = b"\1" * 32, b"\2" * 32


class Booth:
    """Votes at sequence 1, with the group's real verifier behind a counter."""

    def __init__(self, n: int = 7) -> None:
        self.scene = Scene(n)
        self.votes = Votes()

    @property
    def verified(self) -> int:
        return self.scene.verifier.count

    def verify(self, envelope: Envelope) -> bool:
        return genuine(self.scene.group, self.scene.verifier, envelope)

    def ballot(self, member: int, value: bytes = BLUE, view: int = 0, bad: bool = False) -> Envelope:
        envelope = self.scene.say(member, Kind.PREPARE, Prepare(view, 1, value))
        return forged(envelope) if bad else envelope

    def cast(
        self,
        member: int,
        value: bytes = BLUE,
        *,
        view: int = 0,
        bad: bool = False,
        relayed: bool = False,
        trusted: bool = False,
    ) -> Admission:
        vote = Vote(value, self.ballot(member, value, view, bad), trusted)
        return self.votes.admit(view, member, vote, relayed=relayed, verify=self.verify)

    def certificate(self, needed: int, value: bytes = BLUE, view: int = 0) -> list[int] | None:
        """Return who signed the certificate, if there is one."""
        envelopes = self.votes.certificate(view, value, needed, self.verify)
        return None if envelopes is None else sorted(int(envelope.sender) for envelope in envelopes)


def test_nothing_is_verified_before_a_certificate_needs_it():
    """Votes on their signers' own links cost nothing until enough of them agree, and then only as many as it takes."""
    booth = Booth()
    for member in (1, 2):
        assert booth.cast(member) is Admission.HELD
        assert booth.certificate(3) is None
    assert booth.verified == 0
    for member in (3, 4, 5):
        booth.cast(member)
    assert booth.certificate(3) == [1, 2, 3]
    assert booth.verified == 3


def test_what_was_verified_is_not_verified_again():
    """Asking for the same certificate twice costs nothing more."""
    booth = Booth()
    for member in (1, 2, 3):
        booth.cast(member)
    assert booth.certificate(3) == [1, 2, 3]
    assert booth.certificate(3) == [1, 2, 3]
    assert booth.certificate(2) == [1, 2]
    assert booth.verified == 3


def test_a_bad_signature_makes_room_for_a_good_one():
    """A bad vote is dropped when it is verified; its member's good vote then counts."""
    booth = Booth()
    booth.cast(1, bad=True)
    booth.cast(2)
    booth.cast(3)
    assert booth.certificate(3) is None
    assert booth.votes.held(0, 1) is None
    assert booth.cast(1) is Admission.HELD
    assert booth.certificate(3) == [1, 2, 3]


def test_bad_signatures_do_not_spend_the_good_ones():
    """With more votes than needed, bad ones are passed over in one go."""
    booth = Booth()
    for member in range(6):
        booth.cast(member, bad=member < 3)
    assert booth.certificate(3) == [3, 4, 5]


def test_a_relayed_vote_must_verify_before_it_takes_its_signers_place():
    """Somebody else's word for a member's vote is worth its signature: a bad one never holds the place."""
    booth = Booth()
    assert booth.cast(1, bad=True, relayed=True) is Admission.BAD_SIGNATURE
    assert booth.votes.held(0, 1) is None
    assert booth.cast(1, relayed=True) is Admission.HELD
    assert booth.verified == 2
    assert booth.certificate(1) == [1]
    assert booth.verified == 2


def test_a_trusted_vote_counts_as_it_stands():
    """What its signer's link vouches for is not verified, neither when it comes nor when it counts."""
    booth = Booth()
    for member in (1, 2, 3):
        booth.cast(member, bad=True, trusted=True, relayed=member == 3)
    assert booth.certificate(3) == [1, 2, 3]
    assert booth.verified == 0


def test_a_second_signature_under_the_same_words_counts_nothing():
    """A vote's identity is its sender and value, never its signature bytes."""
    booth = Booth()
    booth.cast(1)
    assert booth.cast(1) is Admission.DUPLICATE
    assert booth.cast(1, bad=True) is Admission.DUPLICATE
    assert booth.cast(1, bad=True, relayed=True) is Admission.DUPLICATE
    assert booth.certificate(2) is None
    assert booth.verified == 0


def test_votes_are_grouped_by_value_and_by_view():
    """Votes for another value, or of another view, add nothing."""
    booth = Booth()
    booth.cast(1)
    booth.cast(2, RED)
    booth.cast(3, view=1)
    assert booth.certificate(2) is None
    assert booth.certificate(1, RED) == [2]
    assert booth.certificate(1, view=1) == [3]
    assert [member for member, _ in booth.votes.matching(0, BLUE)] == [1]


def test_two_signed_values_of_one_member_are_an_equivocation_and_the_first_stays():
    """Both votes are verified, and the first keeps its place."""
    booth = Booth()
    booth.cast(1)
    assert booth.cast(1, RED) is Admission.EQUIVOCATION
    assert booth.verified == 2
    assert booth.certificate(1) == [1]
    assert booth.certificate(1, RED) is None


def test_a_conflict_is_judged_once_however_many_come():
    """A flood of one member's conflicting votes on its own link costs no more than the first: two verifications."""
    booth = Booth()
    booth.cast(1)
    assert booth.cast(1, RED) is Admission.EQUIVOCATION
    for _ in range(50):
        assert booth.cast(1, RED) is Admission.CONFLICTING
        assert booth.cast(1, RED, bad=True) is Admission.CONFLICTING
    assert booth.verified == 2


def test_each_members_conflict_is_judged_apart():
    """What one member contradicts uses up nobody else's judgement, and a forgery of its own costs one verification."""
    booth = Booth()
    for member in (1, 2, 3):
        booth.cast(member)
    assert booth.cast(1, RED) is Admission.EQUIVOCATION
    assert booth.cast(2, RED, bad=True) is Admission.BAD_SIGNATURE
    assert booth.verified == 3
    assert booth.cast(3, RED) is Admission.EQUIVOCATION
    assert booth.verified == 5
    for member in (1, 2, 3):
        assert booth.cast(member, RED) is Admission.CONFLICTING
    assert booth.verified == 5


def test_what_others_relay_uses_up_no_judgement_of_the_link():
    """Forgeries that liars relay in a member's name cost one verification, and its own contradiction still counts."""
    booth = Booth()
    booth.cast(1)
    assert booth.cast(1, RED, bad=True, relayed=True) is Admission.BAD_SIGNATURE
    for _ in range(50):
        assert booth.cast(1, RED, bad=True, relayed=True) is Admission.CONFLICTING
    assert booth.verified == 1
    assert booth.cast(1, RED) is Admission.EQUIVOCATION
    assert booth.verified == 3
    for relayed in (False, True):
        assert booth.cast(1, RED, relayed=relayed) is Admission.CONFLICTING
    assert booth.verified == 3


def test_a_forged_conflict_does_not_touch_the_vote_held():
    """A vote in another's name is refused for its signature, and blames nobody."""
    booth = Booth()
    booth.cast(1)
    assert booth.cast(1, RED, bad=True, relayed=True) is Admission.BAD_SIGNATURE
    assert booth.certificate(1) == [1]


def test_a_genuine_conflict_takes_the_place_of_a_forged_vote():
    """Where the vote held turns out to be badly signed, the good one counts in its place."""
    booth = Booth()
    booth.cast(1, bad=True)
    assert booth.cast(1, RED) is Admission.HELD
    assert booth.certificate(1) is None
    assert booth.certificate(1, RED) == [1]


def test_votes_know_whether_any_are_held():
    """Empty votes are false."""
    booth = Booth()
    assert not booth.votes
    booth.cast(1)
    assert booth.votes


@given(
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from([BLUE, RED]), st.booleans(), st.booleans()), max_size=30),
    st.integers(1, 6),
)
def test_a_certificate_always_is_what_it_says(casts, needed):
    """Whatever arrives, a certificate holds exactly the votes asked for: distinct members, one value, all genuine."""
    booth = Booth()
    cast_well = {BLUE: set[int](), RED: set[int]()}
    for member, value, bad, relayed in casts:
        booth.cast(member, value, bad=bad, relayed=relayed)
        if not bad:
            cast_well[value].add(member)
    for value in (BLUE, RED):
        envelopes = booth.votes.certificate(0, value, needed, booth.verify)
        if envelopes is not None:
            assert len({envelope.sender for envelope in envelopes}) == len(envelopes) == needed
            assert all(booth.verify(envelope) for envelope in envelopes)
            assert {envelope.sender for envelope in envelopes} <= cast_well[value]
