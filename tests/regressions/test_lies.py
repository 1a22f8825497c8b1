"""Published defects of peers' claims that were believed: heights, indexes, fields, and messages for times to come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from pbft.core import codec
from pbft.core import envelope as envelopes
from pbft.core.assembly import Assembly, _read
from pbft.core.certificates import Certificates
from pbft.core.early import Early
from pbft.core.effects import Effect, Reason, Send, StateInstalled
from pbft.core.envelope import Envelope, Kind, Sender, seal
from pbft.core.group import Group, Limits
from pbft.core.messages import CheckpointProof, Prepare, Share, Status, pack, unpack
from pbft.core.repair import Repair
from pbft.core.settings import Now, ReplicaSettings
from pbft.core.state_messages import TOP, Address, Nodes
from pbft.encoding import encode
from pbft.testing import Cluster, NotFinished, OracleFailure
from pbft.testing.byzantine import Adversary, Silent
from pbft.testing.shelf import Shelf
from pbft_apps.counter import Counter
from tests.regressions.plant import both


def test_cometbft_asa_2024_008_a_lie_about_where_it_stands_ended_a_peer() -> None:
    """What is not of its type, or beyond its bounds, is no message.

    While a node caught up, what a malicious peer said of its own heights made it panic, or left it in a state that no
    check had foreseen. Ours takes a message for one only if every field is exactly of its type and within its bounds;
    the rest is malformed, whoever sends it.

    Planted: a decoder that counts fields and looks at nothing in them.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=1, byzantine={3: Silent})
        alice = group.client("alice")
        far_away = encode([0, 0, 0, "very far", 0, True, b"", [], []])
        for to in (0, 1, 2):
            group.inject(Envelope(Kind.STATUS, 3, far_away), to)
        assert group.gather(alice.call("add", 5)) == [5]
        assert group.ignored(1)[Reason.MALFORMED] == 1

    def unbounded(where: str, hint: type, bounds: codec.Within) -> Callable[[Any], Any]:
        return lambda value: value

    both(
        scenario,
        (codec, "_scalar_builder", unbounded),
        (codec, "_SHAPES", {}),
        fails=TypeError,
        words="can only concatenate str",
    )


