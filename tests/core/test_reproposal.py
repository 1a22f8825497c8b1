"""What a new view proposes again: the pure function that primary and backups compute (OSDI'99 section 4.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.certificates import Certificates
from pbft.core.envelope import genuine
from pbft.core.group import Quorums
from pbft.core.messages import BEGINNING, NULL_DIGEST, CheckpointProof, PreparedCertificate, ViewChange
from pbft.core.reproposal import Reproposal, is_well_formed, repropose
from tests.core.builders import Scene
from tests.core.histories import (
    INVENTED,
    LOG_SIZE,
    History,
    Repropose,
    certificate,
    is_prepared,
    is_stable,
    proof,
)

QUORUMS = replace(Quorums.of(4), prepared=1, stable=1)
"""As many signatures as the model's certificates carry."""

A, B, C = (letter * 32 for letter in (b"a", b"b", b"c"))


def vote(*prepared: PreparedCertificate, stable: CheckpointProof = BEGINNING, view: int = 9) -> ViewChange:
    return ViewChange(view, stable, prepared)


def chosen(*votes: ViewChange) -> Reproposal:
    return repropose(votes, LOG_SIZE, is_stable, is_prepared)


# Cases.


def test_nothing_prepared_is_nothing_proposed_again():
    """A view after a quiet one begins with the next sequence."""
    assert chosen(vote(), vote(), vote()) == Reproposal(BEGINNING, ())


def test_what_one_vote_shows_is_proposed_again():
    """Of a quorum that holds one correct replica that prepared, one vote is enough."""
    assert chosen(vote(), vote(certificate(0, 1, A)), vote()).digests == (A,)


def test_the_highest_view_wins():
    """A later certificate took the earlier one's place with the consent of a quorum."""
    votes = [vote(certificate(view, 1, batch)) for view, batch in ((1, A), (3, B), (2, C))]
    for order in permutations(votes):
        assert chosen(*order).digests == (B,)


def test_an_invented_certificate_masks_nothing():
    """However high its view, what does not verify counts as absent, and the valid one below it is found."""
    votes = [vote(certificate(8, 1, C, INVENTED)), vote(certificate(0, 1, A)), vote(certificate(1, 1, B))]
    assert chosen(*votes).digests == (B,)
    assert chosen(votes[0], vote()).digests == ()


def test_null_requests_fill_the_gaps():
    """Up to the highest sequence that prepared, and not beyond, each sequence has its batch or the null request."""
    votes = [vote(certificate(0, 2, A)), vote(certificate(0, 5, B), certificate(0, 6, C, INVENTED))]
    assert chosen(*votes).digests == (NULL_DIGEST, A, NULL_DIGEST, NULL_DIGEST, B)


def test_the_highest_proven_checkpoint_is_where_it_starts():
    """What lies at or below it is settled; a higher one without proof is passed over."""
    low, high, unproven = proof(3), proof(6, A), proof(9, B, INVENTED)
    votes = [
        vote(certificate(0, 4, A), certificate(0, 7, B), stable=low),
        vote(certificate(0, 8, C), stable=high),
        vote(stable=unproven),
    ]
    assert chosen(*votes) == Reproposal(high, (B, C))
    assert chosen(votes[0], votes[2]) == Reproposal(low, (A, NULL_DIGEST, NULL_DIGEST, B))


def test_nothing_beyond_the_log_is_proposed_again():
    """A certificate above the new view's high watermark can only be of one who lies about its own low one."""
    beyond = vote(certificate(0, LOG_SIZE + 4, A), stable=proof(9, B, INVENTED))
    assert chosen(beyond, vote(certificate(0, LOG_SIZE, B))).digests == (NULL_DIGEST,) * (LOG_SIZE - 1) + (B,)


@pytest.mark.parametrize("stable", [0, 3])
def test_the_shape_of_a_vote(stable):
    """Certificates rise by sequence, lie between the watermarks of its checkpoint, and are of earlier views."""
    start = BEGINNING if stable == 0 else proof(stable)
    first, last = (certificate(8, sequence, A) for sequence in (stable + 1, stable + LOG_SIZE))
    assert is_well_formed(vote(stable=start), LOG_SIZE, QUORUMS)
    assert is_well_formed(vote(first, last, stable=start), LOG_SIZE, QUORUMS)
    for shape in (
        (last, first),
        (first, first),
        (certificate(9, stable + 1, A),),
        (certificate(8, stable, A),),
        (certificate(8, stable + LOG_SIZE + 1, A),),
    ):
        assert not is_well_formed(vote(*shape, stable=start), LOG_SIZE, QUORUMS)
    signed_oddly = proof(3).shares if stable == 0 else proof(3).shares * 2
    assert not is_well_formed(vote(stable=replace(start, shares=signed_oddly)), LOG_SIZE, QUORUMS)
    padded = replace(first, prepares=proof(3).shares)
    assert not is_well_formed(vote(padded, stable=start), LOG_SIZE, QUORUMS)


# Properties.

certificates = st.builds(
    certificate,
    st.integers(0, 4),
    st.integers(0, 3 * LOG_SIZE),
    st.sampled_from([A, B, C]),
    st.sampled_from([b"\1" * 64, INVENTED]),
)
proofs = st.builds(proof, st.sampled_from([3, 6, 9]), st.just(A), st.sampled_from([b"\1" * 64, INVENTED]))
votes_of_any_shape = st.lists(
    st.builds(ViewChange, st.just(5), st.just(BEGINNING) | proofs, st.lists(certificates, max_size=6).map(tuple)),
    min_size=1,
    max_size=5,
)


