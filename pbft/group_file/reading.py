"""Reading `group.toml`: every entry checked, and the whole against the group id that it claims."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pbft.core.group import GENESIS_VERSION, Genesis, Group, GroupError, Limits, Member, RegisteredClient
from pbft.core.settings import MAX_REPAIR_SLOTS, ReplicaSettings
from pbft.encoding import EncodingError
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
from pbft.group_file.parameters import from_toml
from pbft.group_file.section import Section
from pbft.wording import quote


def read_group(directory: Path | str) -> GroupFile:
    """Return the group in a folder, every entry checked.

    Raises GroupFileError with one sentence that names the file, the entry and what to write there.
    """
    given = Path(directory)
    path = given / FILE_NAME
    try:
        table = tomllib.loads(path.read_bytes().decode())
    except (FileNotFoundError, NotADirectoryError):
        raise GroupFileError(f"there is no group in {given}; make one: pbft init {given}") from None
    except OSError as error:
        raise GroupFileError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise GroupFileError(f"{path} is not text in UTF-8; take a fresh copy of the group's file") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = str(error).partition("\n")[0] or "it is nested too deeply"
        raise GroupFileError(f"{path} is not valid TOML: {reason}") from None
    root = Section(path, "", table)
    group = _read_genesis(root)
    replicas = root.sections("replica")
    replica_addresses = tuple(_read_address(each, "address") for each in replicas)
    client_addresses = tuple(_read_address(each, "client_address") for each in replicas)
    _refuse_shared(path, [*replica_addresses, *client_addresses])
    settings, datagram_bytes, lab = _read_settings(root.optional("settings"), group)
    section = root.optional("metrics")
    metrics = _read_metrics(section, group) if "metrics" in root.table else None
    resolved = given.resolve()
    spec = root.section("application").text("spec")
    for each in (*replicas, *root.sections("client"), root.section("application"), root):
        each.refuse_unknown()
    return GroupFile(
        resolved,
        group,
        resolve_application(spec, resolved),
        replica_addresses,
        client_addresses,
        settings,
        datagram_bytes,
        lab,
        metrics,
    )


def _read_genesis(root: Section) -> Group:
    head = root.section("group")
    version = head.number("version")
    if version != GENESIS_VERSION:
        head.fail(f"version is {version}, which this pbft cannot read; it reads {GENESIS_VERSION}")
    application = root.section("application")
    replicas = root.sections("replica")
    for place, each in enumerate(replicas):
        if each.number("id", least=0) != place:
            each.fail(f"id must be {place}: replicas stand in the order of their numbers")
    genesis = Genesis(
        nonce=head.key("nonce", 16),
        members=tuple(
            Member(place, each.key("public_key"), each.key("link_key")) for place, each in enumerate(replicas)
        ),
        clients=tuple(_read_client(each) for each in root.sections("client")),
        application=application.text("name"),
        parameters=tuple(
            (name, from_toml(application, name, value))
            for name, value in sorted(application.optional("parameters").table.items())
        ),
        limits=_read_limits(root.section("limits")),
    )
    try:
        group = Group.of(genesis)
    except (GroupError, EncodingError) as error:
        root.fail(str(error))
    if head.key("id") != group.id:
        head.fail(
            "id does not fit the rest of the file, which is damaged or was changed; take a fresh copy, "
            f'or write id = "{group.id.hex()}" if another group is what you mean'
        )
    head.refuse_unknown()
    return group


def _read_client(section: Section) -> RegisteredClient:
    name = section.text("name")
    if not NAME.fullmatch(name):
        section.fail(f"name must have {NAME_RULE}, not {quote(name)}")
    return RegisteredClient(name, section.key("public_key"), section.key("link_key"))


def _read_limits(section: Section) -> Limits:
    limits = Limits(**{each.name: section.number(each.name) for each in fields(Limits)})
    section.refuse_unknown()
    return limits


def _read_settings(section: Section, group: Group) -> tuple[ReplicaSettings, int, bool]:
    standard = ReplicaSettings()
    values: dict[str, Any] = {each.name: _read_setting(section, each.name, standard) for each in fields(standard)}
    settings = ReplicaSettings(**values)
    if settings.window > group.limits.log_size:
        section.fail(f"window must be at most log_size, {group.limits.log_size}, not {settings.window}")
    if settings.repair_slots > MAX_REPAIR_SLOTS:
        section.fail(f"repair_slots must be at most {MAX_REPAIR_SLOTS}, not {settings.repair_slots}")
    if settings.status_interval_max_ms < settings.status_interval_ms:
        section.fail(
            f"status_interval_max_ms must be at least status_interval_ms, {settings.status_interval_ms}, "
            f"not {settings.status_interval_max_ms}"
        )
    datagram_bytes = section.number("datagram_bytes", DATAGRAM_BYTES, MIN_DATAGRAM_BYTES)
    if datagram_bytes > MAX_DATAGRAM_BYTES:
        section.fail(f"datagram_bytes must be at most {MAX_DATAGRAM_BYTES}, not {datagram_bytes}")
    lab = section.switch("lab", usual=False)
    section.refuse_unknown()
    return settings, datagram_bytes, lab


def _read_setting(section: Section, name: str, standard: ReplicaSettings) -> int | bool:
    usual = getattr(standard, name)
    return section.switch(name, usual) if isinstance(usual, bool) else section.number(name, usual)


def _read_metrics(section: Section, group: Group) -> Address:
    host = section.text("host", METRICS_HOST)
    port = section.number("base_port", METRICS_BASE_PORT)
    last = 65_536 - group.n
    if port > last:
        section.fail(f"base_port must be at most {last}, not {port}: each of the {group.n} replicas has one port more")
    try:
        # What can be spelled as an address, and read again, is one.
        address = Address.parse(str(Address(host, port)))
    except ValueError:
        section.fail(f'host must be a name or number, as "{METRICS_HOST}", not {quote(host)}')
    section.refuse_unknown()
    return address


def _read_address(section: Section, key: str) -> Address:
    text: str = section.take(key, str, '"HOST:PORT"')
    try:
        return Address.parse(text)
    except ValueError as error:
        section.fail(f'{key} must look like "127.0.0.1:7000", not {quote(text)}: {error}')


def _refuse_shared(path: Path, addresses: Sequence[Address]) -> None:
    seen: dict[Address, None] = {}
    for each in addresses:
        if each in seen:
            raise GroupFileError(f"{path}: {each} stands there twice; give each replica two ports of its own")
        seen[each] = None
