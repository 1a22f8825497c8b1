"""One replica as a process of this machine: marked as running, then run.

Owns: the order of the two, and the process's entry, `python -m pbft.lab.child DIR I [--with-parent]`, which is what
launchers start: it imports nothing that only people at a terminal need.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pbft.group_file import GroupFileError, read_group
from pbft.lab.marks import Mark
from pbft.node.process import EXIT_CANNOT_START, run_replica


def run_marked(directory: Path, index: int, with_parent: bool = False) -> int:
    """Run a replica until it is told to stop; return its exit code, 2 when it cannot start or runs already.

    What went wrong is one sentence on standard error.
    """
    try:
        files = read_group(directory)
        known = index < files.group.n
        mark = Mark.take(files.data(index)) if known else None
    except (GroupFileError, OSError) as error:
        print(error, file=sys.stderr)
        return EXIT_CANNOT_START
    if known and mark is None:
        print(f"replica {index} of {directory} is running already; stop it: pbft down {directory}", file=sys.stderr)
        return EXIT_CANNOT_START
    try:
        return run_replica(directory, index, with_parent=with_parent)
    finally:
        if mark is not None:
            mark.release()


def main(words: list[str]) -> int:
    """Run the replica that a launcher's words name."""
    # Last, as the command line does it: an application named as a module may lie in the working directory.
    sys.path.append(os.getcwd())
    directory, index, *rest = words
    try:
        return run_marked(Path(directory), int(index), rest == ["--with-parent"])
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
