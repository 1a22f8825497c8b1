"""Who is in a replica group, what its limits are, and how many make a quorum.

Owns: the genesis (everything the group id covers), the quorum arithmetic and look-ups of members and clients.
Knows no addresses, files or secrets: a host that moves stays in its group.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Final, TypeVar

from pbft.encoding import EncodingError, Plain, check_plain, digest, encode
from pbft.errors import PbftError

ReplicaId = int
"""A replica's number, 0 to n-1. The primary of view v is replica v mod n (OSDI'99 section 4)."""

ClientKey = bytes
"""A client's Ed25519 public key, 32 bytes: its name on the wire."""

T = TypeVar("T", int, bytes)

GENESIS_VERSION: Final = 1
MIN_REPLICAS: Final = 4
MAX_REPLICAS: Final = 1000
MAX_COUNT: Final = 2**16 - 1
"""Requests in a batch and operations in a request, at the very most: a field `Small` of the wire counts them."""
MAX_BYTES: Final = 2**24
"""Bytes of anything within a message, at the very most: a field `Opaque` of the wire holds them."""

_ENTRY_ROOM: Final = 2**20
"""Room for what goes with a session's results in one message when a state is fetched."""

WRAPPING_BYTES: Final = 512
"""More than a request adds around its operations, or a batch around its requests: keys, session, time, signature."""
ITEM_BYTES: Final = 8
"""More than the length that stands before each operation in a request, and before each request in a batch."""


class GroupError(PbftError, ValueError):
    """A group that cannot be: the message says which rule it breaks."""


@dataclass(frozen=True)
class Quorums:
    """How many distinct members each decision needs (OSDI'99 section 4; design 4, wire rules).

    `quorum` is the least number whose every two sets share a correct member for any n (2f+1 is too few at n = 6),
    `weak` the least that holds a correct one. The others name the uses of the quorum, so that a test can plant a wrong
    count in one place.
    """

    n: int
    faults: int
    quorum: int
    weak: int
    prepared: int
    committed: int
    stable: int
    view_change: int

    @classmethod
    def of(cls, n: int) -> Quorums:
        """Return the counts for n replicas: f = floor((n-1)/3), q = ceil((n+f+1)/2)."""
        faults = (n - 1) // 3
        quorum = (n + faults + 2) // 2
        return cls(n, faults, quorum, faults + 1, quorum, quorum, quorum, quorum)

    def weakly_supported(self, values: Iterable[T]) -> T | None:
        """Return the greatest value that f+1 parties have told or passed, None where fewer told any.

        At least one correct party told as much, whatever f liars say.
        """
        told = sorted(values, reverse=True)
        return told[self.weak - 1] if len(told) >= self.weak else None


@dataclass(frozen=True)
class Member:
    """A replica's public part: its signing key (Ed25519) and its link key (X25519), 32 bytes each."""

    id: ReplicaId
    public_key: bytes
    link_key: bytes


@dataclass(frozen=True)
class RegisteredClient:
    """A client the group answers: the name that applications see, and its two public keys."""

    name: str
    public_key: ClientKey
    link_key: bytes


@dataclass(frozen=True)
class Limits:
    """Sizes that every replica must apply alike, since the validity of a batch depends on them."""

    checkpoint_interval: int = 128
    """K: sequences between two checkpoints."""
    log_size: int = 512
    """L: sequences between the low and the high watermark; at least 2K."""
    operation_bytes: int = 64 * 1024
    operations_per_request: int = 1024
    request_bytes: int = 256 * 1024
    batch_bytes: int = 1024 * 1024
    batch_requests: int = 1024
    batch_operations: int = 4096
    """Operations of one batch together: what one client can make everybody do before anything else is heard."""
    results_bytes: int = 256 * 1024
    """Encoded results of one request together."""
    sessions_per_client: int = 64
    clock_drift_ms: int = 10_000
    """How far a proposed time may lie from a backup's clock (design 4.5)."""

    def check(self) -> None:
        """Raise GroupError for limits no group can work with."""
        for each in fields(self):
            if type(getattr(self, each.name)) is not int or getattr(self, each.name) < 1:
                raise GroupError(f"limit {each.name} must be a whole number of at least 1")
        for name in ("operations_per_request", "batch_requests"):
            if getattr(self, name) > MAX_COUNT:
                raise GroupError(f"limit {name} must be at most {MAX_COUNT}, which messages can count")
        for name in ("operation_bytes", "request_bytes", "batch_bytes", "results_bytes"):
            if getattr(self, name) > MAX_BYTES:
                raise GroupError(f"limit {name} must be at most {MAX_BYTES}, which messages can hold")
        if self.results_bytes > MAX_BYTES - _ENTRY_ROOM:
            raise GroupError(
                f"results_bytes must be at most {MAX_BYTES - _ENTRY_ROOM}: a session's results fit one message"
            )
        if self.log_size > MAX_COUNT:
            raise GroupError(f"limit log_size must be at most {MAX_COUNT}, which messages can count")
        if self.log_size < 2 * self.checkpoint_interval:
            raise GroupError("log_size (L) must be at least twice checkpoint_interval (K)")
        if self.request_bytes < self.operation_bytes + WRAPPING_BYTES:
            raise GroupError(f"request_bytes must exceed operation_bytes by {WRAPPING_BYTES} for the signed header")
        if self.batch_operations < self.operations_per_request:
            raise GroupError("batch_operations must be at least operations_per_request")
        if self.results_bytes < 128 * self.operations_per_request:
            raise GroupError("results_bytes must allow 128 bytes for each of operations_per_request")
        if self.batch_bytes < self.request_bytes + WRAPPING_BYTES:
            raise GroupError(f"batch_bytes must exceed request_bytes by {WRAPPING_BYTES} for the batch's own header")


