"""Settings that all tests share."""

from hypothesis import settings

# The same examples on every run and every machine, and no example judged by the clock. To look for new ones:
# ./scripts/test --hypothesis-profile=search
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2_000, deadline=None)
settings.load_profile("steady")
