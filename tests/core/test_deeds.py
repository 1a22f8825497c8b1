"""What executed operations are remembered by, within which room, and how that is told."""

from __future__ import annotations

import pytest

from pbft.core.deeds import Deed, Deeds, digest_of, digest_of_all
from pbft.core.findings import EXCERPT_BYTES, MOST_WRITES, Excerpt
from pbft.core.state_messages import BATCHES, OPERATIONS, WRITES, Recall
from pbft.core.telling import ACCOUNT_BYTES, read_did, recollect, tell, write_did
from pbft.encoding import EncodingError, encode
from pbft.machine import Outcome, Result

FINE = Result(Outcome.OK, b"\x01")
OTHER = Result(Outcome.OK, b"\x02")


def deeds(batches: int, each: int = 1, **room: int) -> Deeds:
    """Return what is remembered of so many batches."""
    made = Deeds(**room)
    for sequence in range(1, batches + 1):
        made.begin(sequence)
        for number in range(each):
            made.note(sequence, FINE, [(0, b"%d" % number, b"%d" % sequence)])
    return made


def test_what_is_done_is_remembered_in_order_until_it_is_forgotten():
    """Each batch's operations, those that were passed over among them."""
    made = deeds(3)
    made.begin(4)
    made.note(4, OTHER, ())
    made.pass_over(4, 2)
    made.note(4, FINE, [(1, b"k", None)])
    assert made.of(4) == [(OTHER, ()), None, None, (FINE, ((1, b"k", None),))]
    assert (len(made), made.of(5)) == (7, None)
    made.forget(3)
    assert [made.of(each) is None for each in (1, 2, 3, 4)] == [True, True, True, False]
    assert (len(made), list(made.between(1, 4))) == (4, [4])


def test_a_batch_that_runs_again_is_remembered_anew():
    """After a state was put right; what the first time did stays with whoever looks into it."""
    made = deeds(2)
    before = made.between(1, 2)
    first = made.digest(2)[0]
    made.begin(2)
    made.note(2, OTHER, ())
    assert made.of(2) == [(OTHER, ())]
    assert made.digest(2)[0] != first
    assert before[2] == [(FINE, ((0, b"0", b"2"),))]


def test_the_room_ends_with_an_operation_and_comes_back_with_a_checkpoint():
    """The batch that uses up the last of it is remembered, the next ones are not."""
    made = deeds(6, each=2, most=5)
    assert [made.of(each) is not None for each in range(1, 7)] == [True, True, True, False, False, False]
    made.checkpoint()
    made.begin(7)
    assert made.of(7) == []
    made = Deeds(most=3)
    made.begin(1)
    made.pass_over(1, 3)
    made.begin(2)
    assert made.of(2) is None


def test_the_room_ends_with_bytes():
    """A batch that does not fit is not remembered in part, nor is any after it."""
    made = Deeds(most_bytes=2_000)
    for sequence in (1, 2, 3):
        made.begin(sequence)
        for _ in range(2):
            made.note(sequence, FINE, [(0, b"k", bytes(300))])
    assert [made.of(each) is not None for each in (1, 2, 3)] == [True, False, False]
    assert 600 < made.held_bytes <= 2_000
    made.checkpoint()
    made.begin(4)
    made.note(4, FINE, ())
    assert made.of(4) == [(FINE, ())]
    made.forget(4)
    assert (len(made), made.held_bytes) == (0, 0)


def test_a_digest_is_of_results_and_writes_whatever_their_order():
    """Hosts may write in different orders what comes to the same."""
    writes: list[tuple[int, bytes, bytes | None]] = [(1, b"a", b"1"), (0, b"b", None), (1, b"b", b"")]
    deed: Deed = (FINE, tuple(writes))
    assert digest_of(deed) == digest_of((FINE, tuple(reversed(writes))))
    others: list[Deed | None] = [
        None,
        (OTHER, deed[1]),
        (Result(Outcome.REJECTED, b"\x01"), deed[1]),
        (FINE, deed[1][:2]),
        (FINE, ((2, b"a", b"1"), *deed[1][1:])),
        (FINE, ((1, b"a", b"2"), *deed[1][1:])),
        (FINE, ((1, b"a", None), *deed[1][1:])),
    ]
    assert len({digest_of(each) for each in [deed, *others]}) == 1 + len(others)
    assert digest_of_all([deed, None]) != digest_of_all([None, deed])


