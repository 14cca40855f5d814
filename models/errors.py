"""Errors of the models, each of which says what is wrong and what to do.

They stand apart from the errors of the registry because `models` imports nothing of the project; the command line
turns them into messages and exit codes.
"""

from __future__ import annotations


class ModelsError(ValueError):
    """Base of every error of this package.

    what: one sentence on what is wrong and where. remedy: one sentence on what to do, if there is something to do.
    """

    def __init__(self, what: str, *, remedy: str | None = None) -> None:
        super().__init__(what if remedy is None else f"{what} {remedy}")
        self.what = what
        self.remedy = remedy


class ModelFileError(ModelsError):
    """A file of a body model or checkpoint that is damaged, of another kind than it should be, or not to be trusted."""


class BodyRequestError(ModelsError):
    """A body, pose or measurement that cannot be had: not finite, impossible, or outside what the model spans."""
