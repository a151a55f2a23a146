"""Execution's own adapters."""
