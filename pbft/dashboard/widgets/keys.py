"""Keys: what each does, and the bottom line that tells. A click on a key there presses it.

Owns: which keys there are, and the words for them in a wide and a narrow spelling.
"""

from __future__ import annotations

from typing import Final

from rich.text import Text
from textual import events
from textual.message import Message

from pbft.dashboard.widgets.pane import Pane

KEYS: Final = (
    ("F1", "help", "help", "help"),
    ("F2", "diagram", "flow", "diagram"),
    ("F3", "load", "load", "load"),
    ("F4", "why", "why", "explain"),
    ("F5", "kill", "kill", "kill"),
    ("F6", "pause", "pause", "pause"),
    ("F7", "restart", "start", "restart"),
    ("F8", "lie", "lie", "lie"),
    ("F9", "heal", "heal", "heal"),
    ("F10", "evidence", "proof", "evidence"),
    ("^Q", "quit", "quit", "quit"),
)
"""Key, what it does in words, the same in fewer letters, and the app's action."""

PRESSED: Final = (
    ("f1", "help"),
    ("f2", "diagram"),
    ("f3", "load"),
    ("f4", "explain"),
    ("f5", "kill"),
    ("f6", "pause"),
    ("f7", "restart"),
    ("f8", "lie"),
    ("f9", "heal"),
    ("f10", "evidence"),
    ("ctrl+q", "quit"),
    ("ctrl+c", "interrupt"),
    ("escape", "close"),
    ("pageup", "page(-1)"),
    ("pagedown", "page(1)"),
    ("shift+up,ctrl+up", "move(-1)"),
    ("shift+down,ctrl+down", "move(1)"),
    *((f"alt+{digit}", f"select({digit})") for digit in range(10)),
)
"""Keys that mean the same whatever is being typed, with the app's action. All others are the input line's."""

_WIDE: Final = 98


class KeyBar(Pane):
    """The keys, as many words as fit."""

    class Pressed(Message):
        """Somebody clicked on a key."""

        def __init__(self, action: str) -> None:
            super().__init__()
            self.action = action

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._places: list[tuple[int, int, str]] = []

    def on_resize(self) -> None:
        """Draw for the new size."""
        self.draw()

    def draw(self) -> None:
        """Draw the keys for the width that there is."""
        wide = self.size.width >= _WIDE
        text = Text()
        self._places = []
        for key, words, short, action in KEYS:
            start = text.cell_len
            text.append(key, "bold cyan")
            text.append(f" {words} " if wide else f"{short} ")
            self._places.append((start, text.cell_len, action))
        self.show(text)

    def on_click(self, event: events.Click) -> None:
        """Press the key that was clicked."""
        for start, end, action in self._places:
            if start <= event.x < end:
                self.post_message(self.Pressed(action))
