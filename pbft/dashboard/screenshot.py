"""The picture of the dashboard that README opens with, drawn from a real group that loses its primary.

Owns: the little story that leads to the picture. What is drawn is the dashboard itself, on a screen in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from textual.pilot import Pilot

from pbft.console.history import History
from pbft.console.session import Console
from pbft.dashboard.app import Dashboard
from pbft.dashboard.running import feed
from pbft.errors import PbftError
from pbft.group_file import GroupFile
from pbft.lab.kept import KeptGroup
from pbft.lab.making import make_group

SIZE: Final = (100, 30)
_CLIENT: Final = "alice"
_STORY: Final = ("mint alice 1000", "transfer alice bob 250 'for the boat'", "balance bob")
_AFTERWARDS: Final = ("transfer alice bob 50", "balance bob")
_FONTS: Final = re.compile(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", re.DOTALL)
_PATIENCE: Final = 400
"""How many looks, each after a tenth of a second, anything of the story may take."""


def write(file: Path, application: str = "ledger") -> None:
    """Start a group in a folder of its own, walk through the story, write the picture, and stop the group.

    Raises what starting it does, OSError where the file cannot be written, and PbftError where the group is too slow.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = make_group(Path(folder) / "group", application)
        with KeptGroup(files) as group:
            group.start(_CLIENT, note=False)
            file.write_text(asyncio.run(_picture(files)), encoding="utf-8")


async def _picture(files: GroupFile) -> str:
    async with Console(files, _CLIENT) as console:
        app = Dashboard(files, console, lambda: feed(files, _CLIENT), History(files.directory / "history"))
        async with app.run_test(size=SIZE) as pilot:
            await _until(pilot, lambda: app.model.header().speaking == files.group.n)
            for line in _STORY:
                await _enter(app, pilot, line)
            await pilot.press("f3")
            await _until(pilot, lambda: (load := console.load) is not None and load.answered > 1_000)
            await pilot.press("f3", "f5")
            await _enter(app, pilot, _AFTERWARDS[0])
            await _until(pilot, lambda: app.model.header().view == 1)
            await _enter(app, pilot, _AFTERWARDS[1])
            # The last sequence is told with the next counters.
            await _until(pilot, lambda: (flow := app.model.flow()) is not None and flow.view == 1 and flow.finished)
            await pilot.pause(1.0)
            drawn = app.export_screenshot(title=f"pbft · {files.group.genesis.application}")
    # A picture that fetches fonts from strangers' machines tells them who looks at it.
    return _FONTS.sub("", drawn)


async def _enter(app: Dashboard, pilot: Pilot[int], line: str) -> None:
    """Type a line as somebody would, and wait for what it comes to."""
    app.stage.prompt.put(line)
    await pilot.press("enter")
    await _until(pilot, lambda: all(entry.said is not None for entry in app.stage.results.entries))


async def _until(pilot: Pilot[int], true: Callable[[], bool]) -> None:
    for _ in range(_PATIENCE):
        await pilot.pause(0.1)
        if true():
            return
    raise PbftError("the group did not get so far in time; try again when this machine is less busy")


def main() -> int:
    """Write the picture to the file that is named."""
    with contextlib.ExitStack() as stack:
        # Nothing of the user's own settings is read or changed for a picture.
        own = stack.enter_context(tempfile.TemporaryDirectory())
        os.environ["XDG_STATE_HOME"] = own
        try:
            write(Path(sys.argv[1]))
        except (PbftError, OSError) as error:
            print(f"pbft: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
