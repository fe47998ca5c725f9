"""For all tests: chance is bounded in examples, not in time, so that a busy machine fails none."""

from hypothesis import HealthCheck, settings

from support.chance import EXAMPLES

settings.register_profile(
    "modelfleet",
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("quick", settings.get_profile("modelfleet"), max_examples=EXAMPLES // 5)
"""For `make check`, which runs before each commit; `make test` runs them all."""

settings.load_profile("modelfleet")