def test_a_digest_that_is_asked_for_again_costs_nothing():
    """Whoever repeats a question does not keep a replica busy."""
    made = deeds(1, each=100)
    digest, cost = made.digest(1)
    assert cost > 10_000
    assert made.digest(1) == (digest, 0)
    assert made.digest(2) == (b"", 0)


def test_an_account_is_told_and_read_again():
    """Result and writes in the order of their keys; what is long is cut, and known by its digest."""
    long = bytes(EXCERPT_BYTES + 1)
    deed: Deed = (Result(Outcome.FAILED, long), ((2, b"a", None), (0, long, long), (1, b"b", b"")))
    did = tell(deed)
    assert [each.section for each in did.writes] == [0, 1, 2]
    assert (did.payload.size, len(did.payload.shown), len(did.payload.digest)) == (EXCERPT_BYTES + 1, EXCERPT_BYTES, 32)
    assert (did.writes[2].value, did.writes[1].value) == (None, Excerpt(b"", 0))
    for each in (did, tell(None)):
        items = write_did(each)
        assert read_did(items) == each
        assert all(len(item) <= 4_096 for item in items)


def test_the_largest_account_fits():
    """As many writes as are told, each as long as it may be; how many there were is told besides."""
    long = bytes(2**20)
    did = tell((Result(Outcome.OK, long), tuple((9, b"%d" % each + long, long) for each in range(200))))
    items = write_did(did)
    assert (len(did.writes), did.total_writes) == (MOST_WRITES, 200)
    assert sum(map(len, items)) < ACCOUNT_BYTES
    assert read_did(items) == did


GOOD = write_did(tell((FINE, ((0, b"k", b"v"),))))


@pytest.mark.parametrize(
    "items",
    [
        (),
        (b"",),
        (GOOD[1],),
        (GOOD[0], GOOD[0]),
        (GOOD[0], *[GOOD[1]] * (MOST_WRITES + 1)),
        (GOOD[0] + b"\0",),
        (encode([[1, 1], [b"", 0, b""], 0]),),
        (encode([[1], [bytes(EXCERPT_BYTES + 1), 0, b""], 0]),),
        (encode([[1], [b"", -1, b""], 0]),),
        (encode([["OK"], [b"", 0, b""], 0]),),
    ],
)
def test_what_is_no_account_is_refused(items):
    """Strictly: what a correct replica cannot have said is nothing."""
    with pytest.raises(EncodingError):
        read_did(items)


def test_questions_are_answered_from_what_is_remembered():
    """Level by level; what is forgotten is said to be."""
    made = deeds(4, each=3)
    made.forget(1)
    past = made.of(3)
    assert past is not None
    assert recollect(made, 4, Recall(BATCHES, 1, 6, 0))[0] == [b"", *(made.digest(each)[0] for each in (2, 3, 4))]
    assert recollect(made, 4, Recall(OPERATIONS, 3, 3, 0))[0] == list(map(digest_of, past))
    assert recollect(made, 4, Recall(OPERATIONS, 1, 1, 0)) == ([], 0)
    assert recollect(made, 4, Recall(WRITES, 3, 3, 2))[0] == list(write_did(tell(past[2])))
    assert recollect(made, 4, Recall(WRITES, 3, 3, 3)) == ([], 0)
    assert recollect(made, 4, Recall(WRITES, 1, 1, 0)) == ([], 0)


def test_one_answer_digests_so_much_only():
    """It ends with the batch that passes the bound, and whoever asks on gets the next part."""
    made = Deeds()
    for sequence in range(1, 6):
        made.begin(sequence)
        made.note(sequence, FINE, [(0, b"k", bytes(300_000))])
    items, work = recollect(made, 5, Recall(BATCHES, 1, 5, 0))
    assert len(items) == 2
    assert work > 600_000
    assert len(recollect(made, 5, Recall(BATCHES, 3, 5, 0))[0]) == 2
    assert len(recollect(made, 5, Recall(BATCHES, 1, 5, 0))[0]) == 5
