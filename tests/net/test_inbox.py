"""Waiting messages: peers in turn, each within its share."""

from __future__ import annotations

from pbft.net.inbox import FairInbox


def drained(inbox: FairInbox[str, str]) -> list[str]:
    taken = []
    while (item := inbox.take()) is not None:
        taken.append(item)
    return taken


def test_a_quiet_peer_is_served_next_however_much_another_sent():
    """One message of each peer in turn: a flood delays others by one message (K4)."""
    inbox = FairInbox[str, str](100, 100_000)
    for number in range(50):
        inbox.offer("loud", f"loud {number}", 10)
    inbox.offer("quiet", "quiet 0", 10)
    inbox.offer("quiet", "quiet 1", 10)

    order = drained(inbox)

    assert order[:4] == ["loud 0", "quiet 0", "loud 1", "quiet 1"]
    assert [each for each in order if "loud" in each] == [f"loud {number}" for number in range(50)]
    assert len(inbox) == 0


def test_a_full_share_refuses_its_own_peer_only():
    """Both bounds hold for each peer by itself, and room comes back as messages are served."""
    few, small = FairInbox[str, int](3, 100_000), FairInbox[str, int](100, 1_000)

    assert [few.offer("a", n, 1) for n in range(5)] == [True, True, True, False, False]
    assert [small.offer("a", n, 300) for n in range(4)] == [True, True, False, False]
    assert few.offer("b", 0, 1)
    assert small.offer("b", 0, 300)
    few.take()
    assert few.offer("a", 9, 1)


def test_a_message_larger_than_the_share_still_passes_alone():
    """A bound below the largest message must not shut a peer out for ever."""
    inbox = FairInbox[str, int](10, 1_000)

    assert inbox.offer("a", 1, 50_000)
    assert not inbox.offer("a", 2, 1)
    assert inbox.take() == 1
