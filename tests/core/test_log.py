"""The log: watermarks, slots, and how little is kept (OSDI'99 section 4.2; attack P4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.envelope import Envelope, Kind
from pbft.core.log import Log, Proposal, Slot

SIZE = 8


def test_the_watermarks_at_the_beginning():
    """h = 0 and H = L: sequence 0 does not exist, 1 to L do, L+1 does not yet."""
    log = Log(SIZE)
    assert (log.low, log.high, log.last) == (0, SIZE, 0)
    assert [sequence for sequence in range(-1, SIZE + 2) if log.within(sequence)] == list(range(1, SIZE + 1))


def test_the_low_watermark_trails_execution_by_half_the_log():
    """Half of the log is kept for slower peers, the other half lies ahead; h never moves back."""
    log = Log(SIZE)
    for executed, low in [(3, 0), (4, 0), (5, 1), (10, 6), (7, 6)]:
        log.trail(executed)
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


def test_what_falls_below_the_low_watermark_is_forgotten():
    """Slots at or below h are gone; those above stay as they are."""
    log = Log(SIZE)
    slots = {sequence: kept(log, sequence) for sequence in range(1, SIZE + 1)}
    log.trail(6)
    assert [sequence for sequence in slots if log.find(sequence) is None] == [1, 2]
    assert log.slot(3) is slots[3]


@pytest.mark.parametrize("sequence", [-1, 0, 2, SIZE + 3, 2**63 - 1])
def test_nothing_is_kept_outside_the_watermarks(sequence):
    """Asking for such a slot is the caller's mistake; looking for one finds nothing."""
    log = Log(SIZE)
    log.trail(6)
    assert log.low == 2
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
    """After everything known was executed and forgotten, the last sequence known is h."""
    log = Log(SIZE)
    kept(log, 1)
    log.trail(20)
    assert log.last == log.low == 16


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


@given(st.lists(st.tuples(st.booleans(), st.integers(-2, 60)), max_size=80))
def test_the_log_never_holds_more_than_its_size(steps):
    """However messages and execution come, at most L slots exist, between the watermarks; `last` is the greatest."""
    log = Log(SIZE)
    made: set[int] = set()
    for executes, number in steps:
        if executes:
            log.trail(number)
        elif log.within(number):
            kept(log, number)
            made.add(number)
        held = [slot.sequence for slot in log.after(-10)]
        assert held == sorted(sequence for sequence in made if log.within(sequence))
        assert len(held) <= SIZE
        assert log.last == max([log.low, *held])
