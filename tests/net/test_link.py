"""The datagram: what is accepted, and the one reason for which everything else is dropped."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.group import Genesis, Group, Member
from pbft.group_file import MAX_DATAGRAM_BYTES
from pbft.net.drops import Drop
from pbft.net.fragments import Fragment
from pbft.net.link import (
    OVERHEAD_BYTES,
    Link,
    Purpose,
    ReplayWindow,
    party_name,
    peek,
)
from tests.node.parties import Parties, make_parties

PARTIES = make_parties()
ALICE = PARTIES.client("alice")
HEADER = struct.Struct(">BB16s8sQHHI")
OLD_STREAM = b"old  one"


def replica_pair(parties: Parties = PARTIES) -> tuple[Link, Link]:
    return parties.link(0, Purpose.REPLICAS), parties.link(1, Purpose.REPLICAS)


def reheaded(datagram: bytes, **changes: object) -> bytes:
    """The datagram with some header fields changed and its tag left alone."""
    names = ("version", "purpose", "sender", "stream", "number", "index", "count", "total")
    fields = dict(zip(names, HEADER.unpack_from(datagram), strict=True)) | changes
    return HEADER.pack(*fields.values()) + datagram[HEADER.size :]


def test_a_message_crosses_between_replicas_and_between_client_and_replica():
    """What one end seals the other opens, in both directions and for both purposes, and knows who said it."""
    zero, one = replica_pair()
    alice, server = PARTIES.link(ALICE, Purpose.CLIENTS), PARTIES.link(2, Purpose.CLIENTS)

    for sealer, sender, opener, to in (
        (zero, 0, one, 1),
        (one, 1, zero, 0),
        (alice, ALICE, server, 2),
        (server, 2, alice, ALICE),
    ):
        (datagram,) = sealer.seal(to, b"hello")
        opened = opener.open(datagram)
        assert opened == Fragment(sender, b"8 bytes.", 0, 0, 1, 5, b"hello")


def test_a_large_message_becomes_datagrams_of_the_size_asked_for():
    """Every datagram but the last is full, none is larger, and each opens by itself in any order."""
    zero, one = PARTIES.link(0, Purpose.REPLICAS, datagram_bytes=600), PARTIES.link(1, Purpose.REPLICAS)
    message = bytes(range(256)) * 20

    datagrams = zero.seal(1, message)

    assert len(datagrams) == -(-len(message) // (600 - OVERHEAD_BYTES))
    assert max(map(len, datagrams)) <= 600
    opened = [one.open(datagram) for datagram in reversed(datagrams)]
    assert all(isinstance(each, Fragment) for each in opened)
    parts = {each.index: each.payload for each in opened if isinstance(each, Fragment)}
    assert b"".join(parts[index] for index in sorted(parts)) == message
    assert {each.message for each in opened if isinstance(each, Fragment)} == {0}


CHANGED = [
    ("nothing at all", lambda d: b"", Drop.TRUNCATED),
    ("shorter than a header", lambda d: d[:20], Drop.TRUNCATED),
    ("a header without payload", lambda d: d[:OVERHEAD_BYTES], Drop.TRUNCATED),
    ("cut short", lambda d: d[:-1], Drop.MALFORMED_HEADER),
    ("lengthened", lambda d: d + b"x", Drop.MALFORMED_HEADER),
    ("another version", lambda d: reheaded(d, version=2), Drop.WRONG_VERSION),
    ("for the other socket", lambda d: reheaded(d, purpose=Purpose.CLIENTS), Drop.MISADDRESSED),
    ("for no socket", lambda d: reheaded(d, purpose=9), Drop.MISADDRESSED),
    ("our own name", lambda d: reheaded(d, sender=party_name(PARTIES.group, 1)), Drop.MISADDRESSED),
    ("a stranger", lambda d: reheaded(d, sender=bytes(16)), Drop.UNKNOWN_SENDER),
    ("a client among replicas", lambda d: reheaded(d, sender=party_name(PARTIES.group, ALICE)), Drop.UNKNOWN_SENDER),
    ("an index beyond the count", lambda d: reheaded(d, index=1), Drop.MALFORMED_HEADER),
    ("no fragments", lambda d: reheaded(d, count=0), Drop.MALFORMED_HEADER),
    ("more fragments than bytes", lambda d: reheaded(d, count=60_000), Drop.MALFORMED_HEADER),
    ("another total", lambda d: reheaded(d, total=6), Drop.MALFORMED_HEADER),
    ("a later number than sealed", lambda d: reheaded(d, number=7), Drop.BAD_TAG),
    ("another replica's name", lambda d: reheaded(d, sender=party_name(PARTIES.group, 2)), Drop.BAD_TAG),
    ("another stream", lambda d: reheaded(d, stream=b"another."), Drop.BAD_TAG),
]


@pytest.mark.parametrize(("change", "reason"), [row[1:] for row in CHANGED], ids=[row[0] for row in CHANGED])
def test_each_forgery_has_its_reason(change, reason):
    """A datagram that is not exactly what was sealed is dropped with the reason an operator should read."""
    zero, one = replica_pair()
    (datagram,) = zero.seal(1, b"hello")

    assert one.open(change(datagram)) is reason

    assert isinstance(one.open(datagram), Fragment), "a forgery changed what the receiver accepts"


def test_a_message_beyond_the_limit_is_dropped_by_its_first_fragment():
    """The size stands in every header, so nothing of an oversize message is ever held."""
    zero, one = PARTIES.link(0, Purpose.REPLICAS), PARTIES.link(1, Purpose.REPLICAS, largest_bytes=4_000)

    assert {one.open(datagram) for datagram in zero.seal(1, bytes(4_001))} == {Drop.OVERSIZE}
    assert all(isinstance(one.open(datagram), Fragment) for datagram in zero.seal(1, bytes(4_000)))


def test_the_same_datagram_twice_is_a_replay_and_a_message_sent_again_is_not():
    """A byte-identical retransmission travels in new datagrams, so only a recording looks old (K5)."""
    zero, one = replica_pair()
    (first,) = zero.seal(1, b"hello")
    (again,) = zero.seal(1, b"hello")

    assert isinstance(one.open(first), Fragment)
    assert one.open(first) is Drop.REPLAYED
    assert isinstance(one.open(again), Fragment)
    assert one.open(first) is Drop.REPLAYED
    assert one.open(again) is Drop.REPLAYED


def test_two_programs_under_one_key_do_not_shut_each_other_out():
    """Each process numbers its own stream, so a long-lived one never makes a new one look old."""
    server = PARTIES.link(0, Purpose.CLIENTS)
    dashboard, command = (PARTIES.link(ALICE, Purpose.CLIENTS, stream=each) for each in (b"dashbord", b"command."))
    for _ in range(20_000):
        dashboard.seal(0, b"busy")

    late = [
        server.open(dashboard.seal(0, b"x")[0]),
        server.open(command.seal(0, b"x")[0]),
        server.open(dashboard.seal(0, b"x")[0]),
    ]

    assert all(isinstance(each, Fragment) for each in late)


def test_recordings_of_dead_streams_do_not_push_out_live_ones():
    """Windows are remembered for so many streams of a peer; who speaks keeps its place."""
    server = PARTIES.link(0, Purpose.CLIENTS, streams=3)
    live = PARTIES.link(ALICE, Purpose.CLIENTS, stream=b"living..")
    (recorded,) = live.seal(0, b"pay bob")
    assert isinstance(server.open(recorded), Fragment)

    for number in range(10):
        dead = PARTIES.link(ALICE, Purpose.CLIENTS, stream=OLD_STREAM[:-1] + bytes([number]))
        server.open(dead.seal(0, b"x")[0])
        assert isinstance(server.open(live.seal(0, b"still here")[0]), Fragment)
        assert server.open(recorded) is Drop.REPLAYED


def test_nothing_sealed_for_one_ear_opens_in_another():
    """Keys bind group, direction, receiver and purpose: elsewhere the very same bytes fail their tag."""
    zero, _ = replica_pair()
    (datagram,) = zero.seal(1, b"hello")
    other_group = make_parties(nonce=b"another group...")

    assert other_group.link(1, Purpose.REPLICAS).open(datagram) is Drop.BAD_TAG
    assert PARTIES.link(2, Purpose.REPLICAS).open(datagram) is Drop.BAD_TAG
    assert zero.open(reheaded(datagram, sender=party_name(PARTIES.group, 1))) is Drop.BAD_TAG
    (request,) = PARTIES.link(ALICE, Purpose.CLIENTS).seal(0, b"hello")
    assert zero.open(reheaded(request, purpose=Purpose.REPLICAS)) is Drop.UNKNOWN_SENDER


@given(st.data())
def test_any_flipped_bit_is_noticed(data):
    """No bit of a datagram, header, tag or payload, can change without the datagram being dropped."""
    zero, one = PARTIES.link(0, Purpose.REPLICAS), PARTIES.link(1, Purpose.REPLICAS)
    message = data.draw(st.binary(min_size=1, max_size=2_000))
    datagrams = zero.seal(1, message)
    datagram = datagrams[data.draw(st.integers(0, len(datagrams) - 1))]
    bit = data.draw(st.integers(0, 8 * len(datagram) - 1))
    flipped = bytearray(datagram)
    flipped[bit // 8] ^= 1 << bit % 8

    assert isinstance(one.open(bytes(flipped)), Drop)
    assert isinstance(one.open(datagram), Fragment)


@given(st.binary(max_size=300))
def test_random_bytes_are_dropped(data):
    """Bytes of no origin have a reason too, and none raises (W2)."""
    assert isinstance(PARTIES.link(1, Purpose.REPLICAS).open(data), Drop)


class CountingKey:
    """A private key that counts its use."""

    def __init__(self, replica: int) -> None:
        self.used = 0
        self._key = PARTIES.replicas[replica]

    def shared_secret(self, peer_link_key: bytes) -> bytes:
        self.used += 1
        return self._key.shared_secret(peer_link_key)


def test_a_stranger_cannot_make_key_agreement_run_again_and_again():
    """Diffie-Hellman runs once for a party of the group, however many forged datagrams name it."""
    key = CountingKey(1)
    link = Link(PARTIES.group, 1, Purpose.REPLICAS, key, b"8 bytes.", 1 << 20)
    (real,) = PARTIES.link(0, Purpose.REPLICAS).seal(1, b"hello")
    assert key.used == 0

    for number in range(100):
        for replica in (0, 2, 3):
            assert (
                link.open(reheaded(real, sender=party_name(PARTIES.group, replica), number=number + 1)) is Drop.BAD_TAG
            )
        assert link.open(reheaded(real, sender=number.to_bytes(16, "big"))) is Drop.UNKNOWN_SENDER

    assert key.used == 3


def test_a_member_whose_link_key_is_worthless_shuts_out_itself_only():
    """A registered link key of low order shares no secret: nothing is sealed for it, nothing of it opens."""
    members = list(PARTIES.group.members)
    members[3] = Member(3, members[3].public_key, bytes(32))
    group = Group.of(Genesis(bytes(16), tuple(members), PARTIES.group.genesis.clients, "Counter"))
    zero = Link(group, 0, Purpose.REPLICAS, PARTIES.replicas[0], b"8 bytes.", 1 << 20)
    one = Link(group, 1, Purpose.REPLICAS, PARTIES.replicas[1], b"8 bytes.", 1 << 20)

    assert zero.seal(3, b"hello") == []
    (datagram,) = zero.seal(1, b"hello")
    assert isinstance(one.open(datagram), Fragment)
    forged = reheaded(datagram, sender=party_name(group, 3))
    assert one.open(forged) is Drop.BAD_TAG


@given(st.lists(st.integers(0, 9_000), max_size=60))
def test_the_window_admits_each_number_once_and_never_what_it_cannot_tell(numbers):
    """Within 4,096 of the greatest the window is exact; what is older counts as seen."""
    window, admitted, greatest = ReplayWindow(), dict[int, None](), -1
    for number in numbers:
        expected = number not in admitted and number > greatest - 4096
        assert window.admit(number) is expected
        if expected:
            admitted[number] = None
            greatest = max(greatest, number)


def test_the_window_ends_where_it_says():
    """4,095 behind the greatest can still be told, 4,096 behind cannot."""
    window = ReplayWindow()

    assert [window.admit(number) for number in (4_096, 0, 1, 1)] == [True, False, True, False]


def test_a_new_stream_is_remembered_where_many_are():
    """The stream that spoke last keeps its window, however many came before it."""
    server = PARTIES.link(0, Purpose.CLIENTS, streams=3)
    for number in range(10):
        (datagram,) = PARTIES.link(ALICE, Purpose.CLIENTS, stream=bytes([number]) * 8).seal(0, b"x")
        assert isinstance(server.open(datagram), Fragment)
        assert server.open(datagram) is Drop.REPLAYED


def test_each_direction_has_a_key_of_its_own():
    """What one end tags with, the other checks with, and neither uses it the other way."""
    zero, one = replica_pair()
    out, back = (key.digest() for key in zero._keys(zero._peers[1]) or ())
    there, here = (key.digest() for key in one._keys(one._peers[0]) or ())

    assert (out, back) == (here, there)
    assert out != back


@pytest.mark.parametrize("size", [511, MAX_DATAGRAM_BYTES + 1])
def test_datagram_sizes_that_cannot_work_are_refused(size):
    """Below 512 bytes little fits beside the header; above 65,507 UDP carries nothing."""
    with pytest.raises(ValueError, match="datagram_bytes must lie within"):
        PARTIES.link(0, Purpose.REPLICAS, datagram_bytes=size)


def test_whoever_holds_no_key_sees_what_belongs_together():
    """A look at datagrams between replicas tells their message and its parts, forged or not; else it tells nothing."""
    zero, _ = replica_pair()
    zero.seal(1, b"the one before")
    large = zero.seal(1, bytes(range(256)) * 1_000)
    seen = [peek(datagram) for datagram in large]
    assert len(seen) > 1
    assert {(each.stream, each.message, each.count) for each in seen if each} == {(b"8 bytes.", 1, len(large))}
    assert [each.index for each in seen if each] == list(range(len(large)))
    assert b"".join(each.payload for each in seen if each) == bytes(range(256)) * 1_000
    (whole,) = PARTIES.link(0, Purpose.REPLICAS).seal(1, b"hello")
    assert peek(whole[:-1] + b"O") is not None
    (clients,) = PARTIES.link(2, Purpose.CLIENTS).seal(ALICE, b"hello")
    for other in (b"", whole[:OVERHEAD_BYTES], reheaded(whole, version=2), reheaded(whole, index=1), clients):
        assert peek(other) is None
    assert peek(reheaded(large[1], number=0)) is None
