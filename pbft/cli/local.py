"""`pbft init`, `up`, `down` and `replica`: the life of a group on this machine.

Owns: these commands and what they print. The work is done by `pbft.lab` and `pbft.node`.
"""

from __future__ import annotations

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Final

import typer

from pbft.cli.liar import read_liars
from pbft.cli.output import say
from pbft.cli.where import DEFAULT, GroupArgument, find_client, find_group
from pbft.console.outcome import ExitCode, Failure
from pbft.core.group import Limits
from pbft.group_file import Address, GroupFile, read_group
from pbft.wording import listing, quote, tell

_DIGITS: Final = 15
"""More than any limit needs."""


def init(
    directory: GroupArgument = None,
    replicas: Annotated[int, typer.Option("--replicas", metavar="N", help="3f + 1 survive f faulty ones.")] = 4,
    application: Annotated[
        str, typer.Option("--app", metavar="APP", help="A name, path.py:Class or module:Class; see pbft apps.")
    ] = "ledger",
    base_port: Annotated[
        int | None,
        typer.Option("--base-port", metavar="P", show_default=False, help="Two ports a replica, from here up."),
    ] = None,
    client: Annotated[
        list[str] | None,
        typer.Option("--client", metavar="NAME", show_default=False, help="May be repeated. Default: alice and bob."),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", show_default=False, help="A parameter of the application."),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option("--limit", metavar="NAME=NUMBER", show_default=False, help="As log_size=64; see group.toml."),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            "--metrics-port",
            metavar="P",
            show_default=False,
            help="Show metrics for Prometheus on this machine, replica I at port P + I; 9464 is usual.",
        ),
    ] = None,
) -> None:
    """Make a local group: keys, free ports and group.toml, in a new folder."""
    from pbft.lab.making import DEFAULT_CLIENTS, make_group

    target = find_group(directory, running=False)
    files = make_group(
        target,
        application,
        replicas,
        client or DEFAULT_CLIENTS,
        read_pairs("--set", "issuer=alice", setting or []),
        base_port,
        read_limits(limit or []),
        metrics_port,
    )
    quorums = files.group.quorums
    say(
        f"made a group of {replicas} replicas in {target}, which survives {quorums.faults} faulty; "
        f"it runs {files.group.genesis.application} for {', '.join(each.name for each in files.group.genesis.clients)}"
    )
    if files.metrics is not None:
        _show_metrics(files, files.metrics)
    say(f"start it: pbft up{_named(target)}")


def _show_metrics(files: GroupFile, first: Address) -> None:
    """Tell where metrics will be, and now what is missing for them: the replicas would not start without it."""
    from pbft.node.exposition import PATH, metrics_installed

    say(f"metrics of replica 0 will be at http://{first}{PATH}, of each other one a port further")
    if not metrics_installed():
        say("they need a package more before a replica starts: pip install 'pbft[metrics]'", "yellow")


def read_pairs(option: str, example: str, words: list[str]) -> dict[str, str]:
    """Return what `name=value` words say. Raises Failure."""
    found: dict[str, str] = {}
    for each in words:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise Failure(f"{option} takes NAME=VALUE, as in {option} {example}, not {each!r}")
        if name in found:
            raise Failure(f"{option} names {name} twice; decide for one value")
        found[name] = value
    return found


def read_limits(words: list[str]) -> Limits:
    """Return the group's limits with those that `name=number` words give. Raises Failure."""
    known = [each.name for each in fields(Limits)]
    numbers: dict[str, int] = {}
    for name, value in read_pairs("--limit", "log_size=64", words).items():
        if name not in known:
            raise Failure(f"there is no limit {quote(name)}{tell(known)}")
        if not (value.isascii() and value.isdigit() and len(value) <= _DIGITS):
            raise Failure(f"the limit {name} takes a whole number, not {quote(value)}")
        numbers[name] = int(value)
    return Limits(**numbers)


def up(
    directory: GroupArgument = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when all answer, and leave them running.")] = False,
    liar: Annotated[
        list[str] | None,
        typer.Option(
            "--liar",
            metavar="I=MISBEHAVIOUR",
            show_default=False,
            help="Start a liar in place of replica I; see pbft liar --list. May be repeated: all liars collude.",
        ),
    ] = None,
) -> None:
    """Start all replicas of a local group; without --detach, stay and stop them at Ctrl-C."""
    from pbft.cli.attached import run_attached

    target = find_group(directory, running=False)
    files = read_group(target)
    end = f"stop them: pbft down{_named(target)}" if detach else "Ctrl-C stops them"
    liars = read_liars(liar or [], files)
    if len(liars) == files.group.n:
        raise Failure("somebody in the group must not lie; leave a replica out of --liar")
    honest = [each for each in range(files.group.n) if each not in liars]

    def ready(*_: object) -> None:
        if liars:
            faults = files.group.quorums.faults
            more = "" if len(liars) <= faults else f"; with more than {faults} of them nothing is promised"
            told = ", ".join(f"replica {each} ({misbehaviour})" for each, misbehaviour in liars.items())
            say(f"liars run in place of {told}{more}", "yellow")
        say(f"{listing(honest)} run and answer; {end}")

    run_attached(files, find_client(files, None), detach, ready, liars)


def down(directory: GroupArgument = None) -> None:
    """Stop every replica of a group that runs on this machine."""
    from pbft.lab.ending import stop_group
    from pbft.lab.processes import running

    files = read_group(find_group(directory))
    stopped = stop_group(files)
    if running(files):
        raise Failure("some replicas could not be stopped; their owner may", ExitCode.INTERNAL_ERROR)
    if stopped:
        say(f"stopped {listing(list(stopped))}")
    else:
        say(f"no replica of {files.directory} is running here")


def replica(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The group's folder.")],
    index: Annotated[int, typer.Argument(metavar="I", min=0, help="Which replica: its number.")],
) -> None:
    """Run one replica in the foreground until SIGTERM or Ctrl-C."""
    from pbft.node.process import run_replica

    def ready(address: str) -> None:
        say(f"replica {index} answers clients at {address}; Ctrl-C stops it")

    raise typer.Exit(run_replica(directory, index, ready=ready))


def _named(directory: Path) -> str:
    return "" if directory == DEFAULT else f" {shlex.quote(str(directory))}"
