"""Faults from a line: asked of the group's keeper, and what is told of what they come to.

Owns: the words about them. What each fault is and does is `pbft.lab`'s matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from pbft.console.said import Said
from pbft.group_file import GroupFile, resolve_application
from pbft.lab.control import Control
from pbft.lab.state import LabState


async def hurt(files: GroupFile, words: Sequence[str]) -> Said:
    """Do what the words of a fault say, and tell when more are faulty now than the group survives.

    Raises FaultError.
    """
    control = Control(files)
    before = (await control.state()).budget
    said = await control.fault(await asyncio.to_thread(absolute, words))
    state = await control.state()
    beyond = [exceeded(state)] if state.budget != before and state.budget[0] > state.budget[1] else []
    return Said.note(said, *beyond, state=state.to_json())


def exceeded(state: LabState) -> str:
    """Return what to say of a group of which more replicas are faulty than it survives."""
    used, most = state.budget
    faulty = ", ".join(f"replica {replica} ({why})" for replica, why in state.faulty)
    left = "nothing is promised any more"
    if state.answers_hold:
        left = "answers stay right, but that there will be any is no longer promised"
    return f"{used} are faulty, and the group survives {most}: {left}; {faulty}"


def absolute(words: Sequence[str]) -> list[str]:
    """Return the words of a fault with files of code named from anywhere: whoever loads them works elsewhere."""
    if words[0] != "byzantine":
        return list(words)
    return ["+".join(resolve_application(part.strip(), Path.cwd()) for part in word.split("+")) for word in words]
