"""Replies: one signature a batch, and results that lead to what it signs (design 4.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pbft.core.client_table import Fate
from pbft.core.envelope import Envelope, Kind, genuine
from pbft.core.execution import Ran
from pbft.core.messages import OperationResult, Reply, ReplyDetail, pack, unpack
from pbft.core.replies import LastReplies, read_reply, write_replies
from pbft.encoding import EncodingError
from pbft.machine import Outcome, Result
from tests.core import strategies
from tests.core.builders import Scene, session_id, signed

SCENE = Scene()


def ran(client: str, number: int) -> Ran:
    results = (Result(Outcome.OK, b"\x01"), Result(Outcome.REJECTED, b"\x62no"))
    request = SCENE.request(client, number, (b"one", b"two"), session_id(number))
    return Ran(signed(request), Fate.FRESH, results)


def replies(count: int) -> list[Envelope]:
    return write_replies(SCENE.group, SCENE.signers[2], 2, 9, 41, [ran("alice", number) for number in range(count)])


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_batch_is_answered_under_one_signature(count):
    """Every reply of a sequence carries the same signed root; its own results lead there."""
    written = replies(count)
    assert len({(reply.body, reply.signature) for reply in written}) == 1
    assert genuine(SCENE.group, SCENE.verifier, written[0])
    for number, reply in enumerate(written):
        read = read_reply(Envelope.from_bytes(reply.to_bytes()))
        assert (read.sequence, read.detail.view, read.detail.timestamp) == (41, 9, number)
        assert read.detail.session == session_id(number)
        assert read.detail.request_digest == ran("alice", number).signed.digest
        assert read.results == ran("alice", number).results


def test_nothing_ran_nothing_is_signed():
    """A batch of stale requests has no reply."""
    assert write_replies(SCENE.group, SCENE.signers[2], 2, 9, 41, []) == []


LIES = {
    "another result": lambda detail: replace(detail, results=(OperationResult(0, b"\x02"), detail.results[1])),
    "another outcome": lambda detail: replace(detail, results=(OperationResult(1, b"\x01"), detail.results[1])),
    "a result left out": lambda detail: replace(detail, results=detail.results[:1]),
    "results in another order": lambda detail: replace(detail, results=detail.results[::-1]),
    "another request": lambda detail: replace(detail, request_digest=bytes(32)),
    "another place": lambda detail: replace(detail, leaf=detail.leaf ^ 1),
    "a tree of another size": lambda detail: replace(detail, leaves=detail.leaves + 1),
    "a path cut short": lambda detail: replace(detail, path=detail.path[:-1]),
    "a path grown": lambda detail: replace(detail, path=(*detail.path, bytes(32))),
    "a path through elsewhere": lambda detail: replace(detail, path=(bytes(32), *detail.path[1:])),
}


@pytest.mark.parametrize("lie", LIES)
def test_results_that_do_not_lead_to_the_signed_root_are_refused(lie):
    """Whatever is altered beside the signature, the reply hangs together no more."""
    reply = replies(4)[1]
    detail = unpack(ReplyDetail, reply.beside)
    with pytest.raises(EncodingError, match="do not lead to the root"):
        read_reply(replace(reply, beside=pack(LIES[lie](detail))))


def test_another_sequence_is_refused():
    """The place in the order is part of what each leaf says."""
    reply = replies(1)[0]
    body = pack(replace(unpack(Reply, reply.body), sequence=42))
    with pytest.raises(EncodingError, match="do not lead to the root"):
        read_reply(replace(reply, body=body))


def test_hints_are_not_signed():
    """View, session and timestamp travel beside and prove nothing: the request digest names all that matters."""
    reply = replies(1)[0]
    detail = unpack(ReplyDetail, reply.beside)
    assert read_reply(replace(reply, beside=pack(replace(detail, view=77)))).detail.view == 77


@given(st.data())
def test_damaged_replies_never_raise_anything_else(data):
    """Bytes near a reply are refused with EncodingError, or still lead to their root."""
    reply = data.draw(st.sampled_from(replies(3)))
    where = data.draw(st.sampled_from(["body", "beside"]))
    damage = replace(reply, **{where: data.draw(strategies.damaged(getattr(reply, where)))})
    try:
        read = read_reply(damage)
    except EncodingError:
        return
    if damage.body == reply.body:
        assert read.results == read_reply(reply).results


def test_the_last_reply_of_each_session_is_kept():
    """One a session, the newest; forgotten when its session is."""
    last = LastReplies(gap_ms=0)
    alice, bob = SCENE.key("alice"), SCENE.key("bob")
    first, second, third = replies(3)
    last.keep(alice, session_id(1), first)
    last.keep(alice, session_id(2), second)
    last.keep(alice, session_id(1), third)
    assert last.again(alice, session_id(1), 0) is third
    assert last.again(alice, session_id(2), 0) is second
    assert last.again(bob, session_id(1), 0) is None
    last.forget(alice, session_id(1))
    last.forget(bob, session_id(1))
    assert last.again(alice, session_id(1), 0) is None


def test_a_reply_is_sent_again_at_a_bounded_rate():
    """At once, then not before the gap is over; a newer reply starts anew, and sessions do not wait for each other."""
    last = LastReplies(gap_ms=50)
    alice = SCENE.key("alice")
    first, second, third = replies(3)
    last.keep(alice, session_id(1), first)
    last.keep(alice, session_id(2), second)
    assert [last.again(alice, session_id(1), ms) for ms in (7, 8, 56, 57, 58)] == [first, None, None, first, None]
    assert last.again(alice, session_id(2), 58) is second
    last.keep(alice, session_id(1), third)
    assert last.again(alice, session_id(1), 58) is third


def test_only_replies_are_read():
    """Something of another shape beside a reply, or for its body, is refused."""
    reply = replies(1)[0]
    for broken in (
        replace(reply, beside=b""),
        replace(reply, body=b""),
        Envelope(Kind.REPLY, 2, reply.beside, reply.signature, reply.body),
    ):
        with pytest.raises(EncodingError):
            read_reply(broken)
