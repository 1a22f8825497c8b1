"""`pbft doctor`: why a replica's state was not the others', as the replicas of this machine found out by themselves.

Owns: this command. How the files are read and worded is `pbft.console.divergences`'s matter; it asks no replica.
"""

from __future__ import annotations

from pbft.cli.output import say, say_json
from pbft.cli.where import GroupArgument, JsonOption, find_group
from pbft.console.divergences import describe_divergence, divergence_lines, read_divergences
from pbft.group_file import read_group


def doctor(directory: GroupArgument = None, as_json: JsonOption = False) -> None:
    """Say where a replica's state parted from the others': which operation, which keys, and what to look for.

    Reads the files divergence.json that replicas keep beside their logs; the group need not run.
    """
    files = read_group(find_group(directory))
    found = read_divergences(files)
    if as_json:
        say_json([describe_divergence(each) for each in found])
        return
    for line in divergence_lines(files, found):
        say(line)
