"""The public file of a group, `group.toml`, and the folder around it.

Owns: what `group.toml` says and how, the check of every entry, and where keys and data lie beside it. Knows nothing of
secrets, sockets or processes.

    DIR/group.toml             public: the genesis, addresses, where the application's code is, this host's settings
    DIR/replica-<i>.key        private, of replica i
    DIR/clients/<name>.key     private, of a client
    DIR/data/replica-<i>/      what replica i keeps
"""

from pbft.group_file.layout import (
    DATAGRAM_BYTES,
    FILE_NAME,
    MAX_DATAGRAM_BYTES,
    METRICS_BASE_PORT,
    METRICS_HOST,
    MIN_DATAGRAM_BYTES,
    NAME,
    NAME_RULE,
    Address,
    GroupFile,
    GroupFileError,
    resolve_application,
)
from pbft.group_file.reading import read_group
from pbft.group_file.writing import describe_group, write_group

__all__ = [
    "DATAGRAM_BYTES",
    "FILE_NAME",
    "MAX_DATAGRAM_BYTES",
    "METRICS_BASE_PORT",
    "METRICS_HOST",
    "MIN_DATAGRAM_BYTES",
    "NAME",
    "NAME_RULE",
    "Address",
    "GroupFile",
    "GroupFileError",
    "describe_group",
    "read_group",
    "resolve_application",
    "write_group",
]
