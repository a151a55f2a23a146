"""What holds for every test."""

import os

from hypothesis import HealthCheck, settings

# Read when grpc is first imported, whichever test does that: the supervisor's tests fork beside the gRPC of all others,
# which would write into the error files of their children.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# How long an example takes says more of the machine than of the code: nothing is judged by it.
settings.register_profile("holdfast", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("holdfast")
