"""What services know of the world. The shell behind these ports is chosen in a service's `__main__` alone."""
