"""Keeping a lab's group: doing the faults that somebody asks for, and telling whoever follows how it is.

Owns: what each fault does to processes and links, the state that is told, and when a keeper has nothing left to keep.
Knows no terminals; the socket that questions come over is `pbft.lab.answering`'s, the words of faults are
`pbft.lab.faults`'.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pbft.group_file import GroupFile
from pbft.lab.faults import (
    Byzantine,
    Fault,
    FaultError,
    Heal,
    Kill,
    LinkFault,
    Pause,
    ProcessFault,
    Restart,
    Resume,
    parse_fault,
)
from pbft.lab.links import Links
from pbft.lab.processes import GRACE_SECONDS
from pbft.lab.seats import Seat
from pbft.lab.state import LabState, LinksState
from pbft.loading import file_of
from pbft.net.waiting import fine_clock_us
from pbft.node.routes import spell_order, write_detours
from pbft.wording import quote

READY_SECONDS: Final = 30.0
"""How long a replica that was started again may take until its sockets are open."""

_LOOK_SECONDS: Final = 0.2
_PAUSE_SECONDS: Final = 0.02

Event = Mapping[str, Any]


class Keeper:
    """Whoever looks after the replicas of one local group. All of it is for the loop's own thread."""

    def __init__(self, files: GroupFile, seats: Sequence[Seat]) -> None:
        """The seats' replicas run already, as children of this process."""
        self.files = files
        self.seats = tuple(seats)
        self.followers: list[Callable[[Event], None]] = []
        """Whom each event is told."""
        self.over = asyncio.Event()
        """Set once there is nothing more to keep, or nobody wants it kept."""
        self._locks = [asyncio.Lock() for _ in seats]
        self._links_lock = asyncio.Lock()
        self._links: Links | None = None
        self._detoured = False
        self._told: LabState | None = None

    async def run(self) -> None:
        """Look after the group until it is over."""
        while not self.over.is_set():
            state = self.look()
            if self._links is not None and self._links.idle:
                # A disk that refuses is no reason to end the group: the proxy lets guests through as well.
                with contextlib.suppress(FaultError):
                    self._lead(False)
            if self._nothing_left(state):
                self.over.set()
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self.over.wait()
            except TimeoutError:
                continue
        self.look()

    def close(self) -> None:
        """Close what is open of the network. Raises OSError where the detours cannot be taken back."""
        if self._links is not None:
            self._links.close()
            write_detours(self.files, {})

    def state(self) -> LabState:
        """Return how the group's processes and links are."""
        links = LinksState() if self._links is None else self._links.state()
        return LabState(tuple(seat.look() for seat in self.seats), self.files.group.quorums.faults, links)

    def look(self) -> LabState:
        """See how the group is, and tell its followers where that has changed."""
        state = self.state()
        if state != self._told:
            self._told = state
            self._tell(lab_event(state))
        return state

    async def fault(self, words: Sequence[str]) -> str:
        """Do what the words of a fault say, and return what was done, in a sentence. Raises FaultError."""
        clients = [client.name for client in self.files.group.genesis.clients]
        # In a thread: a misbehaviour's name is looked up in the testing kit, which takes a moment to load.
        fault = await asyncio.to_thread(parse_fault, words, self.files.group.n, clients)
        said = await self._do(fault)
        self.look()
        self._tell({"event": "fault", "us": fine_clock_us(), "command": str(fault), "said": said})
        return said

    async def _do(self, fault: Fault) -> str:
        if isinstance(fault, ProcessFault):
            async with self._locks[fault.replica]:
                if self.over.is_set():
                    raise FaultError("the group is being stopped")
                return await self._do_to_process(fault, self.seats[fault.replica])
        async with self._links_lock:
            return await self._do_to_links(fault)

    async def _do_to_process(self, fault: ProcessFault, seat: Seat) -> str:
        i, now = fault.replica, seat.look()
        if now.pid is None and isinstance(fault, Kill | Pause | Resume):
            raise FaultError(f"replica {i} does not run ({now.state}); start it again: restart {i}")
        match fault:
            case Kill():
                await self._end(seat, kill=True)
                seat.killed = True
                return f"replica {i} was killed"
            case Pause():
                if now.state == "paused":
                    raise FaultError(f"replica {i} is paused already; let it go on: resume {i}")
                seat.send(signal.SIGSTOP)
                await self._until(lambda: seat.look().state != "running", GRACE_SECONDS)
                return f"replica {i} is paused"
            case Resume():
                if now.state != "paused":
                    raise FaultError(f"replica {i} is not paused; only what is paused can go on")
                seat.send(signal.SIGCONT)
                await self._until(lambda: seat.look().state != "paused", GRACE_SECONDS)
                return f"replica {i} goes on"
            case Restart():
                await self._seat_anew(seat)
                return f"replica {i} was restarted" + ("; it lies no more" if now.misbehaviour is not None else "")
            case Byzantine():
                _refuse_missing(fault.how)
                await self._seat_anew(seat, fault.how)
                return f"replica {i} lies from now on: {fault.how}"

    async def _seat_anew(self, seat: Seat, misbehaviour: str | None = None) -> None:
        """End whoever sits somewhere, and start the replica there, or a liar that colludes with all others."""
        await self._end(seat)
        liars = [each.id for each in self.state().replicas if each.misbehaviour is not None and each.pid is not None]
        colluders = sorted({*liars, seat.replica}) if misbehaviour is not None else ()
        seat.start(misbehaviour, colluders)
        if self._detoured and self._links is not None:
            seat.tell(spell_order(self._links.routes()[seat.replica]))
        await self._until(lambda: seat.ready() or seat.child is None, READY_SECONDS)
        if seat.child is None:
            raise FaultError(f"replica {seat.replica} did not start: {seat.look().words or 'it said nothing'}")

    async def _end(self, seat: Seat, kill: bool = False) -> None:
        """End whoever sits somewhere: politely at first, unless it is to be killed."""
        for number in (signal.SIGKILL,) if kill else (signal.SIGTERM, signal.SIGKILL):
            if not seat.runs():
                return
            seat.send(number)
            # What is paused hears of it only now.
            seat.send(signal.SIGCONT)
            await self._until(lambda: not seat.runs(), GRACE_SECONDS)
        if seat.runs():
            raise FaultError(f"replica {seat.replica} cannot be ended; its owner may")

    async def _until(self, done: Callable[[], bool], seconds: float) -> None:
        """Wait for what a process does, until it has or the time is over."""
        end = time.monotonic() + seconds
        while True:
            if done() or time.monotonic() >= end:
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _do_to_links(self, fault: LinkFault) -> str:
        if self._links is None:
            if isinstance(fault, Heal):
                return "nothing was wrong with the network"
            links = Links(self.files)
            await links.open()
            self._links = links
        said = self._links.apply(fault)
        self._lead(not self._links.idle)
        return said

    def _lead(self, detoured: bool) -> None:
        """Lead all that replicas say to each other through the links' proxy, or past it again.

        The proxy stays where it is: what is under way still comes through, and a guest that began while it was in use
        goes on using it.
        """
        if self._links is None or detoured == self._detoured:
            return
        routes = self._links.routes()
        self._detoured = detoured
        for seat in self.seats:
            seat.tell(spell_order(routes[seat.replica] if detoured else {}))
        try:
            # For guests: without it the fault is in force all the same, as the state says.
            write_detours(self.files, routes if detoured else {})
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise FaultError(f"it is done, but replicas that others start will not hear of it: {why}") from None

    def _nothing_left(self, state: LabState) -> bool:
        """Say whether no replica runs, and somebody else than us saw to that."""
        if any(lock.locked() for lock in self._locks) or any(each.pid is not None for each in state.replicas):
            return False
        return any(each.state != "killed" for each in state.replicas)

    def _tell(self, event: Event) -> None:
        for follower in list(self.followers):
            follower(event)


def lab_event(state: LabState) -> Event:
    """Return the event that tells a state."""
    return {"event": "lab", "us": fine_clock_us(), "state": state.to_json()}


def _refuse_missing(misbehaviour: str) -> None:
    """Refuse a misbehaviour whose file is not there, before the replica in whose place it would lie is ended."""
    for word in misbehaviour.split("+"):
        file = file_of(word)
        if file is not None and not file.is_file():
            raise FaultError(f"there is no file {quote(str(file))}; name the one that holds the misbehaviour")
