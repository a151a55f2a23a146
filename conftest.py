"""What holds for every test."""

from hypothesis import HealthCheck, settings

# How long an example takes says more of the machine than of the code: nothing is judged by it.
settings.register_profile("holdfast", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("holdfast")
