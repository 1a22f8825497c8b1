"""Replay seeds of the swarm from a command line: `python -m pbft.testing --seed 17 --trace`."""

from __future__ import annotations

import argparse
import sys

from pbft.testing import swarm


def main() -> int:
    """Run one seed or several; print each one's plan and end. Return 0, or 1 when one broke."""
    parser = argparse.ArgumentParser(prog="python -m pbft.testing", description="Replay simulated runs by their seeds.")
    parser.add_argument("--seed", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--count", type=int, default=1, help="how many seeds to run, one after the other (1)")
    parser.add_argument("--trace", action="store_true", help="print every line of the trace")
    parser.add_argument("--plant", choices=swarm.PLANTS, help="plant a bug: this quorum one short")
    options = parser.parse_args()
    for seed in range(options.seed, options.seed + options.count):
        try:
            outcome = swarm.run(seed, options.plant, print if options.trace else None)
        except AssertionError as failure:
            print(f"seed {seed} failed.\n{swarm.Plan.draw(seed)}\n{failure}", file=sys.stderr)
            return 1
        print(
            f"seed {seed}: {outcome.sequences} sequences, {outcome.deliveries} deliveries, "
            f"{outcome.virtual_ms} virtual ms, trace {outcome.trace_digest}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
