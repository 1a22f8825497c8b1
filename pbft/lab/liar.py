"""A replica that lies, as a process: `python -m pbft.lab.liar DIR I MISBEHAVIOUR[+MISBEHAVIOUR] [--with-parent]`.

Owns: what a liar may know and sign with, and that it lies in groups of a lab only. Together with `misbehaviours` this
is the one place that knows both a real node and the testing kit: no program that runs a correct replica imports it.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from pbft.core.envelope import Signer
from pbft.core.group import ClientKey, ReplicaId
from pbft.core.replica import Replica
from pbft.errors import PbftError
from pbft.group_file import GroupFile, read_group
from pbft.keys import PrivateKey
from pbft.lab.misbehaviours import check_misbehaviour, find_misbehaviour
from pbft.node.driver import Driven
from pbft.node.process import EXIT_CANNOT_START, Occupant, Seat, run_replica
from pbft.testing.byzantine import Adversary, Means
from pbft.wording import quote, suggest

_SEED_BYTES: Final = 4


class LiarError(PbftError):
    """A liar that cannot start. The message is one sentence that says what to do."""


def run_liar(
    directory: Path,
    index: int,
    misbehaviour: str,
    *,
    colluders: Iterable[str] = (),
    seed: int | None = None,
    with_parent: bool = False,
    ready: Callable[[str], None] = lambda _: None,
) -> int:
    """Run a liar in a replica's place, under that replica's keys, as `run_replica` runs the replica.

    `misbehaviour` is what `find_misbehaviour` takes. `colluders` are replicas by number and clients by name whose keys
    it holds besides its own, read from their files. All its chance comes from the seed, which is drawn unless given;
    `ready` is told in a line that it lies, how, under which seed, and where clients reach it.
    """
    seed = int.from_bytes(os.urandom(_SEED_BYTES)) if seed is None else seed
    try:
        files = read_group(directory)
        if not files.lab:
            raise LiarError(
                f"the group in {directory} is no lab's, and no liar may join it; make one to play with: pbft init DIR"
            )
        misbehaviour = check_misbehaviour(misbehaviour, [client.name for client in files.group.genesis.clients])
        kind = find_misbehaviour(misbehaviour)
        signers, clients = _read_keys(files, colluders)
    except PbftError as error:
        print(error, file=sys.stderr)
        return EXIT_CANNOT_START

    def take(replica: Replica, seat: Seat) -> Driven:
        chance = random.Random(f"{seed}/adversary {seat.me}")
        means = Means(seat.me, files.group, {**signers, seat.me: seat.key}, chance, seat.another, clients)
        return _make(kind, replica, means)

    name = f"the liar in place of replica {index} ({kind.__name__}, seed {seed})"
    notes = {"misbehaviour": misbehaviour, "colluders": [*signers, *(files.group.clients[key].name for key in clients)]}
    return run_replica(
        directory,
        index,
        with_parent=with_parent,
        ready=lambda address: ready(f"{name} answers clients at {address}"),
        occupant=Occupant(name, take, {"lies": True, **notes, "seed": seed}),
    )


def _make(kind: type[Adversary], replica: Replica, means: Means) -> Adversary:
    try:
        return kind(replica, means)
    except Exception as error:
        # The code of a user, perhaps.
        raise LiarError(f"{kind.__name__} cannot be made: {type(error).__name__}: {error}") from None


def _read_keys(files: GroupFile, colluders: Iterable[str]) -> tuple[dict[ReplicaId, Signer], dict[ClientKey, Signer]]:
    """Return what signs for replicas and for clients that collude. Raises LiarError, or KeyFileError."""
    group = files.group
    known = {each.name: each.public_key for each in group.genesis.clients}
    signers: dict[ReplicaId, Signer] = {}
    clients: dict[ClientKey, Signer] = {}
    for word in colluders:
        if word.isascii() and word.isdecimal() and int(word) < group.n:
            replica = int(word)
            signers[replica] = _read_key(files.replica_key(replica), group.members[replica].public_key)
        elif word in known:
            clients[known[word]] = _read_key(files.client_key(word), known[word])
        else:
            raise LiarError(
                f"nobody in {files.path} is called {quote(word)}; colluders are replicas, 0 to {group.n - 1}, "
                f"or clients{suggest(word, known)}"
            )
    return dict(sorted(signers.items())), clients


def _read_key(path: Path, public_key: bytes) -> PrivateKey:
    key = PrivateKey.load(path)
    if key.public_key != public_key:
        raise LiarError(f"{path} is not the key of the party it is named after; a colluder needs its own")
    return key


def main(words: list[str]) -> int:
    """Run the liar that a launcher's words name."""
    parser = argparse.ArgumentParser(prog="python -m pbft.lab.liar", description="Run a replica that lies, in a lab.")
    parser.add_argument("directory", metavar="DIR", type=Path)
    parser.add_argument("index", metavar="I", type=int)
    parser.add_argument("misbehaviour", metavar="MISBEHAVIOUR[+MISBEHAVIOUR]")
    parser.add_argument("--colluders", metavar="2,3,alice", default="")
    parser.add_argument("--seed", metavar="S", type=int)
    parser.add_argument("--with-parent", action="store_true")
    given = parser.parse_args(words)
    # Last, as the command line does it: a misbehaviour named as a module may lie in the working directory.
    sys.path.append(os.getcwd())
    try:
        return run_liar(
            given.directory,
            given.index,
            given.misbehaviour,
            colluders=split_colluders(given.colluders),
            seed=given.seed,
            with_parent=given.with_parent,
            ready=lambda said: print(said, flush=True),
        )
    except KeyboardInterrupt:
        return 0


def split_colluders(words: str) -> list[str]:
    """Return the colluders that an option names, with commas between."""
    return [word.strip() for word in words.split(",") if word.strip()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
