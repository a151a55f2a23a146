"""What the gates decide on: plain frozen values and pure rules."""
