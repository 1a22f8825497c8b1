"""A map from bytes to bytes that can be frozen: its content at a moment, with a digest, while writing goes on.

Owns: the content, which keys changed since it was last frozen, what older views must remember of it, and the undoing of
a group of writes. The digest is the root of a Merkle trie (`pbft.trie`) and costs what has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from pbft.trie import Leaf, Look, Node, Prefix, Steps, find, rebuild, root_digest, write_inner, write_leaf

ALL: Final = 1 << 62


class View:
    """A content as it was when it was frozen. Its root is made in as many steps as whoever asks takes at once."""

    __slots__ = ("_before", "_contents", "_root", "_steps", "after", "changes", "made", "undo")

    def __init__(self, contents: Contents, before: View | None, root: Node | None = None) -> None:
        self._contents = contents
        self.undo: dict[bytes, bytes | None] = {}
        """What was written since, until the next view was made: what each key held before."""
        self.after: View | None = None
        """The view made next: what was written after that lies there."""
        self.changes = len(before.undo) if before is not None else 0
        """How many keys were written between the view before and this one."""
        self._before = before
        """The view whose root leads to this one's; None as soon as that is known."""
        self._root = root
        self._steps: Steps | None = None
        self.made = 0
        """How many nodes were digested for its root, beyond those of the view before."""

    def get(self, key: bytes) -> bytes | None:
        """Return what a key held, None where it was not there."""
        self._skip_ahead()
        view: View | None = self
        while view is not None:
            if key in view.undo:
                return view.undo[key]
            view = view.after
        return self._contents.get(key)

    def shorten(self) -> None:
        """Let go of views in between that only this one remembers: for one that is held while many are made."""
        self._skip_ahead()

    def _skip_ahead(self) -> None:
        """Take over what later views remember, so that asking never has to go through more than a few.

        Only from one that learns nothing more, and only if its root no longer has to be made from what is known here.
        """
        while (view := self.after) is not None and view.after is not None and view.settled:
            for key, old in view.undo.items():
                self.undo.setdefault(key, old)
            self.after = view.after

    @property
    def settled(self) -> bool:
        """Whether the root is known."""
        return self._before is None

    def settle(self, steps: int = ALL) -> int:
        """Take as many steps at most towards the root; return how many of them are left.

        A step is to digest one node, or as much work as that. Views made earlier and not settled yet come first, since
        this one's root is made from theirs.
        """
        waiting: list[View] = []
        view = self
        while view._before is not None:
            waiting.append(view)
            view = view._before
        while waiting and steps > 0:
            steps = waiting[-1]._advance(steps)
            if waiting[-1].settled:
                waiting.pop()
        return steps

    def _advance(self, steps: int) -> int:
        before = self._before
        if before is None:
            return steps
        # What an error ends, a MemoryError for instance, could not go on: it is not put back, and begins anew.
        work, self._steps = self._steps, None
        if work is None:
            work, self.made = rebuild(before._root, before.undo, self.get), 0
        while steps > 0:
            try:
                self.made += next(work)
            except StopIteration as done:
                self._root, self._before = done.value, None
                return steps
            steps -= 1
        self._steps = work
        return steps

    @property
    def root(self) -> Node | None:
        """The trie's root, made now if it has not been."""
        self.settle()
        return self._root

    @property
    def digest(self) -> bytes:
        """32 bytes that depend on the content only."""
        return root_digest(self.root)

    def payload(self, prefix: Prefix) -> bytes | None:
        """Return the node that stands somewhere, as bytes; None where there is none."""
        node = find(self.root, prefix)
        if node is None:
            return None
        return write_leaf(node.keys, self.get) if isinstance(node, Leaf) else write_inner(node.children)

    def since(self) -> dict[bytes, bytes | None]:
        """Return every key written since, with what it held at this view."""
        before: dict[bytes, bytes | None] = {}
        view: View | None = self
        while view is not None:
            for key, old in view.undo.items():
                before.setdefault(key, old)
            view = view.after
        return before


class Contents:
    """Keys and values, as they are now."""

    __slots__ = ("_items", "_view", "arrivals", "get", "journal", "shape_changes")

    def __init__(self) -> None:
        self._hold({})
        self.journal: dict[bytes, bytes | None] | None = None
        """What each key that was written since `begin` held then; None where none is kept."""
        self._view = View(self, None)
        """The latest one: it learns what every later write replaces."""
        self.shape_changes = 0
        """How often a key was added or removed."""
        self.arrivals: dict[bytes, bool] | None = None
        """Keys that came or went since an order of them was made, with whether they were there then.

        None unless somebody keeps such an order and sets it; None again where too much came at once to be told.
        """

    def _hold(self, items: dict[bytes, bytes]) -> None:
        self._items = items
        self.get: Look = items.get
        """Returns a value, None where there is none: the dict's own method, since operations read most of all."""

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: bytes) -> bool:
        return key in self._items

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._items)

    def write(self, key: bytes, value: bytes | None) -> None:
        """Store or remove (None) one value: the only place that changes the content.

        What it replaces is remembered before it is replaced, so that a write cut short anywhere can be undone.
        """
        old = self.get(key)
        if value == old:
            return
        if self.journal is not None:
            self.journal.setdefault(key, old)
        self._view.undo.setdefault(key, old)
        if self.arrivals is not None and (old is None or value is None):
            self.arrivals.setdefault(key, old is not None)
        if value is None:
            self.shape_changes += 1
            del self._items[key]
        else:
            self.shape_changes += old is None
            self._items[key] = value

    def freeze(self) -> View:
        """Return the content of this moment; later writes do not change it. Costs nothing until it is settled.

        As long as nothing is written it is one and the same view.
        """
        before = self._view
        if before.undo:
            self._follow(View(self, before))
        return self._view

    def _follow(self, view: View) -> None:
        # In this order: if it ends between the two, what is written next is remembered where it was before.
        self._view.after = view
        self._view = view

    def install(self, base: View, writes: Mapping[bytes, bytes | None], root: Node | None) -> None:
        """Become what a view of this map was, with some keys written or removed (None) since.

        `root` is that of the outcome, which whoever calls has proven; nothing is digested here.
        """
        target = base.since()
        target.update(writes)
        if self._items:
            for key, value in target.items():
                self.write(key, value)
        else:
            self._fill({key: value for key, value in target.items() if value is not None})
        self._follow(View(self, None, root))

    def _fill(self, items: dict[bytes, bytes]) -> None:
        """Write into an empty map, all at once: a replica that has nothing takes over millions of entries."""
        if self.journal is not None:
            self.journal = {**dict.fromkeys(items), **self.journal}
        self._view.undo = {**dict.fromkeys(items), **self._view.undo}
        self.arrivals = None
        self.shape_changes += 1
        self._items.update(items)

    def copy(self) -> Contents:
        """Return another map with this content, which writes to either leave alone."""
        twin = Contents()
        twin._hold(self._items.copy())
        twin._view = View(twin, None, self.freeze().root)
        return twin

    # What a group of writes did, and undoing it.

    def begin(self) -> None:
        """Remember from now on what every write replaces."""
        self.journal = {}

    @property
    def changed(self) -> bool:
        """Whether the content differs from what it was at `begin`."""
        return any(self.get(key) != old for key, old in (self.journal or {}).items())

    def commit(self) -> None:
        """Keep what was written since `begin`."""
        self.journal = None

    def rollback(self) -> None:
        """Undo what was written since `begin`. Where it was cut short, calling it again finishes it."""
        for key, old in (self.journal or {}).items():
            self.write(key, old)
        self.journal = None
