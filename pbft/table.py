"""A dict whose content has a digest, for the part of a state that grows.

Owns: how keys and values are stored, the order they come in, and how large an item may be. What is stored lies in
`pbft.contents`, which machines and replicas work on. Knows nothing of either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from itertools import islice
from typing import Any, Final, Generic, TypeVar, overload

from pbft.contents import Contents
from pbft.encoding import EncodingError, check_plain, decode_plain, encode, encode_plain
from pbft.key_order import KINDS, KeyOrder

K = TypeVar("K")
V = TypeVar("V")

ENTRY_BYTES: Final = 1024 * 1024
"""The most bytes of one value with its key, encoded: what a replica that catches up is sent in one node."""

_LAG: Final = 1_000
"""How many keys may come and go before the order that `scan` goes by is brought up to date, scan or not: never many
at once, and one by one only as often as somebody scans."""


class EntryTooLarge(ValueError):
    """A value that has more than ENTRY_BYTES with its key. The message says so, and what to do instead."""


class Table(MutableMapping[K, V], Generic[K, V]):
    """A dict for a state machine's fields, as in `balances: Table[str, int]`.

    Keys are str, bytes or int, exactly: a bool is refused, and 1, "1" and b"1" are three keys. Values are None,
    bool, int within 64 bits, str, bytes, and tuples, lists and dicts with str keys of these.

    A value and its key have at most ENTRY_BYTES, 1 MiB, together; what is larger belongs into several.

    Values are stored encoded. What you get is a copy, and changing it changes nothing: write it back with
    `table[key] = value`. A list comes back as a tuple.

    Iteration goes by the encoded key, whatever the order of insertion: integers first (0, 1, 2 … then -1, -2 …), then
    bytes, then text, each of the latter two from short to long. As with a dict, adding or removing keys while
    iterating raises RuntimeError (iterate over `list(table)` instead), and replacing values is fine.

    `scan` goes through part of it in the order that people expect: all keys with a prefix, or a page of them.

    Equal content has an equal `digest()`: the root of a Merkle trie.

    **What it costs.** Reading or writing an item takes the same time however many there are, and so do `len`, `in` and
    `setdefault`. Iteration sorts all keys first, unless none came or went since the last time; `popitem` does too, but
    one `popitem` after the other sorts once. `scan` finds its place in a time that hardly grows with the number of
    items; the first one sorts all keys, which takes about a second for a million, and from then on each key takes 70
    bytes more and 3 µs when it comes or goes. `digest()` costs what was written since it was asked for last, each key
    with its way to the root: about five nodes in a million items. `copy()` takes one step for each item.
    """

    __slots__ = ("_contents", "_key_order", "_order", "_ordered_at")

    def __init__(self, items: Mapping[K, V] | Iterable[tuple[K, V]] = ()) -> None:
        self._contents = Contents()
        self._order: list[bytes] = []
        self._ordered_at = -1
        self._key_order: KeyOrder | None = None
        self.update(items)

    def digest(self) -> bytes:
        """Return 32 bytes that depend on the content only."""
        return self._contents.freeze().digest

    def __getitem__(self, key: K) -> V:
        encoded = self._contents.get(_encode_key(key))
        if encoded is None:
            raise KeyError(key)
        value: V = decode_plain(encoded)
        return value

    def __setitem__(self, key: K, value: V) -> None:
        encoded_key, encoded = _encode_key(key), encode_plain(value)
        if len(encoded_key) + len(encoded) > ENTRY_BYTES:
            raise EntryTooLarge(
                f"a Table's value and its key have at most {ENTRY_BYTES} bytes together, these have "
                f"{len(encoded_key) + len(encoded)}; spread the value over several keys"
            )
        self._write(encoded_key, encoded)

    def __delitem__(self, key: K) -> None:
        encoded = _encode_key(key)
        if encoded not in self._contents:
            raise KeyError(key)
        self._write(encoded, None)

    def _write(self, key: bytes, value: bytes | None) -> None:
        self._contents.write(key, value)
        arrivals = self._contents.arrivals
        if arrivals is not None and len(arrivals) > _LAG:
            self._in_key_order()

    def __contains__(self, key: object) -> bool:
        return self._contents.get(_encode_key(key)) is not None

    def __len__(self) -> int:
        return len(self._contents)

    def __iter__(self) -> Iterator[K]:
        return self._iterate(self._ordered(), self._contents.shape_changes)

    def _iterate(self, order: list[bytes], expected: int) -> Iterator[K]:
        for encoded in reversed(order):
            if self._contents.shape_changes != expected:
                break
            key: K = decode_plain(encoded)
            yield key
        if self._contents.shape_changes != expected:
            raise RuntimeError("a Table was given or lost keys while being iterated over; iterate over list(table)")

    def scan(
        self, prefix: K | None = None, *, after: K | None = None, limit: int | None = None, reverse: bool = False
    ) -> Iterator[tuple[K, V]]:
        """Iterate over the items whose keys begin with `prefix`, in the order of their keys: a page of them.

        Numbers go by size; texts and bytes as Python compares them, "a" before "aa" before "b", capital letters before
        small ones. In a Table of several kinds int come first, then bytes, then str. `prefix` is a str or bytes, and
        asks for keys of its own type only. `after` is a key, there or not, that the first one comes after; `limit` the
        most items to yield; `reverse` turns all of it round, `after` included. A list by pages:

            items = list(self.members.scan(after=last, limit=50))

        and the last key of a page is what the next one comes after. As in an iteration the values are copies, keys that
        come or go meanwhile raise RuntimeError, and replacing values is fine. Raises TypeError for a prefix that none
        can be, or an `after` of another type, ValueError for a negative limit.
        """
        if limit is not None and limit < 0:
            raise ValueError(f"the limit of a scan is at least 0, not {limit}")
        keys = self._in_key_order().between(prefix, after, reverse)
        # No more than there are: islice refuses what no list could hold, which clients may well send.
        most = len(self) if limit is None else min(limit, len(self))
        return self._pair(islice(keys, most), self._contents.shape_changes)

    def _pair(self, keys: Iterator[K], expected: int) -> Iterator[tuple[K, V]]:
        while self._contents.shape_changes == expected:
            key = next(keys, None)
            if key is None:
                return
            yield key, self[key]
        raise RuntimeError("a Table was given or lost keys while being scanned; scan list(table.scan(…))")

    def _in_key_order(self) -> KeyOrder:
        """Return all keys in the order of `scan`, made anew only where most of it would be."""
        contents = self._contents
        # Put back when it is right: what was cut short, by Ctrl-C for instance, is made anew.
        order, self._key_order = self._key_order, None
        if order is None or contents.arrivals is None or len(contents.arrivals) > len(contents) // 4:
            contents.arrivals = {}
            order = KeyOrder(contents)
        elif contents.arrivals:
            order.follow(contents.arrivals, contents.__contains__)
            contents.arrivals = {}
        self._key_order = order
        return order

    def _ordered(self) -> list[bytes]:
        """Return all keys, encoded, the last one first: so that `popitem` shortens the list at its end."""
        if self._ordered_at != self._contents.shape_changes:
            self._order = sorted(self._contents, reverse=True)
            self._ordered_at = self._contents.shape_changes
        return self._order

    def copy(self) -> Table[K, V]:
        """Return another Table with this content, which writes to either leave alone."""
        twin: Table[K, V] = Table()
        twin._contents = self._contents.copy()
        return twin

    __copy__ = copy

    def __reduce__(self) -> tuple[Any, ...]:
        # For pickle and for copy.deepcopy: what was written when is nobody else's concern.
        return Table, (dict(self),)

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
        order = self._ordered()
        if not order:
            raise KeyError("the Table is empty")
        first = order[-1]
        item: tuple[K, V] = (decode_plain(first), decode_plain(self._contents.get(first) or b""))
        self._write(first, None)
        order.pop()
        self._ordered_at = self._contents.shape_changes
        return item

    def clear(self) -> None:
        """Remove every item."""
        for encoded in list(self._contents):
            self._write(encoded, None)

    # What is stored leaves and enters here for snapshots.

    def _stored(self) -> dict[bytes, bytes]:
        """Return the content as it is stored, by encoded key: a copy of the references, since the bytes are shared."""
        return {key: self._contents.get(key) or b"" for key in self._contents}

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
            check_stored(key, value)
            table._contents.write(key, value)
            previous = key
        return table


def check_stored(key: bytes, value: bytes) -> None:
    """Refuse an encoded key or value that no Table stores. Raises EncodingError."""
    if type(decode_plain(key)) not in KINDS:
        raise EncodingError("a Table's snapshot holds a key that is neither str, bytes nor int")
    if len(key) + len(value) > ENTRY_BYTES:
        raise EncodingError(f"a Table's snapshot holds an item of more than {ENTRY_BYTES} bytes")
    decode_plain(value)


def _encode_key(key: object) -> bytes:
    kind = type(key)
    if kind is not str and kind is not bytes:
        if kind is not int:
            raise TypeError(f"a Table's keys are str, bytes or int, not {kind.__name__}")
        check_plain(key)
    try:
        return encode(key)
    except UnicodeEncodeError:
        check_plain(key)
        raise
