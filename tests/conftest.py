"""For all tests: chance is bounded in examples, not in time, so that a busy machine fails none."""

from hypothesis import HealthCheck, settings

settings.register_profile("modelfleet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("modelfleet")
