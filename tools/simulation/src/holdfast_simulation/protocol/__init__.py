"""A model of the order protocol, small enough to look at every state it can reach."""
