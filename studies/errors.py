"""Errors written for the researcher: what is wrong, where, and what to do.

They are shown without a traceback. Each family has its own exit code, so that a failed job can be understood
without reading its log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Where:
    """A place in a source: file, sheet, row (as a person counts it) and column."""

    file: str | None = None
    sheet: str | None = None
    row: int | None = None
    column: str | None = None

    def __str__(self) -> str:
        parts = [self.file, f"sheet '{self.sheet}'" if self.sheet else None]
        parts += [f"row {self.row:,}" if self.row is not None else None]
        parts += [f"column '{self.column}'" if self.column else None]
        return ", ".join(part for part in parts if part)


class CalliperError(Exception):
    """Base of all errors that a user is meant to read. `exit_code` is the command's."""

    exit_code = 1

    def __init__(self, what: str, *, where: Where | str | None = None, remedy: str | None = None):
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        place = str(self.where) if self.where is not None else ""
        text = f"{place}: {self.what}" if place else self.what
        return f"{text} {self.remedy}" if self.remedy else text


class UsageError(CalliperError):
    """The command was called wrongly: an unknown study, a name that is taken."""

    exit_code = 2


class DataError(CalliperError):
    """The input data cannot be used."""

    exit_code = 3


class PlanError(CalliperError):
    """A configuration, mapping or analysis plan is wrong."""

    exit_code = 4


class StorageError(CalliperError):
    """The workspace or its database cannot be read or written."""

    exit_code = 5


class ModelError(CalliperError):
    """A checkpoint or model file cannot be used."""

    exit_code = 6


class Faults(DataError):
    """Several faults at once, so that they can be mended at once."""

    def __init__(self, faults: Sequence[DataError]):
        self.faults = list(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))
