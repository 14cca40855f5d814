"""The canonical tables: what a mapping must produce, whatever the source looked like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["code", "text", "number", "whole", "date", "moment", "choice"]


@dataclass(frozen=True)
class Field:
    """One column of a canonical table. `choices` are the only values that a `choice` may have."""

    name: str
    kind: Kind
    description: str
    required: bool = False
    choices: tuple[str, ...] = ()


SUBJECT_FIELDS = (
    Field("subject_id", "code", "the study's identifier of the person: a pseudonym, never a name", required=True),
    Field("site", "code", "the site where the person was enrolled"),
    Field("sex", "choice", "F or M", choices=("F", "M")),
    Field("age", "number", "age in years at enrolment"),
    Field("birth_date", "date", "date of birth, where the study may hold it"),
    Field("enrolled_on", "date", "date of enrolment"),
    Field("ethnicity", "text", "ethnicity in the study's own words"),
    Field("consent", "choice", "what may be kept of a scan", choices=("photos", "silhouettes", "none")),
)
READING_FIELDS = (
    Field("subject_id", "code", "the person", required=True),
    Field("visit", "code", "the visit's label; without it the date of measurement, and without that `baseline`"),
    Field("measured_at", "moment", "when it was measured, in local time"),
    Field("measurand", "code", "what was measured: a name from the list of measurands", required=True),
    Field("method", "code", "how: dxa, bia, scale, anthropometry ...", required=True),
    Field("device", "code", "on which device"),
    Field("value", "number", "the value", required=True),
    Field("unit", "text", "the value's unit; without it the measurand's own"),
    Field("replicate", "whole", "number of the repeat within the visit, from 1"),
)
SCAN_FIELDS = (
    Field("subject_id", "code", "the person", required=True),
    Field("scan_id", "code", "the scan's identifier within the visit", required=True),
    Field("visit", "code", "the visit's label; without it the date of capture, and without that `baseline`"),
    Field("captured_at", "moment", "when it was captured, in local time"),
    Field("device", "code", "on which phone or camera"),
    Field("front", "text", "path of the front photo, relative to the table's folder"),
    Field("back", "text", "path of the back photo"),
    Field("left", "text", "path of the photo of the left side"),
    Field("right", "text", "path of the photo of the right side"),
    Field(
        "rendered",
        "choice",
        "yes where the photos were rendered from a body model, and no one was photographed",
        choices=("yes", "no"),
    ),
)
TABLES: dict[str, tuple[Field, ...]] = {
    "subjects": SUBJECT_FIELDS,
    "scans": SCAN_FIELDS,
    "readings": READING_FIELDS,
}
# What makes a row the same row in a later ingest.
KEYS: dict[str, tuple[str, ...]] = {
    "subjects": ("subject_id",),
    "scans": ("subject_id", "visit", "scan_id"),
    "readings": ("subject_id", "visit", "measurand", "method", "device", "replicate"),
}
DEFAULT_VISIT = "baseline"
EXPORT_PREFIX = "calliper_"  # columns that Calliper adds to the quarantine files; never taken as data
ROW_COLUMN, REASON_COLUMN, TEXT_COLUMN = (f"{EXPORT_PREFIX}{name}" for name in ("row", "reasons", "text"))

_READ_KINDS = ("number", "whole", "date", "moment", "choice")
_RECODED = ("ethnicity", "measurand", "method", "site", "visit")


def can_be_bad(item: Field) -> bool:
    """Whether a source can hold something that is not readable as this field (an unlisted code included)."""
    return item.kind in _READ_KINDS or item.name in _RECODED
