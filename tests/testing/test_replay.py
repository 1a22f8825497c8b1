"""One seed, one run (O17): in this process and in others, and by the command that a failure prints."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest

from pbft.testing import OracleFailure, swarm

SEEDS = (2, 11, 19)


def command(words: str, hash_seed: str = "random") -> subprocess.CompletedProcess[str]:
    """Run a command line that starts with `pbft`, with this interpreter and what it can import."""
    name, *rest = shlex.split(words)
    assert name == "pbft"
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    line = [sys.executable, "-m", "pbft.cli", *rest]
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("seed", SEEDS)
def test_o17_a_run_repeats_itself(seed: int) -> None:
    """Within one process, with all its caches warm, a seed's trace has one digest, and another seed's another."""
    first, second, other = swarm.run(seed), swarm.run(seed), swarm.run(seed + 1)
    assert first == second
    assert first.trace_digest != other.trace_digest


def test_o17_holds_under_other_hash_seeds() -> None:
    """Nothing depends on the order of a set or on a hash: processes that hash differently trace the same."""
    expected = [swarm.run(seed).trace_digest for seed in range(3)]
    for hash_seed in ("0", "1", "4242"):
        done = command("pbft swarm --seeds 0:3", hash_seed)
        assert done.returncode == 0, done.stderr
        assert re.findall(r"trace ([0-9a-f]{32})", done.stdout) == expected


def test_o17_holds_in_whatever_process_a_seed_runs() -> None:
    """Two processes share the seeds, each with what it ran before in its caches: the traces are those of this one."""
    expected = [swarm.run(seed).trace_digest for seed in range(6)]
    with swarm.Pool(2) as pool:
        told = [done.outcome.trace_digest for done in pool.reports(range(6)) if done.outcome is not None]
    assert told == expected


def test_o17_holds_for_signatures_of_both_kinds() -> None:
    """Ed25519 is deterministic too, so runs under it repeat like the others."""
    seed = next(seed for seed in range(500) if swarm.Plan.draw(seed).signatures == "ed25519")
    assert swarm.run(seed).trace_digest == swarm.run(seed).trace_digest


def test_a_failure_prints_a_command_that_shows_it_again() -> None:
    """What a failing seed prints for replay fails in the same way, with every line of its trace."""
    with pytest.raises(OracleFailure) as failure:
        swarm.run(17, plant="committed")
    told = str(failure.value)
    replay = told.rpartition("replay: ")[2]
    assert replay == "pbft sim --seed 17 --trace --plant committed"

    done = command(replay)

    assert done.returncode == 1
    assert failure.value.sentence in done.stdout
    assert "seed 17 failed." in done.stdout
    shown = [line.strip() for line in told.splitlines() if line.startswith("    ")]
    traced = [line.strip() for line in done.stdout.partition("seed 17 failed.")[0].splitlines()]
    assert traced[-len(shown) :] == shown


def test_a_group_of_a_given_size_is_replayed_in_that_size() -> None:
    """The command of a swarm that was told the size of its groups tells it too."""
    with pytest.raises(OracleFailure) as failure:
        swarm.run(17, plant="prepared", n=10)
    assert str(failure.value).endswith("replay: pbft sim --seed 17 --replicas 10 --trace --plant prepared")


def test_tracing_changes_nothing() -> None:
    """A run that is watched line by line has the same digest as one that is not."""
    lines: list[str] = []
    assert swarm.run(5, echo=lines.append).trace_digest == swarm.run(5).trace_digest
    assert len(lines) > 100
