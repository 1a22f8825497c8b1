"""A sequence's flow as text for Mermaid, which browsers, editors and forges draw.

Owns: the text and its escapes. What replicas and clients sent is spelled with entity codes wherever it holds more than
letters, digits and spaces, so that no name ends a statement, opens a comment or becomes a word of the language.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pbft.console.outcome import judge
from pbft.console.said import Said
from pbft.console.text import fit
from pbft.dashboard.views import FlowView
from pbft.errors import PbftError
from pbft.wording import listing

_NAME_CELLS: Final = 40
_TEXT_CELLS: Final = 160
_KEYWORD: Final = re.compile(r"\bend\b", re.IGNORECASE)
_PLAIN: Final = re.compile(r"[A-Za-z0-9 .,]")


def write_mermaid(flow: FlowView | None, path: Path) -> Said:
    """Write a sequence's diagram to a new file, and return what is told of it."""
    if flow is None:
        return Said.failed(judge(PbftError("no request has been seen yet; send one, then write its diagram")))
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(mermaid(flow))
    except OSError as error:
        return Said.failed(judge(error))
    return Said.note(f"the messages of sequence {flow.sequence} are in {path}")


def mermaid(flow: FlowView) -> str:
    """Return a sequence diagram in Mermaid's language, its messages in the order of time."""
    lines = [
        "sequenceDiagram",
        f"    participant C as {_escape(f'client {flow.client}', _NAME_CELLS)}",
    ]
    for replica in range(flow.n):
        role = " (primary)" if replica == flow.primary else ""
        lines.append(f"    participant R{replica} as {_escape(f'replica {replica}{role}', _NAME_CELLS)}")
    requests = ", ".join(flow.requests) or "nothing to execute"
    named = f"sequence {flow.sequence} in view {flow.view}: {requests}"
    lines.append(f"    Note over C,R{flow.n - 1}: {_escape(named, _TEXT_CELLS)}")
    for arrow in flow.arrows:
        line = "-x" if arrow.differing else "-->>" if arrow.phase == "reply" else "->>"
        words = f"{arrow.phase} {milliseconds(arrow.after_us)} ms" + (" (another batch)" if arrow.differing else "")
        lines.append(f"    {_party(arrow.sender)}{line}{_party(arrow.receiver)}: {_escape(words, _TEXT_CELLS)}")
    if flow.others:
        words = f"another batch or view is told of by {listing(flow.others)}"
        lines.append(f"    Note over C,R{flow.n - 1}: {_escape(words, _TEXT_CELLS)}")
    return "\n".join(lines) + "\n"


def milliseconds(us: int) -> str:
    """Return a time since the beginning as people read it: "+0.42", "+12.3", "+1234" in milliseconds."""
    ms = us / 1000
    return f"+{ms:.2f}" if ms < 10 else f"+{ms:.1f}" if ms < 1000 else f"+{ms:.0f}"


def _party(replica: int | None) -> str:
    return "C" if replica is None else f"R{replica}"


def _escape(text: str, cells: int) -> str:
    """Return a text in which all but letters, digits and a few others are entity codes, and so is the word "end"."""
    shown = fit(text, cells)
    ends = {found.start() for found in _KEYWORD.finditer(shown)}
    return "".join(
        each if _PLAIN.match(each) and place not in ends else f"#{ord(each)};" for place, each in enumerate(shown)
    )
