"""What holds for every test."""

from hypothesis import settings

# How long an example takes says more of the machine than of the code: nothing is judged by it.
settings.register_profile("holdfast", deadline=None)
settings.load_profile("holdfast")
