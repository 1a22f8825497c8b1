"""The proxy of a lab's links: what each fault makes of datagrams, over real sockets of this machine."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from pbft.core.envelope import Envelope, Kind
from pbft.core.messages import Batch, Prepare, PrePrepare, Status, batch_digest, pack
from pbft.group_file import Address, GroupFile
from pbft.keys import PrivateKey
from pbft.lab import links as proxy
from pbft.lab.conditions import MAX_SENTENCES
from pbft.lab.faults import FaultError, LinkFault, parse_fault
from pbft.lab.letters import MAX_UNFINISHED, Gathering
from pbft.lab.links import Links
from pbft.lab.making import make_group
from pbft.net.drops import Drop
from pbft.net.fragments import Fragment
from pbft.net.link import Link, Purpose
from pbft.net.transport import UdpSocket

SECONDS = 20
LARGEST = 4 * 1024 * 1024


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> GroupFile:
    """Return a group of a lab that does not run."""
    return make_group(tmp_path_factory.mktemp("links") / "group", "pbft_apps.counter:Counter")


class Stage:
    """Four replicas that are sockets and link keys only, and the proxy between them."""

    def __init__(self, files: GroupFile, links: Links, sockets: list[UdpSocket]) -> None:
        self.links, self.sockets = links, sockets
        self.parties = [
            Link(
                files.group,
                replica,
                Purpose.REPLICAS,
                PrivateKey.load(files.replica_key(replica)),
                os.urandom(8),
                LARGEST,
                files.datagram_bytes,
            )
            for replica in range(files.group.n)
        ]
        self.n = files.group.n

    def fault(self, words: str) -> str:
        """Impose a fault in the words of people."""
        fault = parse_fault(words.split(), self.n, ())
        assert isinstance(fault, LinkFault)
        return self.links.apply(fault)

    async def say(self, src: int, dst: int, envelope: Envelope) -> None:
        """Send a message as a replica does that was told the routes, and see that the proxy has read it."""
        datagrams = self.parties[src].seal(dst, envelope.to_bytes())
        arrived = self.links.counters.arrived + len(datagrams)
        for datagram in datagrams:
            await self.sockets[src].send(datagram, self.links.routes()[src][dst])
        await until(lambda: self.links.counters.arrived == arrived)

    async def heard(self, dst: int, many: int = 1) -> list[Fragment]:
        """Return the next datagrams that reach a replica, all of which its link must take for genuine and fresh."""
        taken: list[Fragment] = []
        async with asyncio.timeout(SECONDS):
            while len(taken) < many:
                for datagram, _ in self.sockets[dst].drain(many - len(taken)):
                    opened = self.parties[dst].open(datagram)
                    assert isinstance(opened, Fragment), opened
                    taken.append(opened)
                await asyncio.sleep(0)
        return taken

    async def sequences(self, dst: int, many: int) -> list[int]:
        """Return the sequences of the next PREPAREs that reach a replica."""
        told = [Envelope.from_bytes(each.payload) for each in await self.heard(dst, many)]
        return [sequence for sequence in range(100) for each in told if each.body == prepare(sequence).body]


def prepare(sequence: int, view: int = 0) -> Envelope:
    """Return a vote; the proxy checks no signatures."""
    return Envelope(Kind.PREPARE, 0, pack(Prepare(view, sequence, bytes(32))), bytes(64))


def status(executed: int) -> Envelope:
    return Envelope(Kind.STATUS, 0, pack(Status(0, 0, 0, executed, 0, False, b"", (), ())))


def large(sequence: int) -> Envelope:
    """Return a proposal of several datagrams."""
    batch = pack(Batch(1, (bytes(150_000),)))
    return Envelope(Kind.PRE_PREPARE, 0, pack(PrePrepare(0, sequence, batch_digest(batch))), bytes(64), batch)


async def until(true: Callable[[], bool]) -> None:
    """Give the proxy turns until something holds."""
    async with asyncio.timeout(SECONDS):
        while True:
            if true():
                return
            await asyncio.sleep(0)


@asynccontextmanager
async def opened(files: GroupFile, seed: int = 1) -> AsyncIterator[Stage]:
    """Bind what replicas bind, on ports of the moment, and the proxy."""
    sockets = [await UdpSocket.open(("127.0.0.1", 0), lambda: None) for _ in range(files.group.n)]
    here = tuple(Address("127.0.0.1", each.address[1]) for each in sockets)
    links = Links(replace(files, replica_addresses=here), seed)
    await links.open()
    try:
        yield Stage(files, links, sockets)
    finally:
        links.close()
        for each in sockets:
            await each.close()


def play(files: GroupFile, story: Callable[[Stage], Coroutine[Any, Any, None]], seed: int = 1) -> None:
    """Run a story on a stage of its own, under each event loop that a keeper may have."""

    async def whole() -> None:
        async with opened(files, seed) as stage:
            await story(stage)

    for loop in loops():
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(whole())


def loops() -> list[Callable[[], asyncio.AbstractEventLoop]]:
    """Return what makes the event loops of this machine: a keeper takes uvloop where it is installed."""
    if importlib.util.find_spec("uvloop") is None:
        return [asyncio.new_event_loop]
    return [asyncio.new_event_loop, importlib.import_module("uvloop").new_event_loop]


def test_without_faults_everything_passes(made: GroupFile):
    """Each direction has a port of its own, none of them a replica's; what is said arrives as it was, at any size."""

    async def story(stage: Stage) -> None:
        routes = stage.links.routes()
        ports = [address[1] for peers in routes.values() for address in peers.values()]
        assert {src: sorted(peers) for src, peers in routes.items()} == {
            src: [dst for dst in range(4) if dst != src] for src in range(4)
        }
        assert len({*ports, *(each.address[1] for each in stage.sockets)}) == 12 + 4
        for src, dst in ((0, 1), (1, 0), (3, 2)):
            await stage.say(src, dst, prepare(src))
            (came,) = await stage.heard(dst)
            assert (came.sender, came.payload) == (src, prepare(src).to_bytes())
        await stage.say(0, 1, large(1))
        (first,) = await stage.heard(1)
        rest = await stage.heard(1, first.count - 1)
        assert first.count > 1
        assert b"".join(each.payload for each in (first, *rest)) == large(1).to_bytes()
        assert stage.links.idle
        assert stage.links.counts() == {
            **dict.fromkeys(stage.links.counts(), 0),
            "arrived": 3 + first.count,
            "passed": 3 + first.count,
        }

    play(made, story)


