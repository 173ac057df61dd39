"""What all tests share: hypothesis draws the same cases every time, and a busy machine fails none of them."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "wardround", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("wardround")
