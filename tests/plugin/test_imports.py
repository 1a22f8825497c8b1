"""What the plugin costs a run of pytest that has nothing to do with it: three small modules."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

LOADED = """
import sys

def test_nothing_else_is_loaded():
    ours = sorted(name for name in sys.modules if name.partition(".")[0] in ("pbft", "pbft_apps"))
    assert ours == ["pbft", "pbft.plugin", "pbft.plugin.hooks"]
"""


@pytest.mark.parametrize("options", [(), ("-p", "xdist", "-n", "1"), ("--pbft-real",)], ids=" ".join)
def test_a_run_that_does_not_use_it_loads_three_modules(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    """Seen from a test in a process of its own, a worker of pytest-xdist among them."""
    pytester.makepyfile(LOADED)
    ran = pytester.runpytest_subprocess(*options)
    ran.assert_outcomes(passed=1)


def test_asking_for_options_and_marks_loads_no_more(pytester: pytest.Pytester) -> None:
    """A mark with seeds is the first thing that loads anything, and only where the fixture is wanted, too."""
    pytester.makepyfile(LOADED.replace("import sys", "import sys, pytest\npytestmark = pytest.mark.pbft(seeds=3)", 1))
    pytester.runpytest_subprocess("--strict-markers").assert_outcomes(passed=1)


def test_failures_are_reported_by_workers_too(pytester: pytest.Pytester) -> None:
    """Under pytest-xdist the section comes through, and the command with it."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.pbft(app="counter", seeds=2, seed=4)
        def test_it(pbft_group):
            assert pbft_group.client("alice").call("add", 1) == 2
        """
    )
    ran = pytester.runpytest_subprocess("-n", "1")
    ran.assert_outcomes(failed=2)
    for seed in (4, 5):
        ran.stdout.fnmatch_lines([f"see it again: pytest *::test_it --pbft-seed={seed}"])
