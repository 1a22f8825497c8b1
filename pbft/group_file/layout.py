"""What a group is on one host: the genesis that all share, addresses, settings, and where its files lie.

Knows nothing of how `group.toml` spells it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pbft.core.group import Group
from pbft.core.settings import ReplicaSettings
from pbft.errors import PbftError

FILE_NAME: Final = "group.toml"
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a client may be called: it is also the name of a file."""
NAME_RULE: Final = "1 to 64 of a-z, A-Z, 0-9, dot, dash and underscore, a letter or digit first"

DATAGRAM_BYTES: Final = 1_200
"""What every path of the internet carries in one piece."""
MIN_DATAGRAM_BYTES: Final = 512
MAX_DATAGRAM_BYTES: Final = 65_507
"""What UDP over IPv4 can carry."""

METRICS_HOST: Final = "127.0.0.1"
"""Where replicas show their metrics unless told otherwise: to this machine alone, for they are not protected."""
METRICS_BASE_PORT: Final = 9_464
"""The port of replica 0's metrics: the one that exporters without a registered port of their own use."""

APP_FILE: Final = re.compile(r"(?P<path>.*\.py)(?P<rest>:.*)?", re.DOTALL)
"""A specification of an application that names a file."""

_HOST: Final = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9_.-]+)?"
)


class GroupFileError(PbftError):
    """A group that cannot be read or written. The message is one sentence that says where and what to write."""


@dataclass(frozen=True)
class Address:
    """A UDP address: a host's name or number, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Return the address that `host:port` or `[host]:port` spells. Raises ValueError."""
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]") and ":" in host:
            host = host[1:-1]
        elif ":" in host:
            raise ValueError("an IPv6 address stands in brackets")
        if not colon or not _HOST.fullmatch(host) or not re.fullmatch(r"[0-9]{1,5}", port):
            raise ValueError("an address is host:port")
        if not 1 <= int(port) <= 65_535:
            raise ValueError("a port is a number from 1 to 65535")
        return cls(host, int(port))


@dataclass(frozen=True)
class GroupFile:
    """A group as one host sees it: the genesis that all share, and what is each host's own matter."""

    directory: Path
    group: Group
    application: str
    """Where the code is, as `pbft.loading.load_application` takes it; a file's path is absolute."""
    replica_addresses: tuple[Address, ...]
    """Where replicas hear each other, by number."""
    client_addresses: tuple[Address, ...]
    """Where they hear clients: a socket of its own, so that no client can fill the other."""
    settings: ReplicaSettings = field(default_factory=ReplicaSettings)
    datagram_bytes: int = DATAGRAM_BYTES
    lab: bool = False
    """A group made for one machine, to play with: all its replicas may be started, stopped and hurt from here."""

    metrics: Address | None = None
    """Where replica 0 shows its metrics, each other one a port further; None: nowhere."""

    @property
    def path(self) -> Path:
        """The file itself."""
        return self.directory / FILE_NAME

    def metrics_address(self, replica: int) -> Address | None:
        """Return where a replica shows its metrics, None where none does. It is a TCP address."""
        return self.metrics and Address(self.metrics.host, self.metrics.port + replica)

    def replica_key(self, replica: int) -> Path:
        """Return where a replica's private key belongs."""
        return self.directory / f"replica-{replica}.key"

    def client_key(self, name: str) -> Path:
        """Return where a client's private key belongs."""
        return self.directory / "clients" / f"{name}.key"

    @property
    def detours(self) -> Path:
        """Where the keeper of a lab's group writes where replicas that start later find each other."""
        return self.data_folder / "routes.json"

    @property
    def data_folder(self) -> Path:
        """The folder of all data of the group on this machine, whose mark a lab's keeper holds."""
        return self.directory / "data"

    def data(self, replica: int) -> Path:
        """Return the folder that a replica keeps its data in."""
        return self.data_folder / f"replica-{replica}"

    def evidence(self, replica: int) -> Path:
        """Return the folder in which a replica keeps what it can prove against others."""
        return self.data(replica) / "evidence"


def resolve_application(spec: str, base: Path) -> str:
    """Return `spec` with a file's path made absolute, starting at `base`; a module or a name stays as it is."""
    match = APP_FILE.fullmatch(spec)
    if not match:
        return spec
    path = Path(os.path.abspath(base / Path(match["path"]).expanduser()))
    return f"{path}{match['rest'] or ''}"
