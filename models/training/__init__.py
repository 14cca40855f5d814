"""Training: rendered people and scans to learn from, and the loops that learn. `python -m models.training --help`."""
