"""The log: watermarks, slots, and how little is kept (OSDI'99 section 4.2; attack P4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.envelope import Envelope, Kind
from pbft.core.log import Log, Proposal, Slot
from pbft.core.messages import PreparedCertificate, PrePrepare, batch_digest, pack

SIZE = 8


def test_the_watermarks_at_the_beginning():
    """h = 0 and H = L: sequence 0 does not exist, 1 to L do, L+1 does not yet."""
    log = Log(SIZE)
    assert (log.low, log.high, log.last) == (0, SIZE, 0)
    assert [sequence for sequence in range(-1, SIZE + 2) if log.within(sequence)] == list(range(1, SIZE + 1))


def test_the_low_watermark_is_the_last_stable_checkpoint():
    """h moves to each later stable checkpoint, H = h + L with it, and neither ever moves back (OSDI'99 section 4.3)."""
    log = Log(SIZE)
    for stable, low in [(0, 0), (4, 4), (12, 12), (8, 12)]:
        log.advance(stable)
        assert (log.low, log.high) == (low, low + SIZE)
        assert not log.within(low)
        assert log.within(low + 1)
        assert log.within(low + SIZE)
        assert not log.within(low + SIZE + 1)


def kept(log: Log, sequence: int) -> Slot:
    """Return a slot that the log keeps."""
    slot = log.slot(sequence)
    log.keep(slot)
    return slot


def test_what_lies_below_the_checkpoint_before_is_forgotten():
    """Slots between the last two stable checkpoints stay for slower peers, though nothing enters them any more."""
    log = Log(SIZE)
    slots = {sequence: kept(log, sequence) for sequence in range(1, SIZE + 1)}
    log.advance(4)
    assert all(log.find(sequence) is slots[sequence] for sequence in slots)
    log.advance(6)
    assert [sequence for sequence in slots if log.find(sequence) is None] == [1, 2, 3, 4]
    assert log.slot(7) is slots[7]


@pytest.mark.parametrize("sequence", [-1, 0, 2, SIZE + 3, 2**63 - 1])
def test_nothing_is_kept_outside_the_watermarks(sequence):
    """Asking for such a slot is the caller's mistake; looking for one finds nothing."""
    log = Log(SIZE)
    log.advance(2)
    with pytest.raises(ValueError, match="outside its watermarks"):
        log.slot(sequence)
    assert log.find(sequence) is None


def test_slots_are_told_in_order():
    """`after` yields in sequence order, whatever the order in which they came to be."""
    log = Log(SIZE)
    for sequence in (5, 2, 7):
        kept(log, sequence)
    assert [slot.sequence for slot in log.after(0)] == [2, 5, 7]
    assert [slot.sequence for slot in log.after(2)] == [5, 7]
    assert log.last == 7


def test_a_log_that_lost_its_slots_ends_at_its_low_watermark():
    """After state was installed far beyond everything known, the last sequence known is h, and begun is no less."""
    log = Log(SIZE)
    kept(log, 1)
    log.advance(16)
    assert log.last == log.begun == log.low == 16


def test_a_slot_that_was_only_looked_at_leaves_nothing_behind():
    """A message that is refused must not make its sequence look begun."""
    log = Log(SIZE)
    assert log.slot(3).sequence == 3
    assert log.find(3) is None
    assert log.last == 0


@pytest.mark.parametrize("place", ["proposal", "held_back"])
def test_only_a_proposal_begins_a_sequence(place):
    """Votes alone move `last`; a proposal, accepted or held back for its time, moves `begun` too, and never back."""
    log = Log(SIZE)
    kept(log, 7)
    assert (log.last, log.begun) == (7, 0)
    for sequence in (5, 2):
        slot = log.slot(sequence)
        setattr(slot, place, Proposal(0, bytes(32), Envelope(Kind.PRE_PREPARE, 0, b""), 0, ()))
        assert log.begun == (0 if sequence == 5 else 5)
        log.keep(slot)
        assert (log.last, log.begun) == (7, 5)


# Views.


def proposed(view: int, sequence: int, batch: bytes = b"") -> Proposal:
    """Return a proposal of some batch."""
    envelope = Envelope(Kind.PRE_PREPARE, view, pack(PrePrepare(view, sequence, batch_digest(batch))), b"", batch)
    return Proposal(view, batch_digest(batch), envelope, 0, ())


def prepared(log: Log, sequence: int, view: int = 0, batch: bytes = b"") -> Slot:
    """Return a slot in which a batch prepared in a view."""
    slot = kept(log, sequence)
    slot.proposal = slot.certified = proposed(view, sequence, batch)
    slot.prepared = True
    slot.certificate = PreparedCertificate(view, sequence, batch_digest(batch), bytes(64), ())
    log.keep(slot)
    return slot


def test_a_new_view_begins_with_what_was_certified():
    """Votes and proposals of the view before are gone; certificates, what committed and the batches stay."""
    log = Log(SIZE)
    slot = prepared(log, 1, batch=b"one")
    slot.committed = slot.proposal
    unprepared = kept(log, 2)
    unprepared.proposal = proposed(0, 2, b"two")
    for each in (slot, unprepared):
        each.judged[2] = None
    log.begin_view(0, 2)
    assert (slot.proposal, slot.prepared, slot.first, slot.judged) == (None, False, None, {})
    assert slot.with_batch(batch_digest(b"one")) is slot.certified is slot.committed
    assert slot.certificate is not None
    assert unprepared.with_batch(batch_digest(b"two")) is unprepared.earlier[batch_digest(b"two")]
    assert log.begun == 0


def test_beyond_what_a_new_view_proposes_only_certificates_are_kept():
    """What the new view will propose there is new; a certificate is still owed to the view after it."""
    log = Log(SIZE)
    for sequence in (2, 3, 5):
        kept(log, sequence)
    prepared(log, 4)
    log.begin_view(0, 2)
    assert [slot.sequence for slot in log.after(0)] == [2, 4]
    assert log.last == 4


def test_a_new_view_that_starts_further_moves_the_watermark():
    """It begins at its stable checkpoint, and nothing before that is kept: it is of views gone by."""
    log = Log(SIZE)
    for sequence in (1, 4, 5):
        prepared(log, sequence)
    log.begin_view(4, 5)
    assert (log.low, log.begun) == (4, 4)
    assert [slot.sequence for slot in log.after(0)] == [5]
    log.begin_view(2, 5)
    assert log.low == 4


def test_certificates_are_told_in_order():
    """P of a VIEW-CHANGE: what prepared beyond the stable checkpoint, by sequence (OSDI'99 section 4.4)."""
    log = Log(SIZE)
    for sequence in (5, 2, 7):
        prepared(log, sequence)
    kept(log, 4)
    assert [each.sequence for each in log.certificates(0)] == [2, 5, 7]
    assert [each.sequence for each in log.certificates(2)] == [5, 7]


def test_batches_are_counted_once_a_digest():
    """A batch held as proposed, certified and committed takes its bytes once; another of another view adds its own."""
    log = Log(SIZE)
    slot = prepared(log, 1, batch=b"12345")
    slot.committed = slot.proposal
    assert log.usage(0)["batch_bytes"] == log.batch_bytes(0) == 5
    slot.begin_view()
    slot.proposal = proposed(1, 1, b"123")
    assert (log.usage(0)["batch_bytes"], log.batch_bytes(0), log.batch_bytes(1)) == (8, 8, 0)


@given(st.lists(st.tuples(st.sampled_from(["keep", "advance", "view"]), st.integers(0, 60)), max_size=80))
def test_the_log_never_holds_more_than_two_of_its_size(steps):
    """However messages, checkpoints and views come: L slots on either side of h at most, and none beyond H."""
    log = Log(SIZE)
    low = 0
    for step, number in steps:
        if step == "keep" and log.within(number):
            kept(log, number)
        elif step == "advance" and number <= log.high:
            log.advance(number)
            low = max(low, number)
        elif step == "view" and number <= log.high:
            log.begin_view(number, number + 3)
            low = max(low, number)
        held = [slot.sequence for slot in log.after(-10)]
        assert log.low == low
        assert held == sorted(held)
        assert all(low - SIZE < sequence <= log.high for sequence in held)
        assert log.last == max([low, *held])
        assert log.usage(0)["above_high"] == 0
