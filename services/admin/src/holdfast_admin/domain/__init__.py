"""The pure part: facts in, what a person is shown out."""
