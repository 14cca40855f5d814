"""The pages of a whole PDF report: nothing runs out of the page or into its neighbour, nothing is too small to read."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from whole_study import CARD, answered, whole

from reports.analysis_reports import checklists_document, fairness_document
from reports.document import Section, walk
from reports.pdf import render_pdf
from reports.validation_report import validation_report

LEFT, RIGHT, TOP, BOTTOM = 48.0, 547.5, 20.0, 822.0
"""The page's inner edges in points, as the template has them."""
LEAST = 6.0
"""No text is smaller, in points of line height."""
WORD = re.compile(r'<word xMin="([\d.-]+)" yMin="([\d.-]+)" xMax="([\d.-]+)" yMax="([\d.-]+)">(.*?)</word>')

PLAN = {
    "comparators": ["scale", "deurenberg", "rfm"],
    "decision_levels": [25, {"name": "obesity", "value": 35, "group": "sex=F"}, 80],
    "cut_offs": [
        {"name": "High body fat", "value": 28},
        {"name": "High body fat in men of this study", "value": 30, "index_value": 29, "group": "sex=M"},
    ],
    "subgroups": [
        {"name": "sex", "label": "Sex", "attribute": "sex"},
        {"name": "site", "label": "Site", "attribute": "site"},
        {"name": "ethnicity", "label": "Ethnicity", "attribute": "ethnicity"},
        {"name": "age", "label": "Age (years)", "attribute": "age", "cut_points": [18, 30, 40, 50, 60]},
    ],
}


def crowded(held):
    """Long names and many groups."""
    groups = ["Native Hawaiian or other Pacific Islander", "Non-Hispanic Black", "Mexican American", "Other"]
    people = held["subjects"]
    return {**held, "subjects": people.assign(ethnicity=[groups[i % 4] for i in range(len(people))])}


@pytest.fixture(scope="module")
def documents():
    run = {"number": 1, "newest": 1, "checkpoints": {"estimator": "small@2"}, "cards": [CARD]}
    analysis = whole(size=160, plan=PLAN, edit=crowded, run=run, protocol=answered())
    return {make.__name__: make(analysis) for make in (validation_report, fairness_document, checklists_document)}


@pytest.fixture(scope="module", params=["validation_report", "fairness_document", "checklists_document"])
def pages(request, documents, tmp_path_factory):
    """The document, and of each page the boxes of its words (n, 4) and the words."""
    if shutil.which("pdftotext") is None:
        pytest.skip("needs pdftotext (poppler) to read the places of words")
    path = tmp_path_factory.mktemp("pages") / "report.pdf"
    path.write_bytes(render_pdf(documents[request.param]))
    done = subprocess.run(
        ["pdftotext", "-bbox-layout", str(path), "-"], capture_output=True, text=True, timeout=120, check=True
    )
    found = [WORD.findall(page) for page in done.stdout.split("<page ")[1:]]
    boxes = [(np.array([[float(side) for side in word[:4]] for word in page]), [w[4] for w in page]) for page in found]
    return documents[request.param], boxes


def test_nothing_runs_out_of_the_page(pages) -> None:
    for number, (boxes, words) in enumerate(pages[1], start=1):
        x0, y0, x1, y1 = boxes.T
        out = (x0 < LEFT - 0.5) | (x1 > RIGHT + 0.5) | (y0 < TOP) | (y1 > BOTTOM)
        assert not out.any(), (number, [words[place] for place in np.flatnonzero(out)])


def test_no_word_lies_on_another(pages) -> None:
    for number, (boxes, words) in enumerate(pages[1], start=1):
        wide = np.minimum(boxes[:, None, 2], boxes[None, :, 2]) - np.maximum(boxes[:, None, 0], boxes[None, :, 0])
        high = np.minimum(boxes[:, None, 3], boxes[None, :, 3]) - np.maximum(boxes[:, None, 1], boxes[None, :, 1])
        area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        share = np.clip(wide, 0, None) * np.clip(high, 0, None) / np.minimum(area[:, None], area[None, :])
        pairs = np.argwhere(np.triu(share, 1) > 0.2)
        assert not len(pairs), (number, [(words[a], words[b]) for a, b in pairs])


def test_everything_can_be_read(pages) -> None:
    for number, (boxes, words) in enumerate(pages[1], start=1):
        # A turned word, as on the axis of a figure, is as high as it is long.
        small = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]) < LEAST
        lone = np.array([len(word) > 1 for word in words])
        assert not (small & lone).any(), (number, [words[place] for place in np.flatnonzero(small & lone)])


def test_no_heading_stands_alone_at_the_foot_of_a_page(pages) -> None:
    document, boxes = pages
    titles = {part.title for part in walk(document.sections) if isinstance(part, Section)}
    for number, (places, words) in enumerate(boxes, start=1):
        body = places[:, 3] < 785  # without the footer
        lowest = places[body, 3].max()
        line = [words[i] for i in np.flatnonzero(body & (places[:, 3] > lowest - 4)) if places[i, 0] < RIGHT]
        assert " ".join(line) not in titles, (number, line)


def test_a_long_table_of_contents_has_columns_of_one_height(documents, pages) -> None:
    document, boxes = pages
    if document is not documents["validation_report"]:
        return
    places, words = boxes[0]
    start = places[words.index("Contents"), 3]
    inside = (places[:, 1] > start) & (places[:, 3] < 785)
    left, right = (places[inside & side, 3].max() for side in (places[:, 2] < 297, places[:, 0] > 297))
    assert abs(left - right) < 60
