"""`pbft key`: making a private key, and showing its public half.

Owns: these two commands. Knows nothing of groups beyond where a client's key lies.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pbft.cli.arguments import command
from pbft.cli.output import say, say_json
from pbft.cli.where import GroupOption, JsonOption, find_client, find_group
from pbft.group_file import read_group

if TYPE_CHECKING:
    from pbft.keys import PrivateKey

app = typer.Typer()


@app.callback(invoke_without_command=True)
def begin(context: typer.Context) -> None:
    """Make a private key, or show its public half."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def new(
    file: Annotated[Path, typer.Argument(help="Where to write it. Its folder must be yours alone (mode 0700).")],
    as_json: JsonOption = False,
) -> None:
    """Make a private key in a new file, and show its public half."""
    from pbft.keys import PrivateKey

    key = PrivateKey.generate()
    key.save(file)
    _show(file, key, as_json)


def show(
    key: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A key file, or the name of a client here.")],
    group: GroupOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the public half of a private key, as group.toml wants it."""
    from pbft.keys import PrivateKey

    path = Path(key)
    if "/" not in key and path.suffix != ".key":
        files = read_group(find_group(group))
        path = files.client_key(find_client(files, key))
    _show(path, PrivateKey.load(path), as_json)


def _show(path: Path, key: PrivateKey, as_json: bool) -> None:
    if as_json:
        say_json({"file": str(path), "public_key": key.public_key.hex(), "link_key": key.link_key.hex()})
        return
    say(f'public_key = "{key.public_key.hex()}"')
    say(f'link_key = "{key.link_key.hex()}"')


command(app, "new", new)
command(app, "show", show)
