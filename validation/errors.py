"""Errors of the statistics, each of which names its reason in words.

Functions of one question (`bland_altman`, `deming`, ...) raise them; functions that answer many questions at once
(`agree`, `SubgroupFrame`) catch them and put the reason beside an empty estimate, so that one small group never stops
the whole analysis.
"""

from __future__ import annotations


class ValidationError(ValueError):
    """Base of every error of this package. The message is a sentence that can stand beside an empty number."""


class NotEnoughData(ValidationError):
    """Too few pairs, subjects, replicates or events for the quantity asked for."""


class NotFinite(ValidationError):
    """A value is missing or infinite where a number is needed."""


class OutOfRange(ValidationError):
    """Values so large or so small that their squares leave the range of double precision."""


class Degenerate(ValidationError):
    """The data hold no information on the quantity: a constant column, differences that are all equal."""


class ShapeMismatch(ValidationError):
    """Columns that belong together differ in length or shape."""


class UnknownOption(ValidationError):
    """An option has a value that the function does not know."""


class NotConverged(ValidationError):
    """An iterative method did not settle."""
