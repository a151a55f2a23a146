"""gRPC behind the ports of `ports/calls.py`: contracts, server, client."""
