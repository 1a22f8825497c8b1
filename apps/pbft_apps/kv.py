"""A store of texts under keys, with versions: what configuration, locks and lists of members are kept in."""

from pbft import Context, Rejected, StateMachine, Table, operation, query

KEY_BYTES = 256
VALUE_BYTES = 64 * 1024
PAGE_ITEMS = 1_000

# What an item takes beside its key and its value: in memory with its two Tables, and in an answer at most.
ITEM_BYTES = 500
ANSWERED_ITEM_BYTES = 64
ANSWERED_PAGE_BYTES = 512

Item = dict[str, str | int]
Page = dict[str, list[Item] | str | int | None]


class KV(StateMachine):
    """Texts under keys. Each change has a number, and a value's version is that of the change that wrote it.

    Versions only grow: a key that was deleted and written again has a version it never had before. 0 means that a key
    is not there. Keys and values are str; whoever stores bytes encodes them, with base64 for instance.
    """

    changes: int = 0
    held_bytes: int = 0
    capacity_bytes: int
    values: Table[str, str]
    versions: Table[str, int]

    def __init__(self, capacity_bytes: int = 256 * 1024 * 1024) -> None:
        """Say how many bytes of memory may be filled: without a bound a client could fill that of every replica."""
        if capacity_bytes < 1:
            raise ValueError(f"the capacity is at least 1 byte, not {capacity_bytes}")
        self.capacity_bytes = capacity_bytes

    @operation
    def put(self, key: str, value: str) -> int:
        """Store a value under a key, whatever is there, and return its version.

        KEY has 1 to 256 bytes of UTF-8, VALUE at most 65,536.
        """
        _check_sizes(key, value)
        return self._write(key, value)

    @operation
    def delete(self, key: str) -> int:
        """Remove a key, and return the version that its value had: 0 where it was not there."""
        version = self.versions.get(key, 0)
        if version:
            self._remove(key)
        return version

    @operation
    def compare_and_set(self, key: str, version: int, value: str) -> int:
        """Store a value if the key still has this version, and return the new version.

        VERSION is what get, put or scan told; 0 stores only where nothing is. Rejected where the key has another
        version by now: get it again, and decide again. So two who change one value never undo each other's work.
        """
        _check_sizes(key, value)
        self._check_version(key, version)
        return self._write(key, value)

    @operation
    def compare_and_delete(self, key: str, version: int) -> int:
        """Remove a key if it still has this version, and return that version.

        Rejected where the key has another version by now, or is not there.
        """
        if version == 0:
            raise Rejected("version 0 means that a key is not there, so there is nothing to remove")
        self._check_version(key, version)
        self._remove(key)
        return version

    @query
    def get(self, key: str) -> dict[str, str | int | None]:
        """Return a key's value and version: null and 0 where it is not there."""
        return {"value": self.values.get(key), "version": self.versions.get(key, 0)}

    @query
    def scan(self, context: Context, prefix: str = "", after: str = "", limit: int = 100) -> Page:
        """Return the keys that begin with a prefix, in order, with their values and versions: a page of them.

        PREFIX is empty for all keys. LIMIT is the most items of a page, at most 1,000; there are fewer where their
        values are long. The answer's "after" is what to give as AFTER for the next page, null on the last one. Its
        "changes" counts all changes ever made: while it is the same, pages belong to one state of the store.
        """
        if not 1 <= limit <= PAGE_ITEMS:
            raise Rejected(f"a page has 1 to {PAGE_ITEMS} items, not {limit}")
        items: list[Item] = []
        room = context.answer_bytes - ANSWERED_PAGE_BYTES
        for key, value in self.values.scan(prefix, after=after, limit=limit + 1):
            room -= _size(key) + _size(value) + ANSWERED_ITEM_BYTES
            if room < 0 and not items:
                raise Rejected(f'"{key}" has no room in what is left of this answer; ask in a request of its own')
            if room < 0 or len(items) == limit:
                return {"items": items, "after": items[-1]["key"], "changes": self.changes}
            items.append({"key": key, "value": value, "version": self.versions[key]})
        return {"items": items, "after": None, "changes": self.changes}

    @query
    def count(self) -> int:
        """Return how many keys there are."""
        return len(self.values)

    def _check_version(self, key: str, version: int) -> None:
        found = self.versions.get(key, 0)
        if found == version:
            return
        if not found:
            raise Rejected(f"the key is not there, so its version is 0 and not {version}")
        raise Rejected(f"the key has version {found} and not {version}")

    def _write(self, key: str, value: str) -> int:
        held_bytes = self.held_bytes + _held(key, value)
        if key in self.values:
            held_bytes -= _held(key, self.values[key])
        if held_bytes > self.capacity_bytes:
            raise Rejected(f"the store is full: it would hold {held_bytes} of {self.capacity_bytes} bytes; delete some")
        self.held_bytes = held_bytes
        self.changes += 1
        self.values[key] = value
        self.versions[key] = self.changes
        return self.changes

    def _remove(self, key: str) -> None:
        self.held_bytes -= _held(key, self.values[key])
        self.changes += 1
        del self.values[key]
        del self.versions[key]


def _check_sizes(key: str, value: str) -> None:
    if not 1 <= _size(key) <= KEY_BYTES:
        raise Rejected(f"a key has 1 to {KEY_BYTES} bytes, not {_size(key)}")
    if _size(value) > VALUE_BYTES:
        raise Rejected(f"a value has at most {VALUE_BYTES} bytes, not {_size(value)}")


def _size(text: str) -> int:
    return len(text.encode())


def _held(key: str, value: str) -> int:
    # The key lies in two Tables and, as soon as anybody scans, in the order of their keys.
    return 3 * _size(key) + _size(value) + ITEM_BYTES
