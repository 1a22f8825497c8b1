"""What messages say, in the words of a trace.

Owns: how a place, a digest and every kind of body are spelled. Judges nothing: a body that says nothing is malformed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from pbft.core.envelope import Kind, Sender
from pbft.core.messages import (
    NULL_DIGEST,
    Batch,
    Checkpoint,
    CheckpointProof,
    Commit,
    CommitCertificate,
    Hello,
    NewView,
    Prepare,
    PrePrepare,
    Refusal,
    RefusalReason,
    Reply,
    ReplyDetail,
    Request,
    Status,
    ViewChange,
    Welcome,
    request_digest,
    unpack,
)
from pbft.core.state_messages import TOP, Fetch, Nodes, Recall, Recalled
from pbft.core.state_messages import Address as StateAddress
from pbft.encoding import EncodingError
from pbft.testing.network import Address
from pbft.wording import count

_ADDRESSES: Final = 4
"""So many nodes of a state are named where more are meant."""


def place(address: Address) -> str:
    """Return an address as a trace shows it: `r2` for replica 2, a client's label as it is."""
    return f"r{address}" if isinstance(address, int) else address


def places(senders: Iterable[Sender]) -> str:
    """Return several replicas as a trace shows them."""
    return " ".join(place(sender) if isinstance(sender, int) else short(sender) for sender in senders) or "nobody"


def short(digest: bytes) -> str:
    """Return the first eight digits of a digest."""
    return digest[:4].hex()


def proposals(stable: int, digests: Sequence[bytes]) -> str:
    """Return what a new view proposes again, for each sequence after `stable`."""
    each = [
        f"s{sequence} {'null' if digest == NULL_DIGEST else short(digest)}"
        for sequence, digest in enumerate(digests, start=stable + 1)
    ]
    return ", ".join(each) or "nothing"


# Every envelope is shown once a delivery, and broadcast to all: what its bytes say is worth remembering.
@lru_cache(maxsize=4096)
def body_words(kind: Kind, body: bytes, beside: bytes) -> str:
    """Return what a body says, in words; bytes that say nothing are called malformed."""
    try:
        return _body_words(kind, body, beside)
    except EncodingError:
        return " malformed"


def _body_words(kind: Kind, body: bytes, beside: bytes) -> str:
    match kind:
        case Kind.PRE_PREPARE:
            said = unpack(PrePrepare, body)
            requests = count(len(unpack(Batch, beside).requests), "request")
            return f" v{said.view} s{said.sequence} {short(said.digest)} with {requests}"
        case Kind.PREPARE | Kind.COMMIT:
            vote = unpack(Prepare, body) if kind is Kind.PREPARE else unpack(Commit, body)
            return f" v{vote.view} s{vote.sequence} {short(vote.digest)}"
        case Kind.CHECKPOINT:
            checkpoint = unpack(Checkpoint, body)
            return f" s{checkpoint.sequence} {short(checkpoint.digest)}"
        case Kind.CHECKPOINT_PROOF:
            proof = unpack(CheckpointProof, body)
            return f" s{proof.sequence} {short(proof.digest)} by {places(share.signer for share in proof.shares)}"
        case Kind.VIEW_CHANGE:
            return _view_change(unpack(ViewChange, body))
        case Kind.NEW_VIEW:
            return _new_view(unpack(NewView, body))
        case Kind.STATUS:
            return _status(unpack(Status, body))
        case _:
            return _other_words(kind, body, beside)


def _other_words(kind: Kind, body: bytes, beside: bytes) -> str:
    match kind:
        case Kind.COMMITTED:
            proven = unpack(CommitCertificate, body)
            by, batch = places(share.signer for share in proven.commits), " with its batch" if beside else ""
            return f" v{proven.view} s{proven.sequence} {short(proven.digest)} by {by}{batch}"
        case Kind.FETCH:
            fetch = unpack(Fetch, body)
            return f" s{fetch.sequence} {short(fetch.digest)} {_addresses(fetch.addresses)}"
        case Kind.NODES:
            nodes = unpack(Nodes, body)
            size = sum(len(each.payload) for each in nodes.nodes)
            return f" s{nodes.sequence} {_addresses([each.address for each in nodes.nodes])} with {count(size, 'byte')}"
        case Kind.RECALL:
            return _recall(unpack(Recall, body))
        case Kind.RECALLED:
            recalled = unpack(Recalled, body)
            return f"{_recall(recalled.asked)} {count(len(recalled.items), 'item')}"
        case Kind.REQUEST:
            request = unpack(Request, body)
            operations = count(len(request.operations), "operation")
            return f" t{request.timestamp} {short(request_digest(body))} with {operations}"
        case Kind.REPLY:
            reply, detail = unpack(Reply, body), unpack(ReplyDetail, beside)
            outcomes = [result.outcome for result in detail.results]
            return f" s{reply.sequence} {short(reply.root)} t{detail.timestamp} {outcomes}"
        case Kind.WELCOME:
            return f" v{unpack(Welcome, body).view}"
        case Kind.REFUSAL:
            refusal = unpack(Refusal, body)
            return f" t{refusal.timestamp}: {RefusalReason(refusal.reason).name}"
        case Kind.HELLO:
            unpack(Hello, body)
    return ""


def _view_change(vote: ViewChange) -> str:
    prepared = ", ".join(f"s{each.sequence} v{each.view} {short(each.digest)}" for each in vote.prepared)
    return f" v{vote.view} stable s{vote.stable.sequence} prepared {prepared or 'nothing'}"


def _new_view(said: NewView) -> str:
    votes = " ".join(f"{place(each.replica)} {short(each.digest)}" for each in said.votes)
    again = proposals(said.stable, [each.digest for each in said.renewals])
    return f" v{said.view} by {votes}, stable s{said.stable}, again {again}"


def _status(status: Status) -> str:
    told = f" v{status.view}" + (f" wants v{status.target}" if status.target != status.view else "")
    told += f" stable s{status.stable} executed {status.executed} held {status.held.hex() or 'nothing'}"
    having = [f"{place(replica)} v{view}" for replica, view in enumerate(status.view_changes) if view]
    if having:
        told += f", VIEW_CHANGEs of {', '.join(having)}"
    if status.wanted:
        told += f", lacks {' '.join(map(short, status.wanted))}"
    return told


def _addresses(addresses: Sequence[StateAddress]) -> str:
    named = ["top" if each == TOP else f"{each.section}/{each.prefix.hex()[1::2]}" for each in addresses[:_ADDRESSES]]
    more = [f"and {len(addresses) - _ADDRESSES} more"] if len(addresses) > _ADDRESSES else []
    return f"nodes {' '.join([*named, *more])}"


def _recall(recall: Recall) -> str:
    what = ("batches", "operations", f"writes of operation {recall.operation}")[recall.level]
    return f" {what} of s{recall.first} to s{recall.last}"
