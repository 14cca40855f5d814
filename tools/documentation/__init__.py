"""What the documentation is built and checked with; not part of the installed packages."""
