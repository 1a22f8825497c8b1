"""Writing `group.toml`, with the comments that whoever opens it needs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import tomli_w

from pbft.core.group import GENESIS_VERSION, Limits, RegisteredClient
from pbft.core.settings import ReplicaSettings
from pbft.group_file.layout import APP_FILE, DATAGRAM_BYTES, GroupFile, GroupFileError
from pbft.group_file.parameters import to_toml


def write_group(group: GroupFile) -> None:
    """Write `group.toml` into an existing folder, with the comments that whoever opens it needs.

    Raises GroupFileError, and changes nothing, where a file is there already or what it should say cannot be
    written down.
    """
    text = describe_group(group)
    try:
        with group.path.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise GroupFileError(f"{group.path} is there already; choose another folder") from None
    except OSError as error:
        raise GroupFileError(f"{group.path} cannot be written: {error.strerror}") from None


def describe_group(group: GroupFile) -> str:
    """Return what `group.toml` says for a group. Raises GroupFileError for what TOML cannot hold."""
    genesis = group.group.genesis
    parts = [
        _TITLE,
        _IDENTITY
        + _dump("group", {"id": group.group.id.hex(), "version": GENESIS_VERSION, "nonce": genesis.nonce.hex()}),
        _APPLICATION
        + _dump("application", {"name": genesis.application, "spec": _shorten(group.application, group.directory)}),
    ]
    if genesis.parameters:
        values = {name: to_toml(name, value) for name, value in genesis.parameters}
        parts.append("# What the application was created with.\n" + _dump("application.parameters", values))
    parts.append(_LIMITS + _dump("limits", {each.name: getattr(genesis.limits, each.name) for each in fields(Limits)}))
    parts.append(_REPLICAS + "\n".join(_describe_replicas(group)))
    if genesis.clients:
        parts.append(_CLIENTS + "\n".join(map(_describe_client, genesis.clients)))
    parts.append(_SETTINGS + _dump("settings", _describe_settings(group)))
    if group.metrics is not None:
        table = {"base_port": group.metrics.port, "host": group.metrics.host}
        parts.append(_METRICS + _dump("metrics", table))
    return "\n".join(parts)


_TITLE: Final = """\
# A replica group of pbft. This file is public: it holds no secret, and whoever has a true copy of it can talk to the
# group and check its receipts. Take yours from a source that you trust.
"""
_IDENTITY: Final = """\
# `id` is the digest of what makes the group what it is: nonce, application with its parameters, limits, and every
# name and key. Each signature covers it, so whoever changes one of these names another group.
"""
_APPLICATION: Final = """\
# `name` is the class that all replicas run. `spec` is where its code lies on this host, and no part of the id: a file
# (from this folder, or a full path) and its class, a module and its class, or the name of an installed application.
"""
_LIMITS: Final = """\
# checkpoint_interval is K and log_size is L of the paper: sequences between two checkpoints, and between the low and
# the high watermark. The rest are the largest sizes and numbers that replicas accept.
"""
_REPLICAS: Final = """\
# One entry a replica; keys are hexadecimal. Replicas hear each other on `address`, and clients on `client_address`.
# Addresses are no part of the id: a host may move.
"""
_CLIENTS: Final = """\
# The clients that the group answers. The application sees their names.
"""
_SETTINGS: Final = f"""\
# This host's own matter, and no part of the id: `lab` says that all replicas run on one machine, to play with,
# `datagram_bytes` is the largest datagram sent, `window` how many sequences are in flight at most, `view_timeout_ms`
# how long a primary may leave a request waiting before the replicas replace it, `replace_slow_primary` whether they
# also replace one that answers all, but late. Before a replica moves to another host,
# set `lab` to false and `datagram_bytes` to {DATAGRAM_BYTES} in every copy of this file: larger ones are sure to arrive
# on one machine only. Settings that are not written here have their usual values.
"""

_METRICS: Final = """\
# Replica i shows what it counts at http://HOST:(base_port + i)/metrics, for Prometheus; this is each host's own matter
# too. Nobody is asked who they are there, so `host` is this machine alone unless a network is yours to trust. It takes
# a package more: pip install 'pbft[metrics]'. Without this table nothing listens.
"""


def _describe_replicas(group: GroupFile) -> Iterator[str]:
    for member, replica_address, client_address in zip(
        group.group.members, group.replica_addresses, group.client_addresses, strict=True
    ):
        entry = {
            "id": member.id,
            "public_key": member.public_key.hex(),
            "link_key": member.link_key.hex(),
            "address": str(replica_address),
            "client_address": str(client_address),
        }
        yield "[[replica]]\n" + tomli_w.dumps(entry)


def _describe_settings(group: GroupFile) -> dict[str, Any]:
    """Return what whoever opens the file should know of, and whatever else is not as usual."""
    shown = {
        "lab": group.lab,
        "datagram_bytes": group.datagram_bytes,
        "window": group.settings.window,
        "view_timeout_ms": group.settings.view_timeout_ms,
        "replace_slow_primary": group.settings.replace_slow_primary,
    }
    standard = ReplicaSettings()
    for each in fields(ReplicaSettings):
        value = getattr(group.settings, each.name)
        if value != getattr(standard, each.name):
            shown[each.name] = value
    return shown


def _describe_client(client: RegisteredClient) -> str:
    entry = {"name": client.name, "public_key": client.public_key.hex(), "link_key": client.link_key.hex()}
    return "[[client]]\n" + tomli_w.dumps(entry)


def _dump(name: str, values: Mapping[str, Any]) -> str:
    nested: Mapping[str, Any] = values
    for part in reversed(name.split(".")):
        nested = {part: nested}
    return tomli_w.dumps(nested)


def _shorten(spec: str, directory: Path) -> str:
    """Return a file's path relative to the group's folder where it lies inside: the two move together."""
    match = APP_FILE.fullmatch(spec)
    if match and Path(match["path"]).is_relative_to(directory):
        return f"{Path(match['path']).relative_to(directory)}{match['rest'] or ''}"
    return spec
