"""The tour: every application that is shipped, on groups of its own, one narrated step a line.

Owns: the running of the scripts in `pbft.cli.tour_steps`, and that nothing is left behind. A step whose outcome is not
the scripted one ends the tour with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Final

from pbft.cli.output import say
from pbft.cli.tour_steps import SCRIPTS, Call, KillBackup, Prove, Step, Together
from pbft.client import Client, Reply
from pbft.console.outcome import ExitCode, Failure
from pbft.console.text import spell, spell_operation
from pbft.core.receipt import Receipt
from pbft.errors import PbftError
from pbft.group_file import GroupFile, read_group
from pbft.keys import Libsodium
from pbft.lab.interrupts import Interrupts
from pbft.lab.local import LocalGroup
from pbft.lab.making import make_group
from pbft.lab.starting import Interrupted
from pbft.lab.survey import survey
from pbft.loading import known_applications
from pbft.machine import Outcome, encode_operation
from pbft.wording import listing

SHIPPED: Final = "pbft_apps."
"""Where the applications that come with pbft live."""

_CALL_SECONDS: Final = 20.0
_LOOK_SECONDS: Final = 0.05


class TourError(PbftError):
    """A step that did not come out as scripted. The message is one sentence."""


def run_tour() -> None:
    """Walk through all applications. Raises Failure, with exit code 1, for the first thing that goes wrong."""
    with Interrupts(last=True) as interrupts:
        try:
            for name in shipped_applications():
                _walk(name, interrupts)
        except Interrupted:
            raise KeyboardInterrupt from None
        except Exception as error:
            kind = "" if isinstance(error, PbftError) else f"{type(error).__name__}: "
            raise Failure(f"the tour ended early: {kind}{error}", ExitCode.REJECTED) from error
    say("The tour is over: everything was stopped and removed.", "bold")


def shipped_applications() -> list[str]:
    """Return the names of the applications that come with pbft. Raises TourError when none is found."""
    names = [name for name, spec in known_applications() if spec.startswith(SHIPPED)]
    if not names:
        raise TourError("no application is installed; install pbft, its applications included: pip install .")
    return names


def _walk(name: str, interrupts: Interrupts) -> None:
    if name not in SCRIPTS:
        raise TourError(f"the application {name} has no script")
    with tempfile.TemporaryDirectory(prefix="pbft-tour-") as folder:
        files = make_group(Path(folder) / name, name)
        quorums = files.group.quorums
        say(
            f"{name}: {files.group.n} replicas, of which {quorums.faults} may lie; "
            f"{quorums.weak} equal answers make a result",
            "bold",
        )
        with LocalGroup(files, lambda: interrupts.asked, lambda: interrupts.count > 1) as group:
            group.start("alice", note=False)
            say(f"  all {files.group.n} replicas have started and answer", "dim")
            asyncio.run(_interruptible(Walk(group).run(SCRIPTS[name]), interrupts))
        say(f"  {listing(range(files.group.n))} stopped, their keys and data removed", "dim")


async def _interruptible(walk: Coroutine[None, None, None], interrupts: Interrupts) -> None:
    task = asyncio.ensure_future(walk)
    while not task.done() and not interrupts.asked:
        await asyncio.wait([task], timeout=_LOOK_SECONDS)
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        raise Interrupted
    await task


class Walk:
    """One application's walk through its script."""

    def __init__(self, group: LocalGroup, tell: Callable[[str], None] = say) -> None:
        self._group = group
        self._files: GroupFile = group.files
        self._tell = tell
        self._steps = 0

    async def run(self, script: Sequence[Step]) -> None:
        """Take every step. Raises TourError."""
        for step in script:
            self._steps += 1
            match step:
                case Call():
                    self._narrate(step.tells, await self._call(step))
                case Together():
                    await self._call_together(step)
                case KillBackup():
                    await self._kill_backup(step)
                case Prove(call):
                    self._narrate(call.tells, await self._call(call, receipt=True))

    async def _call(self, step: Call, receipt: bool = False) -> str:
        async with Client.open(self._files.directory, key=step.client, timeout=_CALL_SECONDS) as client:
            reply = await client.submit(encode_operation(step.operation, step.args), receipt=receipt)
        if step.rejected:
            expected = reply.outcome is Outcome.REJECTED and step.rejected in str(reply.value)
        else:
            expected = reply.outcome is Outcome.OK and reply.value == step.returns
        told = self._spell(step, reply)
        if not expected:
            wanted = f"a rejection with the words {step.rejected!r}" if step.rejected else spell(step.returns)
            raise TourError(f"{told}, but {wanted} was expected")
        return told + (self._prove(reply) if receipt else "")

    async def _call_together(self, step: Together) -> None:
        async def call(args: tuple[object, ...]) -> Reply:
            async with Client.open(self._files.directory, key=step.client, timeout=_CALL_SECONDS) as client:
                return await client.submit(encode_operation(step.operation, args))

        replies = await asyncio.gather(*map(call, step.args))
        self._narrate(
            step.tells,
            " and ".join(
                self._spell(Call("", step.client, step.operation, args), reply)
                for args, reply in zip(step.args, replies, strict=True)
            ),
        )
        if tuple(reply.value for reply in replies) not in step.returns:
            raise TourError("the two programs got answers that no order of their operations explains")

    async def _kill_backup(self, step: KillBackup) -> None:
        async with Client.open(self._files.directory, key="alice") as client:
            seen = (await survey(client, self._files, _CALL_SECONDS)).seen
        victim = max(each.replica for each in seen if each.word("role", str) == "backup")
        self._group.children[victim].send(signal.SIGKILL)
        self._narrate(step.tells, f"SIGKILL for replica {victim}, process {self._group.children[victim].pid}")

    def _prove(self, reply: Reply) -> str:
        """Write the receipt to a file, and judge the file as a stranger would who has group.toml and nothing else."""
        if reply.receipt is None:
            raise TourError("no receipt came with the answer")
        path = self._files.directory / "receipt.cbor"
        path.write_bytes(reply.receipt.to_bytes())
        receipt = Receipt.from_bytes(path.read_bytes())
        signers = receipt.verify(read_group(self._files.directory).group, Libsodium())
        if receipt.outcomes()[reply.index].payload != reply.payload:
            raise TourError("the receipt speaks of another result")
        size = path.stat().st_size
        return f"; its receipt of {size} bytes was verified offline: signed by {listing(signers)}"

    def _spell(self, step: Call, reply: Reply) -> str:
        """Say what was sent, what came back, who answered, how many had to match, and how long it took."""
        sent = spell_operation(encode_operation(step.operation, step.args))
        result = spell(reply.value)
        if reply.outcome is not Outcome.OK:
            result = f"{reply.outcome.name.lower()}: {result}"
        late = f", no word yet from {listing(reply.silent)}" if reply.silent else ""
        return (
            f"{sent} = {result} ({len(reply.matching)} matched of {reply.needed} needed, "
            f"from {listing(reply.matching)}, in {reply.ms} ms{late})"
        )

    def _narrate(self, tells: str, told: str) -> None:
        self._tell(f"  {self._steps}. {tells}: {told}")
