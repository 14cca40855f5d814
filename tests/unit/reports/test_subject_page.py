"""The page of a person's data: everything is on it, nothing of it is markup, and no number is lost in between."""

from __future__ import annotations

import datetime as dt

from reports.subject_page import render_subject, subject_document
from studies.privacy.subject_data import PARTS

MORNING = dt.datetime(2024, 3, 1, 9, 30)
DATA = {
    "calliper_subject": 1, "version": "0.1.0", "study": {"name": "trial", "title": "The trial"}, "subject_id": "S1",
    "identifier_at_the_site": "MRN-0815", "retention_days": {"photos": 365},
    **{name: [] for name in PARTS},
    "subject": [{"code": "S1", "sex": "F", "age": 41.5, "attributes": {"habit": "<script>walks</script>"}}],
    "readings": [
        {"visit": "1", "measured_at": MORNING, "measurand": "waist_cm", "value": -81.25, "flags": None},
        {"visit": "2", "measured_at": dt.datetime(2024, 4, 1), "measurand": "weight_kg", "value": 70.0, "flags": None},
    ],
    "photos": [{"view": "front", "sha256": "a" * 64, "file": "photos/a.jpg"}],
}  # fmt: skip


def test_everything_is_on_the_page() -> None:
    page = render_subject(DATA).decode()
    for told in (
        "MRN-0815",
        "The trial",
        "41.5",
        "−81.25",
        "2024-03-01 09:30",
        "2024-04-01",
        "photos/a.jpg",
        "365 days",
    ):
        assert told in page, told
    assert "Waist" in page or "waist" in page
    assert "waist_cm" not in page
    assert page.count("Nothing of this kind is held.") == len(PARTS) - 3


def test_what_people_wrote_is_no_markup() -> None:
    page = render_subject(DATA).decode()
    assert "<script>walks" not in page
    assert "&lt;script&gt;walks" in page


def test_columns_without_a_value_are_left_out() -> None:
    (table,) = next(section for section in subject_document(DATA).sections if section.id == "readings").blocks
    assert [column.header for column in table.columns] == ["Visit", "Measured at", "Measurand", "Value"]
    assert [column.align for column in table.columns][-1] == "right"


def test_a_study_without_periods_says_so() -> None:
    assert "has set no periods" in render_subject({**DATA, "retention_days": {}}).decode()
