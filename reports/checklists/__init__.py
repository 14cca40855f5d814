"""Checklists of reporting guidelines, filled from a study's results, its plan and its protocol."""
