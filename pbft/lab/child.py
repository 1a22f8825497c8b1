"""One replica as a process of this machine: `python -m pbft.lab.child DIR I [--with-parent]`.

Owns: the entry that launchers start; it imports nothing that only people at a terminal need.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from pbft.node.process import run_replica


def main(words: list[str]) -> int:
    """Run the replica that a launcher's words name."""
    # Last, as the command line does it: an application named as a module may lie in the working directory.
    sys.path.append(os.getcwd())
    directory, index, *rest = words
    try:
        return run_replica(Path(directory), int(index), with_parent=rest == ["--with-parent"])
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
