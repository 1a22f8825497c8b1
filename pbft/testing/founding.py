"""How a simulated group comes to be: everybody's keys and clocks, the genesis, and each party with what it may hold.

Owns: who is handed what at the start of a run, and the chance that sets clocks. Starts nothing and knows no time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from pbft.core.envelope import Signer
from pbft.core.group import Genesis, Group, Limits, Member, Quorums, RegisteredClient, ReplicaId
from pbft.core.replica import Replica
from pbft.core.session import Session
from pbft.core.settings import Now, ReplicaSettings, SessionSettings
from pbft.encoding import Plain, digest
from pbft.machine import Application
from pbft.testing.byzantine.adversary import Adversary, Means
from pbft.testing.clients import SimulatedClient
from pbft.testing.faulty_clients.faulty_client import ClientMeans, Faulty, Speech
from pbft.testing.network import WALL_START_MS
from pbft.testing.signers import Identity, Keyring, Scheme
from pbft.testing.station import Station


class Founding:
    """The keys of n replicas and of the registered clients, and how far each one's clocks are off."""

    def __init__(self, seed: int, n: int, clients: Sequence[str], signatures: Scheme, clock_skew_ms: int) -> None:
        self.seed = seed
        self.keys = Keyring(seed, signatures)
        self._replicas = {i: self.keys.identity(f"replica {i}") for i in range(n)}
        self._clients = {name: self.keys.identity(f"client {name}") for name in clients}
        self._clocks = random.Random(f"{seed}/clocks")
        self._skew_ms = clock_skew_ms
        self._signers: dict[ReplicaId, Signer] = {}
        """Those of all replicas that collude."""

    @property
    def names(self) -> dict[bytes, str]:
        """The registered clients' names by public key."""
        return {key.public_key: name for name, key in self._clients.items()}

    def identity(self, name: str) -> Identity:
        """Return a registered client's keys. Raises ValueError for a name that the group does not know."""
        key = self._clients.get(name)
        if key is None:
            raise ValueError(f"no client is called {name!r}; this group knows {', '.join(self._clients)}")
        return key

    def group(
        self, application: str, parameters: Mapping[str, Plain], limits: Limits, quorums: Quorums | None
    ) -> Group:
        """Return the group of all these parties, with true counts unless others are given.

        A group with counts of a test's own may be smaller than any that users can have: of three, say.
        """
        genesis = Genesis(
            nonce=self.keys.nonce(),
            members=tuple(Member(i, key.public_key, key.link_key) for i, key in self._replicas.items()),
            clients=tuple(RegisteredClient(name, k.public_key, k.link_key) for name, k in self._clients.items()),
            application=application,
            parameters=tuple(sorted(parameters.items())),
            limits=limits,
        )
        return Group.of(genesis) if quorums is None else Group(genesis, quorums)

    def stations(
        self,
        group: Group,
        application: Callable[[], Application],
        replica_type: type[Replica],
        settings: ReplicaSettings,
        byzantine: Mapping[ReplicaId, type[Adversary]],
        colluders: Sequence[str],
        wall_ahead_ms: Mapping[ReplicaId, int],
    ) -> tuple[Station, ...]:
        """Return a place for each replica. Adversaries hold each other's signers and those of the colluding clients."""
        self._signers = {colluder: self._replicas[colluder].signer for colluder in sorted(byzantine)}
        self._colluding = {key.public_key: key.signer for key in map(self.identity, colluders)}
        self._group = group

        def make(i: ReplicaId) -> Replica:
            return replica_type(i, group, application(), self._replicas[i].signer, self.keys.verifier, settings)

        self.core = make

        def station(i: ReplicaId) -> Station:
            offset_ms = self._clocks.randrange(1_000_000)
            skew_ms = self._clocks.randint(-self._skew_ms, self._skew_ms) + wall_ahead_ms.get(i, 0)
            core = make(i)
            return Station(byzantine[i](core, self.means(i)) if i in byzantine else core, offset_ms, skew_ms)

        return tuple(map(station, self._replicas))

    def means(self, i: ReplicaId, colludes: bool = True) -> Means:
        """Return what an adversary in replica i's place works with.

        Who colludes holds the keys of all others that do, and they hold its own from now on.
        """
        signer = self._replicas[i].signer
        if colludes:
            self._signers.setdefault(i, signer)
        signers, clients = (self._signers, self._colluding) if colludes else ({i: signer}, {})
        chance = random.Random(f"{self.seed}/adversary {i}")
        return Means(i, self._group, signers, chance, lambda: self.core(i), clients)

    def client(
        self,
        group: Group,
        name: str,
        label: str,
        settings: SessionSettings,
        wall_ahead_ms: int,
        moment: Callable[[], int],
        called: Callable[[SimulatedClient], None],
    ) -> SimulatedClient:
        """Return a client with a session that opens now. `moment` tells virtual time, `called` is told of new calls."""
        key = self.identity(name)
        offset_ms = self._clocks.randrange(1_000_000)
        session = Session(
            group,
            key.public_key,
            key.signer,
            self.keys.verifier,
            digest(b"pbft/sim-entropy", b"%d" % self.seed, label.encode()),
            Now(moment() + offset_ms, WALL_START_MS + moment() + wall_ahead_ms),
            settings,
        )
        return SimulatedClient(label, key.public_key, session, offset_ms, wall_ahead_ms, moment, called)

    def faulty_client(
        self,
        group: Group,
        name: str,
        label: str,
        kind: type[Faulty],
        say: Speech | None,
        moment: Callable[[], int],
    ) -> Faulty:
        """Return a client that misbehaves, with the signer of that name and nobody else's.

        One whose kind is not registered holds a key that the group does not know, whatever it is called.
        """
        key = self.identity(name) if kind.registered else self.keys.identity(f"stranger {name}")
        chance = random.Random(f"{self.seed}/faulty client {label}")
        means = ClientMeans(key.public_key, key.signer, group, chance, moment)
        return kind(label, means) if say is None else kind(label, means, say)
