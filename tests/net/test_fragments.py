"""Messages cut and put together again: whole or not at all, and in bounded memory."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.net.fragments import Fragment, Reassembly, ReassemblyLimits, split, well_formed

STREAM = b"8 bytes."


def cut(message: bytes, number: int = 0, sender: int = 1, most_bytes: int = 300) -> list[Fragment]:
    chunks = split(message, most_bytes)
    return [
        Fragment(sender, STREAM, number, index, len(chunks), len(message), chunk) for index, chunk in enumerate(chunks)
    ]


def reassembly(most_bytes: int = 100_000, most_messages: int = 8, timeout_ms: int = 1_000) -> Reassembly:
    return Reassembly(ReassemblyLimits(most_bytes, most_messages, timeout_ms))


@given(st.binary(min_size=1, max_size=5_000), st.integers(256, 2_000))
def test_a_message_splits_into_well_formed_fragments(message, most_bytes):
    """The parts make the message, none is too large, and each alone shows that its numbers are right."""
    chunks = split(message, most_bytes)

    assert b"".join(chunks) == message
    assert max(map(len, chunks)) <= most_bytes
    assert all(well_formed(i, len(chunks), len(message), len(chunk)) for i, chunk in enumerate(chunks))
    assert not well_formed(0, len(chunks), len(message), len(chunks[0]) + 1)


@pytest.mark.parametrize(
    ("index", "count", "total", "payload_bytes"),
    [
        (0, 0, 0, 0),
        (0, 1, 0, 0),
        (1, 1, 5, 5),
        (-1, 1, 5, 5),
        (0, 2, 100, 50),
        (0, 1000, 1000, 1),
        (3, 4, 600, 151),
        (0, 2, 1, 1),
        (9, 10, 1281, 0),
    ],
)
def test_numbers_that_no_split_gives_are_not_well_formed(index, count, total, payload_bytes):
    """No index beyond the count, no fragments of single bytes, no part that is empty or too long."""
    assert not well_formed(index, count, total, payload_bytes)


@given(st.data())
def test_any_order_and_any_repetition_gives_each_message_once(data):
    """Fragments of several messages of several peers, shuffled and doubled, give exactly those messages."""
    count = data.draw(st.integers(1, 5))
    messages = {
        (sender, n): bytes([sender, n]) * data.draw(st.integers(100, 1_500)) for sender in (1, 2) for n in range(count)
    }
    fragments = [each for (sender, n), message in messages.items() for each in cut(message, n, sender)]
    repeated = data.draw(st.lists(st.sampled_from(fragments), max_size=10))
    order = data.draw(st.permutations(fragments + [each for each in repeated if each.count > 1]))
    desk = reassembly(most_messages=64)

    whole = [((each.sender, each.message), made) for each in order if (made := desk.add(each, 0)) is not None]

    for name, made in whole:
        assert made == messages[name]
    assert {name for name, _ in whole} == set(messages)


@given(st.data())
def test_what_is_lost_leaves_nothing_behind(data):
    """A message that misses a part never appears; after its time its parts are counted and its memory is free."""
    messages = [bytes([n]) * 1_000 for n in range(6)]
    fragments = [each for n, message in enumerate(messages) for each in cut(message, n)]
    lost = set(data.draw(st.lists(st.sampled_from(range(len(fragments))), max_size=len(fragments))))
    arrived = [each for i, each in enumerate(fragments) if i not in lost]
    desk = reassembly()

    whole = [made for each in data.draw(st.permutations(arrived)) if (made := desk.add(each, 0)) is not None]
    used = sum(len(cut(message)) for message in whole)
    desk.expire(999)
    assert desk.abandoned == 0
    desk.expire(1_000)

    assert all(made in messages for made in whole)
    assert desk.abandoned == len(arrived) - used
    assert (desk.unfinished, desk.held_bytes) == (0, 0)


def test_hostile_fragments_cannot_hold_more_than_their_peer_share():
    """A peer that starts messages and never ends them spends its own share only; every fragment is accounted for."""
    desk, chance, sent, greatest = reassembly(most_bytes=20_000, most_messages=8), random.Random(7), 0, 0
    victim = cut(b"v" * 900, sender=2)
    desk.add(victim[0], 0)

    for number in range(3_000):
        fragments = cut(bytes(chance.randrange(400, 9_000)), number)
        for each in chance.sample(fragments, chance.randrange(1, len(fragments))):
            desk.add(each, number)
            sent += 1
            greatest = max(greatest, desk.held_bytes)

    assert greatest <= 20_000 + 1_000
    assert desk.unfinished <= 8
    assert desk.add(victim[1], 0) is None
    assert desk.add(victim[2], 0) == b"v" * 900
    desk.expire(10**9)
    assert desk.abandoned == sent
    assert desk.held_bytes == 0


def test_so_many_unfinished_messages_and_no_more():
    """However small they are: the oldest goes, and its fragment is counted."""
    desk = reassembly(most_bytes=10**9, most_messages=8)
    for number in range(20):
        desk.add(cut(bytes(600), number)[0], 0)

    assert (desk.unfinished, desk.abandoned) == (8, 12)
    assert desk.add(cut(bytes(600), 19)[1], 0) == bytes(600)


def test_one_number_for_two_messages_spoils_both():
    """A peer that describes one message in two ways gets neither, and all its fragments are counted."""
    desk = reassembly()
    first, second = cut(b"a" * 900), cut(b"b" * 1_200)

    assert [desk.add(each, 0) for each in (first[0], second[1])] == [None, None]

    assert desk.abandoned == 2
    assert desk.unfinished == 0
    assert [desk.add(each, 0) for each in first] == [None, None, b"a" * 900]


@pytest.mark.parametrize(("message", "most_bytes"), [(b"", 300), (b"x", 200), (bytes(70_000 * 256), 256)])
def test_what_cannot_be_split_is_refused(message, most_bytes):
    """An empty message, fragments too small to be worth a header, and more fragments than a header can count."""
    with pytest.raises(ValueError, match="message"):
        split(message, most_bytes)
