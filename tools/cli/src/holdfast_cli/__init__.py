"""The holdfast command."""

import os

# Read when grpc is first imported: the supervisor forks children, and its own gRPC must stay out of that.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
