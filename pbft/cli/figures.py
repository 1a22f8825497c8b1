"""Figures of `pbft bench state` as tables.

Owns: which columns there are, and the sentences below them. Computes nothing but units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pbft.bench.catching_up import ALLOWED_SHARE, CatchUp
from pbft.bench.checkpoints import CheckpointCost
from pbft.bench.delays import CheckpointDelay
from pbft.bench.memory import ALLOWED_BYTES, MANY, MemoryCost
from pbft.bench.state import PartReport
from pbft.bench.turns import Turns
from pbft.cli.output import console

Rows = Sequence[Sequence[Any]]


def say_part(report: PartReport) -> None:
    """Print what one measurement came to, at every size."""
    figures = report.figures
    _say_checkpoints([each for each in figures if isinstance(each, CheckpointCost)])
    _say_memory([each for each in figures if isinstance(each, MemoryCost)])
    _say_catching_up([each for each in figures if isinstance(each, CatchUp)])
    _say_delays([each for each in figures if isinstance(each, CheckpointDelay)])
    console().print(f"({report.part}: {report.seconds:.0f} s)", style="dim")


def _say_checkpoints(costs: Sequence[CheckpointCost]) -> None:
    _print(
        "What a checkpoint costs",
        ("accounts", "changed by", "keys", "freeze ms", "digest ms", "nodes", "depth", "keys × (depth + 1)", "held"),
        [
            (
                f"{each.accounts:,}",
                each.how,
                f"{each.changed:,}",
                f"{each.freeze_ms:.3f}",
                f"{each.settle_ms:.1f}",
                f"{each.nodes:,}",
                each.depth,
                f"{each.bound:,}",
                _held(each.held),
            )
            for each in costs
        ],
        "Nodes are those of the tries that were digested: in each trie at most keys × (depth + 1). Each row is the "
        "slowest of a few rounds.",
    )


def _say_memory(costs: Sequence[MemoryCost]) -> None:
    _print(
        "What an account takes in memory",
        ("accounts", "state", "resident", "bytes an account", "held"),
        [
            (
                f"{each.accounts:,}",
                _mib(each.state_bytes),
                _mib(each.resident_bytes),
                f"{each.per_account:.0f}",
                _held(each.held),
            )
            for each in costs
        ],
        "Resident is what a fresh process grew by, tries included, once no garbage was left. "
        f"From {MANY:,} accounts on, {ALLOWED_BYTES} bytes are allowed.",
    )


def _say_catching_up(costs: Sequence[CatchUp]) -> None:
    rows = [
        (
            f"{each.accounts:,}",
            "nothing" if each.from_nothing else f"{each.missed:,} behind",
            f"{each.lies:,} nodes" if each.liars else "none",
            f"{each.written:,}",
            f"{_mib(each.moved_bytes)} of {_mib(each.state_bytes)}",
            f"{each.share:.1%}",
            f"{each.nodes:,}",
            f"{each.virtual_ms:,}",
            f"{each.seconds:.1f}",
            _longest(each.turns),
            f"{each.install_ms:.0f}",
            "–" if each.memory is None else f"{_mib(each.memory.extra_bytes)} + {_mib(each.memory.final_bytes)}",
            _held(each.held),
        )
        for each in costs
    ]
    names = (
        *("accounts", "from", "lies", "written", "moved", "share", "nodes", "virtual ms", "s", "longest ms"),
        *("install ms", "memory", "held"),
    )
    _print(
        "What it takes to catch up",
        names,
        rows,
        "Moved: bytes of all nodes that came in, lies included, and of all keys and values. Written: transfers that "
        "clients made meanwhile. Memory: what its process held at most beyond its final memory, and that. "
        f"From {MANY:,} accounts on, who was behind may move {ALLOWED_SHARE:.0%}, and who had nothing may hold "
        f"{ALLOWED_BYTES} bytes an account beyond its final memory. The group is simulated: virtual time is the "
        "network's, on which replicas take none to work; seconds are all replicas' together on this machine.",
    )


def _say_delays(costs: Sequence[CheckpointDelay]) -> None:
    rows: list[Sequence[Any]] = []
    for each in costs:
        for kind, turns in (("with", each.with_checkpoint), ("without", each.without)):
            first = kind == "with"
            rows.append(
                (
                    f"{each.accounts:,}" if first else "",
                    kind,
                    f"{turns.count:,}",
                    f"{turns.p50_ms:.2f}",
                    f"{turns.p99_ms:.2f}",
                    _longest(turns),
                    f"{each.nodes:,}" if first else "",
                    f"{each.most_nodes:,} of {each.bound:,}" if first else "",
                    f"{each.added_ms:.1f}" if first else "",
                    _held(each.held) if first else "",
                )
            )
    _print(
        "How long a checkpoint keeps the next batch waiting",
        ("accounts", "checkpoint", "turns", "p50 ms", "p99 ms", "longest ms", "nodes", "at a time", "delay ms", "held"),
        rows,
        "Turns of four replicas that do a checkpoint's work, and that do none; in brackets what Python took of the "
        "longest to look for garbage. Between two batches at most `checkpoint_nodes` nodes are digested, unless a "
        "checkpoint is late. The delay is that of the longest turn with a checkpoint, but for garbage, over a usual "
        "one without.",
    )


def _longest(turns: Turns) -> str:
    return f"{turns.longest_ms:.1f} ({turns.longest_collecting_ms:.1f})"


def _held(held: bool | None) -> str:
    return "–" if held is None else "yes" if held else "NO"


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def _print(title: str, names: Sequence[str], rows: Rows, note: str) -> None:
    """Print one table, if it has rows, and what its words mean."""
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    for name in names:
        left = name in ("changed by", "from", "checkpoint", "held", "lies")
        table.add_column(name, justify="left" if left else "right")
    for row in rows:
        table.add_row(*(Text(str(cell), "red" if cell == "NO" else "") for cell in row))
    out = console()
    out.print()
    out.print(title, style="bold")
    out.print(table)
    out.print(note, style="dim")
