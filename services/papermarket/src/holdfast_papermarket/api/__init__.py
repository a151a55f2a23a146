"""Alpaca's HTTP and WebSocket interface around the venue."""
