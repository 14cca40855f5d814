"""Runs: checkpoints applied to a study's scans, in workers, resumably, with an outcome for every scan."""
