"""How every test runs: generated cases have no deadline (cores are shared); on CI they are always the same."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "default",
    deadline=None,
    derandomize=os.environ.get("CI") == "true",
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("soak", settings.get_profile("default"), derandomize=False, max_examples=1000)
settings.load_profile("default")