def test_a_cut_lets_nothing_pass_until_it_is_healed(made: GroupFile):
    """In both directions, and nowhere else."""

    async def story(stage: Stage) -> None:
        assert stage.fault("cut 1 0") == "nothing passes between replica 0 and replica 1"
        for src, dst in ((0, 1), (1, 0)):
            await stage.say(src, dst, prepare(1))
        await stage.say(2, 1, prepare(2))
        assert [each.sender for each in await stage.heard(1)] == [2]
        assert stage.links.counters.cut == 2
        assert stage.links.state().cut == ((0, 1),)
        stage.fault("cut 3")
        assert stage.links.state().cut == ((0, 1), (0, 3), (1, 3), (2, 3))
        assert stage.fault("heal") == "the network is whole again"
        assert stage.links.state().cut == ()
        await stage.say(0, 1, prepare(3))
        assert await stage.sequences(1, 1) == [3]

    play(made, story)


def test_loss_is_drawn_from_the_seed(made: GroupFile):
    """About its share is lost; one seed loses the same; a link may have a share of its own, and the last word holds."""
    passed: list[list[int]] = []

    async def story(stage: Stage) -> None:
        stage.fault("loss 30%")
        for sequence in range(100):
            await stage.say(0, 1, prepare(sequence))
        assert 10 <= stage.links.counters.lost <= 55
        passed.append(await stage.sequences(1, 100 - stage.links.counters.lost))
        stage.fault("loss 100% 2 1")
        assert stage.links.state().loss == (("*", "*", 30), (1, 2, 100))
        lost = stage.links.counters.lost
        for _ in range(5):
            await stage.say(2, 1, prepare(0))
        assert stage.links.counters.lost == lost + 5
        stage.fault("loss 0%")
        assert stage.links.state().loss == ()
        await stage.say(1, 2, prepare(7))
        assert await stage.sequences(2, 1) == [7]

    for seed in (1, 1, 2):
        play(made, story, seed)
    one, again, *other = (passed[at : at + len(loops())] for at in range(0, len(passed), len(loops())))
    assert one == again
    assert one != other[0]