@given(votes_of_any_shape, st.randoms(use_true_random=False))
def test_the_order_of_votes_does_not_matter(votes, random):
    """Whoever computes it gets the same, in whatever order the votes came; one vote twice adds nothing."""
    result = chosen(*votes)
    shuffled = [*votes, random.choice(votes)]
    random.shuffle(shuffled)
    assert chosen(*shuffled) == result


@given(votes_of_any_shape)
def test_what_is_chosen_follows_from_what_verifies(votes):
    """Highest proven checkpoint; for each sequence the valid certificate of the highest view, or null; no more."""
    result = chosen(*votes)
    low = result.stable.sequence
    assert is_stable(result.stable)
    assert low == max([0, *(each.stable.sequence for each in votes if is_stable(each.stable))])
    valid = [each for every in votes for each in every.prepared if is_prepared(each)]
    within = [each for each in valid if low < each.sequence <= low + LOG_SIZE]
    assert low + len(result.digests) == max([low, *(each.sequence for each in within)])
    for sequence, digest in enumerate(result.digests, low + 1):
        there = [each for each in within if each.sequence == sequence]
        highest = [each.digest for each in there if each.view == max(other.view for other in there)]
        assert digest == min(highest, default=NULL_DIGEST)


@given(votes_of_any_shape)
def test_what_does_not_verify_changes_nothing(votes):
    """A vote with bad certificates or a bad proof is worth as much as without them: its sender could leave them out."""
    honest = [
        ViewChange(
            each.view,
            each.stable if is_stable(each.stable) else BEGINNING,
            tuple(one for one in each.prepared if is_prepared(one)),
        )
        for each in votes
    ]
    assert chosen(*votes) == chosen(*honest)


@given(st.data())
def test_a_flipped_bit_in_a_signature_never_masks_a_good_certificate(data):
    """With real signatures: whichever of the later certificate is altered, the earlier one is proposed again."""
    scene = Scene()
    certificates = Certificates(scene.group, lambda envelope: genuine(scene.group, scene.verifier, envelope))
    good = scene.certificate(scene.pre_prepare(1))
    later = scene.certificate(scene.pre_prepare(1, scene.request(), view=1))
    at = data.draw(st.integers(0, 63))
    which = data.draw(st.integers(-1, len(later.prepares) - 1))
    if which < 0:
        bad = replace(later, pre_prepare=flipped(later.pre_prepare, at))
    else:
        shares = list(later.prepares)
        shares[which] = replace(shares[which], signature=flipped(shares[which].signature, at))
        bad = replace(later, prepares=tuple(shares))
    for votes in ([vote(bad), vote(good)], [vote(good), vote(bad), vote()]):
        result = repropose(votes, 16, certificates.is_stable, certificates.is_prepared)
        assert result.digests == (good.digest,)
    assert repropose([vote(good), vote(later)], 16, certificates.is_stable, certificates.is_prepared).digests == (
        later.digest,
    )


def flipped(signature: bytes, at: int) -> bytes:
    return signature[:at] + bytes([signature[at] ^ 1]) + signature[at + 1 :]


# Safety.

SEEDS = range(600)
VIEWS = 5


def test_what_committed_is_proposed_again_in_every_later_view():
    """Whatever f liars hide, invent or say twice: no history loses or replaces what a quorum committed."""
    kept = 0
    for seed in SEEDS:
        history = History(seed, repropose).run(VIEWS)
        assert history.lost == [], f"history {seed}"
        kept += history.kept
    assert kept > 1_000


def without_views(votes: Sequence[ViewChange]) -> list[ViewChange]:
    """Return the votes as if each certificate's view were the opposite of what it is."""
    return [replace(each, prepared=tuple(replace(one, view=99 - one.view) for one in each.prepared)) for each in votes]


def lowest_view(votes, log_size, stable, prepared):
    return repropose(without_views(votes), log_size, stable, prepared)


def anything_goes(votes, log_size, stable, prepared):
    return repropose(votes, log_size, stable, lambda _: True)


def any_checkpoint(votes, log_size, stable, prepared):
    return repropose(votes, log_size, lambda _: True, prepared)


def one_vote_less(votes, log_size, stable, prepared):
    return repropose(votes[1:], log_size, stable, prepared)


def no_gaps_filled(votes, log_size, stable, prepared):
    result = repropose(votes, log_size, stable, prepared)
    return Reproposal(result.stable, tuple(each for each in result.digests if each != NULL_DIGEST))


def lowest_checkpoint_forgotten(votes, log_size, stable, prepared):
    result = repropose(votes, log_size, stable, prepared)
    return Reproposal(BEGINNING, result.digests)


MUTANTS: list[Callable[..., Reproposal]] = [
    lowest_view,
    anything_goes,
    any_checkpoint,
    one_vote_less,
    no_gaps_filled,
    lowest_checkpoint_forgotten,
]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_histories_tell_a_wrong_rule_from_the_right_one(mutant: Repropose):
    """Each wrong way to choose loses something that committed: a check that catches nothing would prove nothing."""
    assert any(History(seed, mutant).run(VIEWS).lost for seed in SEEDS)
