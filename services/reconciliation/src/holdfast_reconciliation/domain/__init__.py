"""What is compared, and by which rules: plain values and pure functions."""
