"""Addresses are proven before anything but a challenge goes there (K5)."""

from __future__ import annotations

import pytest

from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import Challenge, Hello, Inspect, Prepare, Request, pack, unpack
from pbft.encoding import EncodingError
from pbft.net.drops import Drop
from pbft.node.greeter import Greeter, Verdict

ALICE, BOB = b"a" * 32, b"b" * 32
SESSION, OTHER = b"session 00000001", b"session 00000002"
HOME, AWAY = ("127.0.0.1", 5001), ("127.0.0.1", 5002)


def greeter(sessions: int = 4) -> Greeter:
    return Greeter(0, b"s" * 32, sessions)


def hello(session: bytes = SESSION, cookie: bytes = b"", client: bytes = ALICE) -> Envelope:
    return Envelope(Kind.HELLO, client, pack(Hello(session, cookie, b"")))


def request(session: bytes = SESSION, client: bytes = ALICE) -> Envelope:
    return Envelope(Kind.REQUEST, client, pack(Request(client, session, 1, (b"op",))), bytes(64))


def inspect(session: bytes = SESSION, client: bytes = ALICE) -> Envelope:
    return Envelope(Kind.INSPECT, client, pack(Inspect(session, 1)))


def judge(
    desk: Greeter, envelope: Envelope, address: tuple[str, int] = HOME, client: bytes = ALICE, now_ms: int = 0
) -> Verdict:
    return desk.judge(envelope, client, address, len(envelope.to_bytes()), now_ms)


def cookie_of(verdict: Verdict) -> bytes:
    assert verdict.challenge is not None
    return unpack(Challenge, verdict.challenge.body).cookie


def prove(
    desk: Greeter, session: bytes = SESSION, address: tuple[str, int] = HOME, client: bytes = ALICE, now_ms: int = 0
) -> None:
    cookie = cookie_of(judge(desk, hello(session, client=client), address, client, now_ms))
    assert judge(desk, hello(session, cookie, client), address, client, now_ms).passes


def test_an_address_is_proven_by_echoing_what_went_there():
    """A first greeting gets a challenge and nothing else; its cookie makes the address the session's own."""
    desk = greeter()

    first = judge(desk, hello())
    assert (first.passes, first.drop) == (False, None)
    assert desk.address_of(ALICE, SESSION, 0) is None

    assert judge(desk, hello(cookie=cookie_of(first))) == Verdict(True)
    assert desk.address_of(ALICE, SESSION, 0) == HOME
    for envelope in (request(), inspect(), hello()):
        assert judge(desk, envelope).passes


@pytest.mark.parametrize("envelope", [request(), inspect()], ids=["request", "inspect"])
def test_whatever_else_comes_from_an_unproven_address_is_dropped_and_challenged(envelope):
    """Neither a request nor a question is looked at before the address is proven: a replayed one aims no answer."""
    verdict = judge(greeter(), envelope)

    assert (verdict.passes, verdict.drop) == (False, Drop.UNPROVEN_ADDRESS)
    assert len(cookie_of(verdict)) == 16


@pytest.mark.parametrize("envelope", [hello(), request(), inspect()], ids=["hello", "request", "inspect"])
def test_no_challenge_is_larger_than_what_it_answers(envelope):
    """Amplification is at most one, whatever a stranger sends under a borrowed address."""
    verdict = judge(greeter(), envelope)

    assert verdict.challenge is not None
    assert len(verdict.challenge.to_bytes()) <= len(envelope.to_bytes())
    tiny = greeter().judge(envelope, ALICE, HOME, len(verdict.challenge.to_bytes()) - 1, 0)
    assert tiny.challenge is None


def test_a_cookie_is_good_for_its_client_session_and_address_only():
    """Nobody proves another address, session or key with a cookie of their own."""
    desk = greeter()
    cookie = cookie_of(judge(desk, hello()))

    for envelope, address, client in (
        (hello(cookie=cookie), AWAY, ALICE),
        (hello(OTHER, cookie), HOME, ALICE),
        (hello(cookie=cookie, client=BOB), HOME, BOB),
        (hello(cookie=cookie[:-1] + b"x"), HOME, ALICE),
    ):
        verdict = judge(desk, envelope, address, client)
        assert (verdict.passes, verdict.drop) == (False, Drop.BAD_COOKIE)
    assert desk.sessions() == 0


