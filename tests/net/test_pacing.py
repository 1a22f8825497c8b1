"""Large messages leave in portions, small ones at once, and what waits is bounded."""

from __future__ import annotations

from pbft.net.pacing import Pacer, PacingLimits

LIMITS = PacingLimits(burst_bytes=2_000, bytes_per_ms=500, waiting_bytes=10_000)
LARGE = [bytes([n]) * 500 for n in range(10)]


def test_a_large_message_leaves_as_a_burst_and_then_with_time():
    """The first datagrams go at once, the rest in order and no faster than the budget refills."""
    pacer = Pacer[str](LIMITS)

    now = list(pacer.offer("a", LARGE, 0))
    assert now == LARGE[:4]
    assert pacer.deadline_ms == 1
    assert pacer.ready(0) == []
    later = [[datagram for _, datagram in pacer.ready(ms)] for ms in range(1, 7)]

    assert [len(each) for each in later] == [1, 1, 1, 1, 1, 1]
    assert now + [datagram for each in later for datagram in each] == LARGE
    assert pacer.deadline_ms is None


def test_votes_do_not_wait_behind_a_batch():
    """A message of one datagram passes by what waits, and addresses do not hinder each other."""
    pacer = Pacer[str](LIMITS)
    pacer.offer("a", LARGE, 0)

    assert list(pacer.offer("a", [b"vote"], 0)) == [b"vote"]
    assert list(pacer.offer("b", LARGE, 0)) == LARGE[:4]


def test_too_much_waiting_drops_whole_messages_and_counts_their_datagrams():
    """Half a message would be sent for nothing; what was accepted before still leaves."""
    pacer = Pacer[str](LIMITS)
    out = list(pacer.offer("a", LARGE, 0))

    for _ in range(5):
        out += pacer.offer("a", LARGE, 0)
    for ms in range(1, 100):
        out += [datagram for _, datagram in pacer.ready(ms)]

    assert pacer.dropped == 40
    assert out == LARGE + LARGE


def test_a_pause_earns_no_more_than_one_burst():
    """The budget is what a receiver's buffer takes at once, however long nothing was sent."""
    pacer = Pacer[str](LIMITS)
    pacer.offer("a", LARGE[:2], 0)

    assert len(pacer.offer("a", LARGE, 1_000_000)) == 4
