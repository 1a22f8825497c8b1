"""The links between the replicas of a lab, led through one process: a proxy of UDP that needs no rights of its own.

Owns: a socket for each two replicas and direction, what waits in memory, and the release of what is held. What comes in
at the socket of (i, j) is what i says to j, and leaves for j's own address. What is wrong with a link is `conditions`'
matter, what a message is `letters`'. Starts no processes: whoever holds `Links` tells replicas their `routes`.
"""

from __future__ import annotations

import asyncio
import heapq
import ipaddress
import random
import resource
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Final

from pbft.core.group import ReplicaId
from pbft.group_file import GroupFile
from pbft.lab.conditions import Conditions
from pbft.lab.faults import Cut, Delay, FaultError, Heal, Let, LinkFault, Loss, Pair, Step
from pbft.lab.letters import Gathering, Letter
from pbft.lab.state import LinksState
from pbft.net.transport import MAX_READ_BYTES, SocketAddress, bind, family_of, resolve
from pbft.net.verbs import parse
from pbft.wording import count

MAX_HELD: Final = 4_096
MAX_HELD_BYTES: Final = 64 * 1024 * 1024
"""What messages wait for a step may be and hold; beyond, the oldest is dropped."""

MAX_DELAYED: Final = 65_536
MAX_DELAYED_BYTES: Final = 64 * 1024 * 1024
"""What datagrams that are late may be and hold; beyond, the newest is dropped."""

_DATAGRAMS_A_LOOK: Final = 64
_FILES_BESIDES: Final = 256
_PORTS_TRIED: Final = 100
_EARLY_SECONDS: Final = 0.001


@dataclass(slots=True)
class LinkCounters:
    """What has become of datagrams, in all."""

    arrived: int = 0
    passed: int = 0
    cut: int = 0
    lost: int = 0
    dropped: int = 0
    """By sentences."""
    overflowed: int = 0
    """Because too much was held or late."""
    failed: int = 0
    """Because the system would not send them."""


class _Link:
    """One direction between two replicas."""

    __slots__ = ("dst", "due", "gathering", "socket", "src", "target")

    def __init__(self, src: ReplicaId, dst: ReplicaId, sock: socket.socket, target: SocketAddress) -> None:
        self.src, self.dst = src, dst
        self.socket = sock
        self.target = target
        self.gathering = Gathering(src, dst)
        self.due = 0.0
        """When the latest of its delayed datagrams leaves: a later one never overtakes it."""


