"""What can break, who notices, who heals, and what stands between now and GREEN."""
