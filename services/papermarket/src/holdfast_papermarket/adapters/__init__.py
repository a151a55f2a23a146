"""Disk and sockets."""
