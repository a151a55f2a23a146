"""Every process examines its own edges: at start, before the open, and when it is asked (IN-8)."""
