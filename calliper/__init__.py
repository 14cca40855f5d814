"""Calliper's command line: it composes the packages below and holds no logic of its own."""
