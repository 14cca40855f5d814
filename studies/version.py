"""The software's version, as reports and results state it."""

from importlib.metadata import version

VERSION = version("calliper")
