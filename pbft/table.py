"""A dict whose content has a digest, for the part of a state that grows.

Owns: keys, values and their order, the digest over them, and the journal that undoes an operation's writes. Knows
nothing of state machines or replicas.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Final, Generic, TypeVar, overload

from pbft.encoding import EncodingError, decode_plain, digest, encode, encode_plain

K = TypeVar("K")
V = TypeVar("V")

_KEY_TYPES: Final = (str, bytes, int)


class Table(MutableMapping[K, V], Generic[K, V]):
    """A dict for a state machine's fields, as in `balances: Table[str, int]`.

    Keys are str, bytes or int, exactly: a bool is refused, and 1, "1" and b"1" are three keys. Values are None,
    bool, int within 64 bits, str, bytes, and tuples, lists and dicts with str keys of these.

    Values are stored encoded. What you get is a copy, and changing it changes nothing: write it back with
    `table[key] = value`. A list comes back as a tuple.

    Iteration goes by the encoded key, whatever the order of insertion: integers first (0, 1, 2 … then -1, -2 …), then
    bytes, then text, each of the latter two from short to long. As with a dict, adding or removing keys while
    iterating raises RuntimeError (iterate over `list(table)` instead), and replacing values is fine.

    Equal content has an equal `digest()`. Today that costs as much as there is content. A later version keeps a
    Merkle trie inside, so that it costs what has changed; this face stays as it is.
    """

    __slots__ = ("_digest", "_items", "_journal", "_shape_changes")

    def __init__(self, items: Mapping[K, V] | Iterable[tuple[K, V]] = ()) -> None:
        self._items: dict[bytes, bytes] = {}
        self._digest: bytes | None = None
        self._journal: dict[bytes, bytes | None] | None = None
        self._shape_changes = 0
        self.update(items)

    def digest(self) -> bytes:
        """Return 32 bytes that depend on the content only."""
        if self._digest is None:
            parts = (part for key in sorted(self._items) for part in (key, self._items[key]))
            self._digest = digest(b"pbft/table", *parts)
        return self._digest

    def __getitem__(self, key: K) -> V:
        encoded = _encode_key(key)
        if encoded not in self._items:
            raise KeyError(key)
        value: V = decode_plain(self._items[encoded])
        return value

    def __setitem__(self, key: K, value: V) -> None:
        self._write(_encode_key(key), encode_plain(value))

    def __delitem__(self, key: K) -> None:
        encoded = _encode_key(key)
        if encoded not in self._items:
            raise KeyError(key)
        self._write(encoded, None)

    def __contains__(self, key: object) -> bool:
        return _encode_key(key) in self._items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[K]:
        expected = self._shape_changes
        for encoded in sorted(self._items):
            key: K = decode_plain(encoded)
            yield key
            if self._shape_changes != expected:
                raise RuntimeError("a Table was given or lost keys while being iterated over; iterate over list(table)")

    def __copy__(self) -> Table[K, V]:
        """Return another Table with this content, which writes to either leave alone, as with a dict."""
        twin: Table[K, V] = Table()
        twin._items, twin._digest = self._items.copy(), self._digest
        return twin

    def __repr__(self) -> str:
        return f"<Table of {len(self)} items>"

    @overload
    def setdefault(self: Table[K, V | None], key: K, default: None = None, /) -> V | None: ...
    @overload
    def setdefault(self, key: K, default: V, /) -> V: ...
    def setdefault(self, key: K, default: Any = None, /) -> Any:
        """Return a copy of what is stored under `key`, storing `default` there first when there is nothing."""
        if key not in self:
            self[key] = default
        return self[key]

    def popitem(self) -> tuple[K, V]:
        """Remove and return the first item in the order of iteration. Raises KeyError when there is none."""
        if not self._items:
            raise KeyError("the Table is empty")
        first = min(self._items)
        item: tuple[K, V] = (decode_plain(first), decode_plain(self._items[first]))
        self._write(first, None)
        return item

    def clear(self) -> None:
        """Remove every item."""
        for encoded in list(self._items):
            self._write(encoded, None)

    def _write(self, key: bytes, value: bytes | None) -> None:
        """Store or remove (None) one encoded value: the only place that changes the content."""
        old = self._items.get(key)
        if self._journal is not None:
            self._journal.setdefault(key, old)
        self._put(key, value, old)

    def _put(self, key: bytes, value: bytes | None, old: bytes | None) -> None:
        if value == old:
            return
        if (old is None) != (value is None):
            self._shape_changes += 1
        if value is None:
            del self._items[key]
        else:
            self._items[key] = value
        self._digest = None

    # What is stored leaves and enters here for snapshots.

    def _stored(self) -> dict[bytes, bytes]:
        """Return the content as it is stored, by encoded key: a copy of the references, since the bytes are shared."""
        return self._items.copy()

    @classmethod
    def _of_stored(cls, items: Iterable[tuple[bytes, bytes]]) -> Table[K, V]:
        """Return a Table of encoded keys, which must ascend, and encoded values.

        Raises EncodingError for what no Table stores.
        """
        table = cls()
        previous = b""
        for key, value in items:
            if key <= previous:
                raise EncodingError("the keys of a Table's snapshot ascend; these do not")
            if type(decode_plain(key)) not in _KEY_TYPES:
                raise EncodingError("a Table's snapshot holds a key that is neither str, bytes nor int")
            decode_plain(value)
            table._items[key] = value
            previous = key
        return table

    # The journal belongs to StateMachine, which opens it before an operation and closes it after.

    def _begin(self) -> None:
        """Remember from now on what every write replaces."""
        self._journal = {}

    def _changed(self) -> bool:
        """Whether the content differs from what it was at `_begin`."""
        journal = self._journal or {}
        return any(self._items.get(key) != old for key, old in journal.items())

    def _commit(self) -> None:
        """Keep what was written since `_begin`."""
        self._journal = None

    def _rollback(self) -> None:
        """Undo what was written since `_begin`."""
        journal, self._journal = self._journal or {}, None
        for key, old in journal.items():
            self._put(key, old, self._items.get(key))


def _encode_key(key: object) -> bytes:
    if type(key) not in _KEY_TYPES:
        raise TypeError(f"a Table's keys are str, bytes or int, not {type(key).__name__}")
    return encode(key) if type(key) is bytes else encode_plain(key)
