"""The order of visits by their labels."""

import pytest

from studies.visits import visit_sequence


@pytest.mark.parametrize(
    ("label", "place"),
    [
        ("screening", -1), ("Baseline", 0), (" enrolment ", 0), ("baseline_arm_1", 0), ("week_12_arm_2", 84),
        ("day 3", 3), ("D30", 30), ("30 days", 30), ("week-12", 84), ("Week 12", 84), ("12 weeks", 84), ("wk4", 28),
        ("month_6", 180), ("6 months", 180), ("M6", 180), ("year 2", 730), ("2y", 730),
        ("visit 2", 2), ("Visit-2", 2), ("V2", 2), ("exam 1", 1), ("3", 3), ("day 0", 0),
        ("unscheduled", None), ("visit two", None), ("2024-01-15", None), ("20240115", None),
        ("visit 20240115093000", None),
        ("", None), ("block 7", None),
    ],
)  # fmt: skip
def test_what_a_label_says(label: str, place: int | None) -> None:
    assert visit_sequence(label) == place


def test_a_stated_order_alone_counts() -> None:
    order = ["Run-in", "Start", "End"]
    assert [visit_sequence(label, order) for label in ("run-in", "END ", "baseline", "week 4")] == [0, 2, None, None]
