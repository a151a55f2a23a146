"""Traces, metrics and logs, and the redaction that all of them pass through."""
