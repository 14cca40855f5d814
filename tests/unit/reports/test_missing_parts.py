"""Where a part of a study is missing, its report is still correct, and says so: as a document, as HTML and as PDF."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from whole_study import whole

from reports.analysis_reports import fairness_document, precision_document
from reports.document import text_of, walk
from reports.html import render_html
from reports.pdf import render_pdf
from reports.validation_report import validation_report
from studies.analysis import StudyAnalysis

Held = dict[str, Any]


def women(held: Held) -> Held:
    return {**held, "subjects": held["subjects"].assign(sex="F")}


def unknown_sex(held: Held) -> Held:
    return {**held, "subjects": held["subjects"].assign(sex=None)}


def readings_alone(held: Held) -> Held:
    rows = held["measurements"]
    return {**held, "measurements": rows[rows["kind"] == "reading"], "scans": held["scans"].iloc[:0]}


def indeterminate(held: Held) -> Held:
    seen = held["scans"].assign(status="indeterminate", reason="nobody to be seen", low=float("nan"), high=float("nan"))
    return {**readings_alone(held), "scans": seen}


def few(held: Held) -> Held:
    names = held["subjects"]["subject_id"].iloc[4:10]
    return {key: frame[frame["subject_id"].isin(names)] for key, frame in held.items()}


CASES: dict[str, tuple[Callable[[], StudyAnalysis], tuple[str, ...]]] = {
    "no comparator": (
        lambda: whole(plan={"comparators": [], "criteria": []}),
        (
            "The plan names no comparator",
            "There is no comparator, so there is nothing to compare.",
            "There was no comparator.",
        ),
    ),
    "no subgroup": (
        lambda: whole(plan={"subgroups": []}),
        ("The plan names no subgroup.", "nothing can be said of whether everyone is measured equally well"),
    ),
    "one sex": (
        lambda: whole(edit=women),
        ("Only women were analysed.", "Sex: not tested, since fewer than two groups are large enough."),
    ),
    "sex unknown": (
        lambda: whole(edit=unknown_sex),
        ("The sex of those analysed is not recorded.", "No analysed subject has a recorded sex."),
    ),
    "no runs": (
        lambda: whole(edit=readings_alone, run={}, plan={"index": "scale", "comparators": [], "criteria": []}),
        ("The study has no scan.", "No run of a model is in this report", "the avatar could not be compared"),
    ),
    "every scan indeterminate": (
        lambda: whole(edit=indeterminate),
        (
            "has no pair with DXA, so nothing can be said of its accuracy.",
            "Not one scan gave a value, so that nothing can be said of the accuracy of the scan.",
            "0 were analysed; 60 were left out, most often for this reason: no value by the scan (58).",
            "0 gave a value, 120 were indeterminate",
            "No method has a pair with DXA",
            "Nobody was analysed.",
            "Nobody could be analysed.",
            "No sensitivity analysis could be made: there is no pair.",
            "Calibration could not be judged: there is no pair.",
            "At 25%: the bias of the scan could not be computed.",
            "High body fat, at 28%: nobody has a pair of the scan and DXA.",
            "Nobody was analysed of whom two attributes are recorded.",
        ),
    ),
    "few subjects": (
        lambda: whole(edit=few),
        ("Too few subjects", "No sensitivity analysis could be made: too few subjects."),
    ),
    "no decision level": (
        lambda: whole(plan={"decision_levels": None, "cut_offs": None}),
        ("The plan names no value of body fat percentage at which something is decided",),
    ),
    "no criteria": (lambda: whole(plan={"criteria": []}), ("The plan sets no acceptance criterion",)),
}  # fmt: skip


@pytest.fixture(scope="module", params=list(CASES))
def case(request: pytest.FixtureRequest) -> tuple[StudyAnalysis, tuple[str, ...]]:
    make, sentences = CASES[request.param]
    return make(), sentences


def plain(part: Any) -> str:
    """All text of the plain form of a document."""
    if isinstance(part, dict):
        return "".join(
            plain(value) for key, value in part.items() if key not in ("svg", "kind", "id", "target", "source", "value")
        )
    if isinstance(part, list):
        return "".join(map(plain, part))
    return part if isinstance(part, str) else ""


def test_the_report_says_what_is_missing(case: tuple[StudyAnalysis, tuple[str, ...]]) -> None:
    analysis, sentences = case
    document = validation_report(analysis)
    text = plain(document.to_dict()).replace("\u00a0", " ")
    for sentence in sentences:
        assert sentence in text
    assert "None" not in text.replace("None of", "").replace("None:", "")
    assert "nan" not in text.split()
    for block in walk(document.sections):
        if hasattr(block, "content") and not isinstance(block.content, tuple | str):
            assert text_of(block.content).strip()
    for value in document.values():
        assert value.text.strip()


def test_every_writer_can_write_it(case: tuple[StudyAnalysis, tuple[str, ...]]) -> None:
    analysis, _ = case
    assert render_pdf(validation_report(analysis)).startswith(b"%PDF-1.7")
    for make in (validation_report, fairness_document, precision_document):
        page = render_html(make(analysis))
        assert page.rstrip().endswith("</html>")
        assert "<script" not in page