class Links:
    """All links between the replicas of a lab's group. `open` binds them; all else is for the loop's own thread."""

    def __init__(self, files: GroupFile, seed: int = 0) -> None:
        """All chance comes from the seed."""
        self._files = files
        self._links: dict[tuple[ReplicaId, ReplicaId], _Link] = {}
        self._conditions = Conditions(files.group.n, random.Random(f"{seed}/links"))
        self._stepping = False
        self._held: dict[tuple[object, ...], tuple[_Link, Letter]] = {}
        self._held_bytes = 0
        self._late: list[tuple[float, int, _Link, bytes]] = []
        self._late_bytes = 0
        self._planned = 0
        self._timer: asyncio.TimerHandle | None = None
        self._rings = 0.0
        self.counters = LinkCounters()

    async def open(self) -> None:
        """Bind a socket on this machine for each two replicas and direction. Raises FaultError."""
        if not self._files.lab:
            raise FaultError(f"the group in {self._files.directory} is no lab's, and its links are nobody's to fail")
        targets = [await self._find(replica) for replica in range(self._files.group.n)]
        _allow_files(len(targets) ** 2 + _FILES_BESIDES)
        taken = [each.port for each in (*self._files.replica_addresses, *self._files.client_addresses)]
        loop = asyncio.get_running_loop()
        try:
            for src in range(len(targets)):
                for dst, target in enumerate(targets):
                    if src != dst:
                        link = _Link(src, dst, _bind_beside(target, taken), target)
                        self._links[src, dst] = link
                        loop.add_reader(link.socket.fileno(), self._on_readable, link)
        except OSError as error:
            self.close()
            raise FaultError(f"the links cannot be opened: {(error.strerror or str(error)).lower()}") from None

    def close(self) -> None:
        """Close all sockets. What waits is lost."""
        loop = asyncio.get_running_loop()
        for link in self._links.values():
            loop.remove_reader(link.socket.fileno())
            link.socket.close()
        self._links.clear()
        self._forget_late()
        self._held.clear()
        self._held_bytes = 0

    def routes(self) -> dict[ReplicaId, dict[ReplicaId, SocketAddress]]:
        """Return for each replica where it is to send what is for each of the others."""
        found: dict[ReplicaId, dict[ReplicaId, SocketAddress]] = {}
        for (src, dst), link in self._links.items():
            found.setdefault(src, {})[dst] = link.socket.getsockname()
        return found

    @property
    def idle(self) -> bool:
        """Whether everything passes at once, as it would without this."""
        return not (self._conditions.any or self._stepping or self._late)

    def apply(self, fault: LinkFault) -> str:
        """Do what a fault says; return in words what came of it. Raises FaultError."""
        match fault:
            case Step():
                return self.step()
            case Heal():
                return self.heal()
            case _:
                return self._conditions.impose(fault)

    def cut(self, one: ReplicaId, other: ReplicaId | None = None) -> str:
        """Let nothing pass between two replicas, or between one and all others."""
        return self.apply(Cut(one, other))

    def loss(self, percent: int, link: Pair | None = None) -> str:
        """Lose a share of the datagrams, of one link or of all."""
        return self.apply(Loss(percent, link and (min(link), max(link))))

    def delay(self, later_ms: int, link: Pair | None = None) -> str:
        """Delay the datagrams of one link, or of all."""
        return self.apply(Delay(later_ms, link and (min(link), max(link))))

    def let(self, sentence: str) -> str:
        """Let a sentence come true. Raises ValueError with what to write instead."""
        return self.apply(Let(parse(sentence)))

    def step(self) -> str:
        """Hold all messages from now on; where they are held already, let the oldest through, and say which it was."""
        if not self._stepping:
            self._stepping = True
            for _, _, link, datagram in self._take_late():
                self._gather(link, datagram)
            return "all messages between replicas are held; each further step lets one through"
        if not self._held:
            return "no message is held yet"
        link, letter = self._held.pop(next(iter(self._held)))
        self._held_bytes -= letter.size
        self._send(link, letter.datagrams)
        return f"{letter}; {count(len(self._held), 'message')} held"

    def heal(self) -> str:
        """End all faults, and deliver all that is held or late, in its order."""
        self._conditions.heal()
        self._stepping = False
        released = len(self._held)
        for _, _, link, datagram in self._take_late():
            self._send(link, (datagram,))
        for link, letter in self._held.values():
            self._send(link, letter.datagrams)
        self._held.clear()
        self._held_bytes = 0
        for link in self._links.values():
            self._send(link, link.gathering.rest())
        return "the network is whole again" + (f", and got {count(released, 'held message')}" if released else "")

    def state(self) -> LinksState:
        """Return what is in force, and how many messages wait for a step."""
        return replace(self._conditions.state(), stepping=self._stepping, held=len(self._held))

    def counts(self) -> dict[str, int]:
        """Return what has become of datagrams, in all, as JSON has it; "abandoned" are parts of unfinished messages."""
        return {**asdict(self.counters), "abandoned": sum(link.gathering.abandoned for link in self._links.values())}

    # What comes in.

    def _on_readable(self, link: _Link) -> None:
        for _ in range(_DATAGRAMS_A_LOOK):
            try:
                datagram = link.socket.recv(MAX_READ_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # Some systems report here that an earlier datagram found nobody; the socket is none the worse for it.
                continue
            self.counters.arrived += 1
            self._take(link, datagram)

    def _take(self, link: _Link, datagram: bytes) -> None:
        if self._conditions.is_cut(link.src, link.dst):
            self.counters.cut += 1
        elif self._conditions.loses(link.src, link.dst):
            self.counters.lost += 1
        elif self._stepping or self._conditions.read_messages:
            self._gather(link, datagram)
        else:
            # The last sentence has been used up: what came of a message before must not wait for what passes by now.
            self._pass(link, (*link.gathering.rest(), datagram), 0)

    def _gather(self, link: _Link, datagram: bytes) -> None:
        letter = link.gathering.add(datagram)
        if letter is None:
            return
        verb = self._conditions.verb(letter)
        if verb.copies == 0:
            self.counters.dropped += len(letter.datagrams)
        elif self._stepping:
            self._hold(link, letter)
        else:
            for _ in range(verb.copies):
                self._pass(link, letter.datagrams, verb.later_ms)

    def _hold(self, link: _Link, letter: Letter) -> None:
        """Let a message wait for its step. What is sent again waits once, where it came first."""
        key = letter.key
        if key in self._held and not letter.is_status:
            return
        replaced = self._held.pop(key, None)
        self._held_bytes += letter.size - (0 if replaced is None else replaced[1].size)
        # The latest word on where a replica stands goes to the end: datagrams of one link leave in their order.
        self._held[key] = link, letter
        while len(self._held) > MAX_HELD or self._held_bytes > MAX_HELD_BYTES:
            _, oldest = self._held.pop(next(iter(self._held)))
            self._held_bytes -= oldest.size
            self.counters.overflowed += len(oldest.datagrams)

    # What goes out.

    def _pass(self, link: _Link, datagrams: Iterable[bytes], later_ms: int) -> None:
        """Send datagrams, or let them be late: by what the link takes, in its order, and by as much more."""
        delay_ms = self._conditions.delay_ms(link.src, link.dst)
        now = asyncio.get_running_loop().time()
        if not delay_ms and not later_ms and link.due <= now:
            self._send(link, datagrams)
            return
        link.due = max(link.due, now + delay_ms / 1000)
        for datagram in datagrams:
            if len(self._late) >= MAX_DELAYED or self._late_bytes + len(datagram) > MAX_DELAYED_BYTES:
                self.counters.overflowed += 1
                continue
            self._planned += 1
            self._late_bytes += len(datagram)
            heapq.heappush(self._late, (link.due + later_ms / 1000, self._planned, link, datagram))
        self._wind()

    def _wind(self) -> None:
        """Set the timer to when the next late datagram is due."""
        if not self._late:
            return
        due = self._late[0][0]
        if self._timer is None or due < self._rings:
            if self._timer is not None:
                self._timer.cancel()
            self._rings = due
            self._timer = asyncio.get_running_loop().call_at(due, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        # A loop may count in whole milliseconds, and call a little before its own clock says so.
        now = asyncio.get_running_loop().time() + _EARLY_SECONDS
        while self._late and self._late[0][0] <= now:
            _, _, link, datagram = heapq.heappop(self._late)
            self._late_bytes -= len(datagram)
            self._send(link, (datagram,))
        self._wind()

    def _take_late(self) -> list[tuple[float, int, _Link, bytes]]:
        """Take out all that is late, in the order in which it would leave."""
        late = sorted(self._late, key=lambda each: each[:2])
        self._forget_late()
        return late

    def _forget_late(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._late.clear()
        self._late_bytes = 0
        for link in self._links.values():
            link.due = 0.0

    def _send(self, link: _Link, datagrams: Iterable[bytes]) -> None:
        for datagram in datagrams:
            try:
                link.socket.sendto(datagram, link.target)
            except OSError:
                self.counters.failed += 1
            else:
                self.counters.passed += 1

    async def _find(self, replica: ReplicaId) -> SocketAddress:
        place = self._files.replica_addresses[replica]
        found = await resolve(place.host, place.port)
        if found is None or not ipaddress.ip_address(found[0]).is_loopback:
            raise FaultError(f"replica {replica} is at {place}, and only links within this machine can be made to fail")
        return found


def _bind_beside(target: SocketAddress, taken: list[int]) -> socket.socket:
    """Return a socket of the target's family, on a port that no replica of the group will want. Raises OSError."""
    host = "::1" if family_of(target) == socket.AF_INET6 else "127.0.0.1"
    for _ in range(_PORTS_TRIED):
        sock = bind((host, 0))
        if sock.getsockname()[1] not in taken:
            return sock
        sock.close()
    raise OSError("no port is free")


def _allow_files(wanted: int) -> None:
    """Let this process open so many files, where the system lets it."""
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if least != resource.RLIM_INFINITY and least < wanted:
        allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(least, allowed), most))