def test_what_is_late_keeps_its_order(made: GroupFile):
    """Also where the delay grows less meanwhile, and where healing ends it; other links are not delayed."""

    async def story(stage: Stage) -> None:
        stage.fault("delay 60000ms 0 1")
        await stage.say(0, 1, prepare(1))
        stage.fault("delay 0ms 0 1")
        await stage.say(0, 1, prepare(2))
        await stage.say(0, 2, prepare(9))
        assert await stage.sequences(2, 1) == [9]
        assert (stage.links.counters.passed, stage.links.idle) == (1, False)
        stage.fault("heal")
        first, second = await stage.heard(1, 2)
        assert (first.payload, second.payload) == (prepare(1).to_bytes(), prepare(2).to_bytes())
        assert stage.links.idle
        stage.fault("delay 5ms")
        assert stage.links.state().delay == (("*", "*", 5),)
        for sequence in range(20):
            await stage.say(0, 1, prepare(sequence))
        told = [each.payload for each in await stage.heard(1, 20)]
        assert told == [prepare(sequence).to_bytes() for sequence in range(20)]

    play(made, story)


def test_sentences_read_messages(made: GroupFile):
    """Kinds, views and sequences are seen through the tag, in large messages too; the rest passes."""

    async def story(stage: Stage) -> None:
        stage.fault("let the first 2 prepares of sequences 5 to 9 from 0 to 1: drop")
        stage.fault("let pre-prepares: drop")
        stage.fault("let statuses from 0: delay by 60000 ms")
        assert stage.links.state().sentences == (
            "the first 2 prepares of sequences 5 to 9 from 0 to 1: drop",
            "pre-prepares: drop",
            "statuses from 0: delay by 60000 ms",
        )
        await stage.say(0, 1, large(5))
        dropped = stage.links.counters.dropped
        assert dropped > 1
        for sequence in (5, 4, 6, 7):
            await stage.say(0, 1, prepare(sequence))
        assert await stage.sequences(1, 2) == [4, 7]
        assert stage.links.counters.dropped == dropped + 2
        assert len(stage.links.state().sentences) == 2
        await stage.say(0, 1, status(3))
        await stage.say(0, 1, prepare(8))
        assert await stage.sequences(1, 1) == [8]
        stage.fault("heal")
        assert [each.payload for each in await stage.heard(1)] == [status(3).to_bytes()]
        assert stage.links.state().sentences == ()

    play(made, story)


def test_a_sentence_that_is_used_up_keeps_nothing_back(made: GroupFile):
    """What came of a large message while messages were read passes with its rest: it is not lost."""

    async def story(stage: Stage) -> None:
        stage.fault("let the first prepare: drop")
        link = stage.links._links[0, 1]
        *most, last = datagrams = stage.parties[0].seal(1, large(5).to_bytes())
        for each in most:
            stage.links._take(link, each)
        await stage.say(0, 1, prepare(5))
        assert not stage.links._conditions.read_messages
        stage.links._take(link, last)
        assert b"".join(each.payload for each in await stage.heard(1, len(datagrams))) == large(5).to_bytes()

    play(made, story)


def test_sentences_are_bounded(made: GroupFile):
    """One more than are kept is refused in words, and healing makes room."""

    async def story(stage: Stage) -> None:
        for view in range(MAX_SENTENCES):
            stage.fault(f"let prepares of view {view}: drop")
        with pytest.raises(FaultError, match="at most 64 sentences hold at once; heal ends them all"):
            stage.fault("let commits: drop")
        stage.fault("heal")
        assert stage.fault("let commits: drop") == "from now on commits: drop"

    play(made, story)


def test_a_duplicate_is_the_same_datagram_again(made: GroupFile):
    """As networks do it: the receiver's link takes the first and knows the others for replays."""

    async def story(stage: Stage) -> None:
        stage.fault("let prepares: duplicate 3 times")
        await stage.say(0, 1, prepare(1))
        assert await stage.sequences(1, 1) == [1]
        await until(lambda: stage.sockets[1].queued == 2)
        copies = [datagram for datagram, _ in stage.sockets[1].drain(2)]
        assert [stage.parties[1].open(each) for each in copies] == [Drop.REPLAYED, Drop.REPLAYED]

    play(made, story)