@dataclass(frozen=True)
class Genesis:
    """Everything that two replicas must agree on before the first message; its digest is the group id."""

    nonce: bytes
    """16 random bytes, so that two groups of one shape never share an id."""
    members: tuple[Member, ...]
    clients: tuple[RegisteredClient, ...]
    application: str
    """The state machine's class name; where its code lies is each host's own matter."""
    parameters: tuple[tuple[str, Plain], ...] = ()
    """Application parameters, sorted by name (`pbft init --set issuer=alice`)."""
    limits: Limits = field(default_factory=Limits)

    def check(self) -> None:
        """Raise GroupError unless a group can be built on this."""
        if len(self.members) < MIN_REPLICAS:
            raise GroupError(f"a group needs at least 4 replicas to survive one fault, not {len(self.members)}")
        if len(self.members) > MAX_REPLICAS:
            raise GroupError(f"a group has at most {MAX_REPLICAS} replicas, not {len(self.members)}")
        if [member.id for member in self.members] != list(range(len(self.members))):
            raise GroupError("replicas must be numbered 0, 1, 2 ... in order")
        if len(self.nonce) != 16:
            raise GroupError("the nonce must have 16 bytes")
        parties: list[Member | RegisteredClient] = [*self.members, *self.clients]
        for what, keys in (
            ("public keys", [party.public_key for party in parties]),
            ("link keys", [party.link_key for party in parties]),
        ):
            if any(len(key) != 32 for key in keys):
                raise GroupError(f"{what} must have 32 bytes each")
            if len(dict.fromkeys(keys)) != len(keys):
                raise GroupError(f"two parties of the group share one of their {what}; make each its own")
        names = [client.name for client in self.clients]
        if len(dict.fromkeys(names)) != len(names):
            raise GroupError("two clients share a name")
        parameter_names = [name for name, _ in self.parameters]
        if parameter_names != sorted(dict.fromkeys(parameter_names)):
            raise GroupError("application parameters must be sorted by name, each named once")
        try:
            check_plain([names, self.application, [list(pair) for pair in self.parameters]])
        except EncodingError as error:
            raise GroupError(f"a name or an application parameter cannot be stored: {error}") from None
        self.limits.check()
        share_bytes = 80
        if Quorums.of(len(self.members)).quorum * self.limits.log_size * share_bytes > MAX_BYTES:
            raise GroupError(
                f"log_size {self.limits.log_size} is too large for {len(self.members)} replicas: the certificates of a "
                f"whole log would not fit one VIEW-CHANGE of {MAX_BYTES} bytes"
            )

    def identify(self) -> bytes:
        """Return the group id, which every signature and link key covers (design 4.1)."""
        return digest(
            b"pbft/genesis",
            encode(
                [
                    GENESIS_VERSION,
                    self.nonce,
                    [[member.id, member.public_key, member.link_key] for member in self.members],
                    [[client.name, client.public_key, client.link_key] for client in self.clients],
                    self.application,
                    [list(pair) for pair in self.parameters],
                    [getattr(self.limits, each.name) for each in fields(self.limits)],
                ]
            ),
        )


@dataclass(frozen=True)
class Group:
    """A checked genesis with what is derived from it. Raises GroupError when the genesis breaks a rule."""

    genesis: Genesis
    quorums: Quorums

    @classmethod
    def of(cls, genesis: Genesis) -> Group:
        """Return the group that the genesis describes."""
        genesis.check()
        return cls(genesis, Quorums.of(len(genesis.members)))

    @cached_property
    def id(self) -> bytes:
        """The 32-byte group id."""
        return self.genesis.identify()

    @property
    def n(self) -> int:
        """How many replicas there are."""
        return len(self.genesis.members)

    @property
    def limits(self) -> Limits:
        """The sizes every replica applies alike."""
        return self.genesis.limits

    @property
    def members(self) -> tuple[Member, ...]:
        """The replicas, by number."""
        return self.genesis.members

    @cached_property
    def clients(self) -> dict[ClientKey, RegisteredClient]:
        """The registered clients by public key."""
        return {client.public_key: client for client in self.genesis.clients}

    def primary(self, view: int) -> ReplicaId:
        """Return the primary of a view: p = v mod n (OSDI'99 section 4)."""
        return view % self.n

    def client_named(self, name: str) -> RegisteredClient | None:
        """Return the client registered under a name, if there is one."""
        return next((client for client in self.genesis.clients if client.name == name), None)