def test_cometbft_asa_2024_011_an_index_out_of_range_ended_a_peer() -> None:
    """Members are asked for before they are looked up.

    A vote named its signer by an index that no validator has, the index was used before it was checked, and every node
    that got the vote panicked. Ours asks first whether there is such a member.

    Planted: members are looked up as they are named.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=2, byzantine={3: Silent}, limits=Limits(checkpoint_interval=2, log_size=4))
        alice = group.client("alice")
        proof = CheckpointProof(2, bytes(32), tuple(Share(i, bytes(64)) for i in (4, 5, 60_000)))
        group.inject(Envelope(Kind.CHECKPOINT_PROOF, 3, pack(proof)), to=1)
        assert group.gather(alice.call("add", 5)) == [5]
        assert group.ignored(1)[Reason.BAD_CERTIFICATE] == 1

    def by_index(group: Group, sender: Sender) -> bytes:
        return sender if isinstance(sender, bytes) else group.members[sender].public_key

    both(
        scenario,
        (envelopes, "sender_key", by_index),
        (Certificates, "_are_members", lambda *_: True),
        fails=IndexError,
        words="tuple index out of range",
    )


def test_cometbft_asa_2025_001_a_lied_height_kept_a_node_waiting_for_ever() -> None:
    """One peer's word for how far it has come moves nobody.

    A peer claimed a height that no block has, and the node that believed it went on catching up to there for ever. Ours
    believes no sequence that fewer than f+1 claim to have executed.

    Planted: one claim is enough. Then a primary that claims more and more seems to go on without the others, whose
    patience never ends.
    """

    def scenario() -> None:
        group = Cluster(Counter, seed=3, byzantine={0: Silent})
        alice = group.client("alice")
        for turn in range(40):
            claim = Envelope(Kind.STATUS, 0, pack(Status(0, 0, 0, 10**6 + turn, 0, False, b"", (), ())))
            for to in (1, 2, 3):
                group.at(500 * turn, partial(group.inject, claim, to))
        group.gather(alice.call("add", 5), within_ms=15_000)

    both(
        scenario,
        (Repair, "supported", lambda self: max(self._claims.values(), default=0)),
        fails=NotFinished,
        words="no answer to alice.add",
    )


class Mislabelling(Adversary):
    """Sends the nodes of a state as they are, each under the address of the next one that it sends."""

    def twist(self, effects: list[Effect], now: Now) -> list[Effect]:
        """Change the addresses of nodes that leave together."""
        return [self._mislabelled(effect) for effect in effects]

    def _mislabelled(self, effect: Effect) -> Effect:
        if not isinstance(effect, Send) or effect.envelope.kind is not Kind.NODES:
            return effect
        nodes = unpack(Nodes, effect.envelope.body)
        places = [each.address for each in nodes.nodes]
        moved = [replace(each, address=place) for each, place in zip(nodes.nodes, places[1:] + places[:1], strict=True)]
        body = pack(replace(nodes, nodes=tuple(moved)))
        return replace(effect, envelope=replace(effect.envelope, body=body))


def test_cometbft_asa_2025_002_a_part_went_to_another_place_than_its_proof() -> None:
    """A node of the state is proven for the place where it is kept.

    A block's part said one index and its proof another: the proof was good for that other one, the part went to the
    place it named, and nobody could put the block together. Ours checks a node by what is named at the very place where
    it is kept.

    Planted: a node is good if it is one of those that are missing, at whichever place.
    """

    def scenario() -> None:
        limits = Limits(checkpoint_interval=2, log_size=4)
        group = Cluster(Shelf, seed=4, limits=limits, byzantine={1: Mislabelling})
        alice = group.client("alice")
        group.network.isolate(3)
        for box in range(6):
            group.gather(alice.call("put", f"box {box}", str(box) * 40_000))
        group.network.rejoin(3)
        group.finish()
        (installed,) = group.steps(3, StateInstalled)
        assert installed.bytes > 4 * 40_000
        assert group.ignored(3)[Reason.WRONG_DIGEST] > 0

    def anywhere(self: Assembly, address: Address, payload: bytes) -> bool:
        if address == TOP:
            return self._put_top(payload)
        known = (each for each in self._missing.values() if each is not None)
        named = next((each for each in known if each.matches(payload)), None)
        if named is None:
            return False
        self._came(address, payload)
        self._keep(address, _read(named, payload, Address(address.section, b"")))
        return True

    both(
        scenario,
        (Assembly, "put", anywhere),
        fails=OracleFailure,
        words="O15: a healed group made no progress: no equal histories: executed .6, 6, 0.",
    )


def test_celo_183_one_signer_filled_the_memory_with_rounds_to_come() -> None:
    """What comes too early has so many bytes of room a peer.

    Messages for rounds that had not begun were kept until they could be used, all of them, so one validator could
    exhaust the memory of all (likewise monad #1969 and diem #1325). In ours what does not fit is refused, and costs
    nobody else's room.

    Planted: the room has no walls.
    """

    def scenario() -> None:
        settings = ReplicaSettings(early_bytes=8 * 1024)
        group = Cluster(Counter, seed=5, byzantine={3: Silent}, settings=settings)
        alice = group.client("alice")
        signer = group.identity("replica 3").signer
        for view in range(1, 300):
            vote = pack(Prepare(view, 1, bytes(32)))
            group.inject(seal(group.group, signer, Kind.PREPARE, 3, vote), to=1)
        group.run(1_000)
        assert group.ignored(1)[Reason.FULL] > 200
        assert group.gather(alice.call("add", 5)) == [5]

    keep = Early.keep

    def without_walls(self: Early, sender: int, envelope: Envelope) -> bool:
        self._bytes_per_peer = 2**40
        return keep(self, sender, envelope)

    both(
        scenario,
        (Early, "keep", without_walls),
        fails=OracleFailure,
        words="O14: replica 1 has early_bytes = .*, and 32768 is the most",
    )