def test_a_cookie_of_another_process_proves_nothing():
    """A restarted replica draws a new secret, and greets everybody anew."""
    cookie = cookie_of(judge(greeter(), hello()))
    restarted = Greeter(0, b"t" * 32)

    again = judge(restarted, hello(cookie=cookie))

    assert (again.passes, again.drop) == (False, Drop.BAD_COOKIE)
    assert judge(restarted, hello(cookie=cookie_of(again))).passes


def test_a_cookie_ages_and_so_does_an_idle_address():
    """A cookie lives one to two minutes, a silent session's address ten minutes, a used one as long as it is used."""
    desk = greeter()
    cookie = cookie_of(judge(desk, hello(), now_ms=0))
    assert judge(desk, hello(cookie=cookie), now_ms=119_999).passes
    assert judge(greeter(), hello(cookie=cookie), now_ms=120_000).drop is Drop.BAD_COOKIE

    for minute in range(2, 30, 9):
        assert judge(desk, request(), now_ms=minute * 60_000).passes
    assert desk.address_of(ALICE, SESSION, 39 * 60_000) == HOME
    assert desk.address_of(ALICE, SESSION, 40 * 60_000) is None
    assert judge(desk, request(), now_ms=40 * 60_000).drop is Drop.UNPROVEN_ADDRESS


def test_a_session_that_moves_proves_its_new_address_before_it_is_used():
    """Answers go to the old address until the new one has echoed its own cookie."""
    desk = greeter()
    prove(desk)

    moved = judge(desk, request(), AWAY)
    assert moved.drop is Drop.UNPROVEN_ADDRESS
    assert desk.address_of(ALICE, SESSION, 0) == HOME

    assert judge(desk, hello(cookie=cookie_of(moved)), AWAY).passes
    assert desk.address_of(ALICE, SESSION, 0) == AWAY
    assert judge(desk, request(), HOME).drop is Drop.UNPROVEN_ADDRESS


def test_sessions_by_the_thousand_push_out_only_the_silent_ones_of_their_own_client():
    """A client has so many places; what it keeps using stays, and no other client loses anything (K1)."""
    desk = greeter(sessions=4)
    prove(desk)
    prove(desk, OTHER, AWAY, BOB)

    for number in range(1_000):
        prove(desk, b"%016d" % number)
        assert judge(desk, request()).passes

    assert desk.sessions() == 5
    assert desk.address_of(ALICE, SESSION, 0) == HOME
    assert desk.address_of(BOB, OTHER, 0) == AWAY


def test_what_no_client_says_passes_to_the_core_and_what_is_malformed_raises():
    """The core has the word for a client's PREPARE; a body that is not its kind's is the driver's to count."""
    prepare = Envelope(Kind.PREPARE, 1, pack(Prepare(0, 1, bytes(32))), bytes(64))
    assert judge(greeter(), prepare) == Verdict(True)

    with pytest.raises(EncodingError):
        judge(greeter(), Envelope(Kind.HELLO, ALICE, b"\x80"))


def test_an_ipv6_address_is_an_address():
    """Their tuples have four parts."""
    desk = greeter()
    home = ("::1", 5001, 0, 0)
    cookie = cookie_of(desk.judge(hello(), ALICE, home, 1_000, 0))

    assert desk.judge(hello(cookie=cookie), ALICE, home, 1_000, 0).passes
    assert desk.address_of(ALICE, SESSION, 0) == home


def test_a_session_that_is_answered_is_pushed_out_last():
    """It asks the primary alone, so a backup hears its greeting and no more; but it answers it again and again."""
    desk = greeter(sessions=4)
    prove(desk)
    for number in range(8):
        assert desk.address_of(ALICE, SESSION, number) == HOME
        prove(desk, b"short lived %04d" % number, AWAY, now_ms=number)
    assert desk.address_of(ALICE, SESSION, 8) == HOME
    assert desk.sessions() == 4
