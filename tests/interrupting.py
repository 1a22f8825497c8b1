"""Errors out of nowhere: an action that is cut short at any place one likes, as memory or Ctrl-C would cut it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from types import CodeType, FrameType
from typing import Any


def cut_short(action: Callable[[], object], at: int, error: type[BaseException], where: Collection[CodeType]) -> bool:
    """Run an action, raising `error` before the bytecode instruction number `at` that it runs in these functions.

    Returns False when there are fewer, so that it ran to its end. The error is swallowed where it comes out again.
    """
    left = at

    def on_call(frame: FrameType, _event: str, _argument: Any) -> Any:
        if frame.f_code not in where:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return on_instruction

    def on_instruction(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left
        if event == "opcode":
            if left == 0:
                left = -1
                sys.settrace(None)
                raise error("out of nowhere")
            left -= left > 0
        return on_instruction

    before = sys.gettrace()
    # Python 3.12 looks, when a trace is set, whether any frame wants to know of instructions.
    sys._getframe().f_trace_opcodes = True
    sys.settrace(on_call)
    try:
        action()
    except error:
        if left != -1:
            raise
    finally:
        sys.settrace(before)
    return left == -1


def codes(*owners: Any) -> frozenset[CodeType]:
    """Return the code of functions, and of all methods of classes."""
    found: list[CodeType] = []
    for owner in owners:
        members = list(vars(owner).values()) if isinstance(owner, type) else [owner]
        for member in members:
            function: Any = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if hasattr(function, "__code__"):
                found.append(function.__code__)
    return frozenset(found)
