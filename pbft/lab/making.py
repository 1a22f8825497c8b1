"""Making a local group: fresh keys for every party, free ports, and the public file.

Owns: the order in which a group's folder is filled, so that `group.toml` stands there only when all else does. Knows no
processes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pbft.core.group import MAX_REPLICAS, MIN_REPLICAS, Genesis, Group, GroupError, Limits, Member, RegisteredClient
from pbft.errors import PbftError
from pbft.group_file import (
    FILE_NAME,
    METRICS_HOST,
    NAME,
    NAME_RULE,
    Address,
    GroupFile,
    read_group,
    resolve_application,
    write_group,
)
from pbft.keys import PrivateKey
from pbft.lab.ports import LOCAL_HOST, check_base_port, choose_ports
from pbft.loading import application_name, load_application, parse_parameters
from pbft.machine import describe_parameters
from pbft.wording import quote

DEFAULT_CLIENTS: Final = ("alice", "bob")
ISSUER_PARAMETER: Final = "issuer"
"""An application that has a parameter of this name gets the first client for it, unless it is given."""

LOCAL_DATAGRAM_BYTES: Final = 8_192
"""Fits the smallest bound that systems put on a loopback datagram (macOS: 9,216)."""


class MakeError(PbftError):
    """A group that cannot be made as asked. The message is one sentence that says what to do."""


def make_group(
    directory: Path,
    application: str,
    replicas: int = 4,
    clients: Sequence[str] = DEFAULT_CLIENTS,
    words: Mapping[str, str] | None = None,
    base_port: int | None = None,
    limits: Limits | None = None,
    metrics_port: int | None = None,
) -> GroupFile:
    """Make a local group in a new or empty folder and return it.

    `application` is what `pbft.loading.load_application` takes, a relative path from the working directory; `words` are
    its parameters as written on a command line. Replica i listens on two ports from `base_port` + 2i, which is chosen
    when not given; with a `metrics_port` it shows its metrics at that port + i, to this machine alone. Leaves nothing
    behind when it fails: MakeError, AppError, PortError, GroupFileError or KeyFileError, each with one sentence.
    """
    _check_size(replicas)
    _check_clients(clients)
    spec = resolve_application(application, Path.cwd())
    cls = load_application(spec)
    parameters = parse_parameters(cls, with_issuer(cls, words or {}, clients), clients)
    if base_port is None:
        base_port = choose_ports(2 * replicas, directory.resolve().parent)
    else:
        check_base_port(base_port, 2 * replicas)
    if metrics_port is not None:
        check_base_port(metrics_port, replicas, "port of metrics")
    replica_keys = [PrivateKey.generate() for _ in range(replicas)]
    client_keys = {name: PrivateKey.generate() for name in clients}
    genesis = Genesis(
        nonce=os.urandom(16),
        members=tuple(Member(i, key.public_key, key.link_key) for i, key in enumerate(replica_keys)),
        clients=tuple(RegisteredClient(name, key.public_key, key.link_key) for name, key in client_keys.items()),
        application=application_name(cls),
        parameters=tuple(parameters.items()),
        limits=limits or Limits(),
    )
    try:
        group = Group.of(genesis)
    except GroupError as error:
        raise MakeError(str(error)) from None
    files = GroupFile(
        directory.resolve(),
        group,
        spec,
        tuple(Address(LOCAL_HOST, base_port + 2 * i) for i in range(replicas)),
        tuple(Address(LOCAL_HOST, base_port + 2 * i + 1) for i in range(replicas)),
        datagram_bytes=LOCAL_DATAGRAM_BYTES,
        lab=True,
        metrics=None if metrics_port is None else Address(METRICS_HOST, metrics_port),
    )
    existed = _open_folder(directory)
    try:
        for replica, key in enumerate(replica_keys):
            key.save(files.replica_key(replica))
        for name, key in client_keys.items():
            key.save(files.client_key(name))
        write_group(files)
    except BaseException:
        _empty(files.directory, existed)
        raise
    return read_group(files.directory)


def with_issuer(cls: type, words: Mapping[str, str], clients: Sequence[str]) -> dict[str, str]:
    """Return an application's parameters, as written, with the first client as the issuer where it takes one."""
    takes = any(each.name == ISSUER_PARAMETER for each in describe_parameters(cls))
    return {**({ISSUER_PARAMETER: clients[0]} if takes else {}), **words}


def _check_size(replicas: int) -> None:
    if not MIN_REPLICAS <= replicas <= MAX_REPLICAS:
        raise MakeError(
            f"a group needs {MIN_REPLICAS} to {MAX_REPLICAS} replicas, not {replicas}: 3f + 1 of them survive f faults"
        )


def _check_clients(clients: Sequence[str]) -> None:
    if not clients:
        raise MakeError("a group needs a client; name one: --client alice")
    for name in clients:
        if not NAME.fullmatch(name):
            raise MakeError(f"a client's name has {NAME_RULE}; {quote(name)} does not fit")
        if list(clients).count(name) > 1:
            raise MakeError(f"the client {quote(name)} is named twice; give each client a name of its own")


def _open_folder(directory: Path) -> bool:
    """Make sure of an empty folder that is the user's alone; say whether it was there before."""
    try:
        existed = directory.is_dir()
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (directory / FILE_NAME).exists():
            raise MakeError(f"there is a group in {directory} already; start it: pbft up {directory}")
        if any(directory.iterdir()):
            raise MakeError(f"{directory} is not empty; name a new folder for the group")
        directory.chmod(0o700)
    except FileExistsError:
        raise MakeError(f"{directory} is a file; name a new folder for the group") from None
    except OSError as error:
        raise MakeError(f"cannot make the folder {directory}: {error.strerror}") from None
    return existed


def _empty(directory: Path, keep: bool) -> None:
    with contextlib.suppress(OSError):
        for each in directory.iterdir():
            if each.is_dir():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink()
        if not keep:
            directory.rmdir()
