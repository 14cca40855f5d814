"""Near misses: what a mistyped word was probably meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggestion(word: object, known: Iterable[object]) -> str:
    """ "Did you mean 'x'?" for a near miss, otherwise the list of what is known."""
    names = sorted(str(name) for name in known)
    near = difflib.get_close_matches(str(word).lower(), [name.lower() for name in names], n=1, cutoff=0.6)
    if near:
        match = next(name for name in names if name.lower() == near[0])
        return f"Did you mean '{match}'?"
    return f"Known: {', '.join(names)}." if names else ""
