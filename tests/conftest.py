"""Settings that all tests share."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

# The same examples on every run and every machine, and no example judged by the clock. To look for new ones:
# ./scripts/test --hypothesis-profile=search
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2_000, deadline=None)
settings.load_profile("steady")


@pytest.fixture(autouse=True)
def _signals_as_python_starts_with() -> Iterator[None]:
    """Give every test Python's own answers to requests to stop, and take back what it changed.

    A suite that a script starts in the background inherits an ignored SIGINT, and so would the processes it starts; a
    command that a test runs to its end in here leaves them all ignored, since its own process would end right after.
    """
    _answer_signals()
    yield
    _answer_signals()


def _answer_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
