"""Ingest: source files and a mapping become canonical tables, are checked, and go into the registry whole or not."""