def test_each_step_lets_one_message_through_and_says_which(made: GroupFile):
    """Oldest first, a large one whole; what is said again is held once, and of statuses the latest, at the end."""

    async def story(stage: Stage) -> None:
        assert stage.fault("step") == "all messages between replicas are held; each further step lets one through"
        assert stage.fault("step") == "no message is held yet"
        await stage.say(0, 1, status(1))
        await stage.say(0, 1, large(5))
        await stage.say(2, 3, prepare(5))
        await stage.say(0, 1, large(5))
        await stage.say(0, 1, status(2))
        assert (stage.links.state().stepping, stage.links.state().held) == (True, 3)
        assert stage.links.counters.passed == 0
        assert stage.fault("step") == "PRE-PREPARE of view 0, sequence 5 from 0 to 1; 2 messages held"
        (first,) = await stage.heard(1)
        assert len(await stage.heard(1, first.count - 1)) == first.count - 1
        assert stage.fault("step") == "PREPARE of view 0, sequence 5 from 2 to 3; 1 message held"
        assert stage.fault("step") == "STATUS of view 0 from 0 to 1; no messages held"
        assert [each.payload for each in await stage.heard(1)] == [status(2).to_bytes()]
        await stage.say(1, 0, prepare(6))
        assert stage.fault("heal") == "the network is whole again, and got 1 held message"
        assert await stage.sequences(0, 1) == [6]
        assert stage.links.idle

    play(made, story)


def test_a_step_holds_what_is_late(made: GroupFile):
    """Nothing slips through because it was on its way already."""

    async def story(stage: Stage) -> None:
        stage.fault("delay 60000ms")
        await stage.say(0, 1, prepare(1))
        stage.fault("step")
        assert stage.links.state().held == 1
        assert stage.fault("step").startswith("PREPARE of view 0, sequence 1 from 0 to 1")
        assert await stage.sequences(1, 1) == [1]

    play(made, story)


def test_what_is_no_message_passes_and_is_called_unreadable(made: GroupFile):
    """The proxy judges nothing: whatever came in at a link's port is held and passed on as it is."""

    async def story(stage: Stage) -> None:
        stage.fault("step")
        await stage.sockets[0].send(b"\xff" * 99, stage.links.routes()[0][1])
        await until(lambda: stage.links.state().held == 1)
        assert stage.fault("step") == "something unreadable from 0 to 1; no messages held"
        await until(lambda: stage.sockets[1].queued == 1)
        assert [datagram for datagram, _ in stage.sockets[1].drain(1)] == [b"\xff" * 99]

    play(made, story)


def test_what_waits_is_bounded(made: GroupFile, monkeypatch: pytest.MonkeyPatch):
    """Of held messages the oldest goes, of late datagrams the newest; both are counted."""
    monkeypatch.setattr(proxy, "MAX_HELD", 3)
    monkeypatch.setattr(proxy, "MAX_DELAYED", 2)

    async def story(stage: Stage) -> None:
        stage.fault("step")
        for sequence in range(5):
            await stage.say(0, 1, prepare(sequence))
        assert stage.links.state().held == 3
        assert stage.links.counters.overflowed == 2
        assert stage.fault("step").startswith("PREPARE of view 0, sequence 2 from 0 to 1")
        stage.fault("heal")
        assert await stage.sequences(1, 3) == [2, 3, 4]
        stage.fault("delay 60000ms")
        for sequence in range(10, 14):
            await stage.say(0, 1, prepare(sequence))
        assert stage.links.counters.overflowed == 4
        stage.fault("heal")
        assert await stage.sequences(1, 2) == [10, 11]

    play(made, story)


def test_unfinished_messages_are_bounded(made: GroupFile):
    """A link of which parts are lost keeps so many beginnings and no more; what heals is told as it is."""
    party = Link(
        made.group, 0, Purpose.REPLICAS, PrivateKey.load(made.replica_key(0)), bytes(8), LARGEST, made.datagram_bytes
    )
    gathering = Gathering(0, 1)
    for sequence in range(MAX_UNFINISHED + 5):
        assert gathering.add(party.seal(1, large(sequence).to_bytes())[0]) is None
    assert gathering.abandoned == 5
    assert len(gathering.rest()) == MAX_UNFINISHED
    assert gathering.held_bytes == 0
    whole = None
    for datagram in reversed(party.seal(1, large(7).to_bytes())):
        assert whole is None
        whole = gathering.add(datagram)
    assert whole is not None
    assert whole.envelope == large(7)


def test_links_are_of_a_lab_on_this_machine_only(made: GroupFile):
    """Nobody leads another group's datagrams anywhere."""

    async def refused(files: GroupFile) -> str:
        with pytest.raises(FaultError) as error:
            await Links(files).open()
        return str(error.value)

    assert "is no lab's" in asyncio.run(refused(replace(made, lab=False)))
    away = (*made.replica_addresses[:3], Address("192.0.2.7", 4_000))
    says = asyncio.run(refused(replace(made, replica_addresses=away)))
    assert says == "replica 3 is at 192.0.2.7:4000, and only links within this machine can be made to fail"
