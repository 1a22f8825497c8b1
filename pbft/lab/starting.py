"""What a start of a local group must find: a group of this machine's, that nobody runs, on ports that nobody uses.

Owns: the claim on a group before its first process, and the sentences of a start that cannot be. Imports little: the
program that keeps a group starts its replicas before it loads anything else.
"""

from __future__ import annotations

import shlex

from pbft.errors import PbftError
from pbft.group_file import GroupFile
from pbft.lab.ports import refuse_taken
from pbft.lab.processes import running
from pbft.net.local_sockets import socket_path
from pbft.node.marks import Mark, keeper


class GroupStartError(PbftError):
    """A local group that cannot start. The message is one sentence that says what to do."""


class Interrupted(Exception):
    """Somebody asked to stop before the group was ready."""


def control_path(files: GroupFile) -> str:
    """Return where the keeper of a group listens. Raises OSError."""
    return socket_path(files.data_folder, "control")


def refuse_strangers(files: GroupFile) -> None:
    """Raise GroupStartError for a group that is not one machine's own."""
    if not files.lab:
        raise GroupStartError(
            f"the group in {files.directory} is not one machine's to start; run each replica where its key is: "
            f"pbft replica {shlex.quote(str(files.directory))} NUMBER"
        )


def claim(files: GroupFile) -> Mark:
    """Return the mark of a group's data, held by this process from now on: it alone starts the group's replicas.

    Raises GroupStartError, or PortError.
    """
    refuse_strangers(files)
    try:
        mark = Mark.take(files.data_folder)
    except OSError as error:
        raise GroupStartError(f"nothing can be written to {files.directory / 'data'}: {error.strerror}") from None
    if mark is None:
        raise GroupStartError(_tell_running(files))
    try:
        if running(files):
            raise GroupStartError(_tell_running(files))
        refuse_taken([*files.replica_addresses, *files.client_addresses])
        _forget_detours(files)
    except BaseException:
        mark.release()
        raise
    return mark


def _forget_detours(files: GroupFile) -> None:
    """Remove what a keeper that was killed left behind: ours would seem to have written it."""
    try:
        files.detours.unlink(missing_ok=True)
    except OSError as error:
        raise GroupStartError(f"{files.detours} leads nowhere and cannot be removed: {error.strerror}") from None


def _tell_running(files: GroupFile) -> str:
    found, directory = running(files), shlex.quote(str(files.directory))
    begun = f"the group in {files.directory} is running already"
    is_kept = keeper(files.data_folder) is not None
    if not found and is_kept:
        return f"{begun}: its keeper does, though no replica at this moment; stop it: pbft down {directory}"
    if not found:
        return f"{begun}, or just starting; see pbft status {directory}"
    missing = [replica for replica in range(files.group.n) if replica not in found]
    if not missing:
        advice = f"stop it first: pbft down {directory}"
    elif is_kept:
        advice = f"start what is missing by itself: pbft fault restart {missing[0]} {directory}"
    else:
        advice = f"start what is missing by itself: pbft replica {directory} {missing[0]}"
    return f"{begun} (replicas {', '.join(map(str, found))}); {advice}"
