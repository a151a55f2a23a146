"""The simulated world: the production services on a seeded event loop with virtual time, and what can befall them."""
