"""How often hypothesis tries a law: the same examples on every run in CI, new ones at every desk."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "sonogrid",
    max_examples=50,
    deadline=None,  # a slow machine is not a failure
    derandomize="CI" in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("sonogrid")
