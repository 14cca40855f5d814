"""The sentence that every reader is told first."""

from __future__ import annotations

import pytest

from studies.registry.provenance import provenance_notes

END = "and no clinical claim rests on it."


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ((10, 10, 0, 0), "All subjects of this study are synthetic: no real person was measured,"),
        ((10, 2, 5, 0), "2 of 10 subjects of this study are synthetic: these are no real people,"),
        ((10, 0, 20, 20), "All scans of this study are rendered: no one was photographed,"),
        ((10, 0, 20, 1), "1 of 20 scans of this study is rendered: no camera took these,"),
        (
            (10, 10, 20, 20),
            "All subjects of this study are synthetic and all scans of it are rendered: no real person was measured, "
            "no one was photographed,",
        ),
        (
            (1_000, 2, 2_000, 3),
            "2 of 1,000 subjects of this study are synthetic and 3 of 2,000 scans of it are rendered: these are no "
            "real people, no camera took these,",
        ),
    ],
)
def test_it_says_what_is_not_real(counts: tuple[int, int, int, int], sentence: str) -> None:
    assert provenance_notes(*counts) == [f"{sentence} {END}"]


def test_a_study_of_real_people_and_photos_needs_none() -> None:
    assert provenance_notes(10, 0, 20, 0) == []
