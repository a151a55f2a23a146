"""Carries faults out: around requests, in the streams, in the market. What may fire is holdfast_exchange.faults."""
