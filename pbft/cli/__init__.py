"""The command line: one file a group of commands.

Owns: the entry, and the one place where every error becomes a sentence and an exit code. Imports the commands when it
is called, so that a Ctrl-C that comes even sooner than they do ends as quietly as any other.
"""

from __future__ import annotations

import io
import os
import sys

_INTERRUPTED = 130


def main(words: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if words is None else words
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What the locale cannot write is spelled out, and never ends a command.
            stream.reconfigure(errors="backslashreplace")
    try:
        from pbft.cli.commands import app
        from pbft.cli.failures import report
    except KeyboardInterrupt:
        return _INTERRUPTED
    try:
        # Last, so that nothing here hides a module of Python's own: `--app mine:Auction` finds ./mine.py.
        sys.path.append(os.getcwd())
        code = app(args=words, prog_name="pbft", standalone_mode=False)
        sys.stdout.flush()
    except BaseException as error:
        options = words[: words.index("--")] if "--" in words else words
        return report(error, as_json="--json" in options)
    return code if isinstance(code, int) else 0
