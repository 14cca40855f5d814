"""How long a report takes beyond its analysis, and how large its files are.

    python benchmarks/report_writing.py [--subjects 134 100000] [--repeats 3]

A study of so many subjects with one pair each: an index test, three comparators and four subgroups. It is analysed
once; then its validation report is made as HTML and as PDF, from results and pairs in memory. The targets are 5 s for
134 subjects, and 30 s and 5 MB a file for 100,000 pairs.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
from measuring import print_machine, print_rows, spread

from reports.html import render_html
from reports.pdf import render_pdf
from reports.validation_report import validation_report
from studies.analysis import StudyAnalysis, analyze
from studies.plan import plan_from_document, plan_hash

METHODS = {"scan": (0.2, 2.5), "scale": (-2, 5), "bia": (1, 3), "caliper": (0.5, 4)}
PLAN = {
    "calliper_plan": 1, "title": "A study of a size", "measurand": "body_fat_percent", "reference": "dxa",
    "index": "scan", "comparators": ["scale", "bia", "caliper"], "resamples": 2000,
    "subgroups": [
        {"name": "sex", "attribute": "sex"},
        {"name": "age_band", "attribute": "age", "cut_points": [40, 60]},
        {"name": "site", "attribute": "site"},
        {"name": "ethnicity", "attribute": "ethnicity"},
    ],
    "criteria": [{"name": "Error", "metric": "mae", "at_most": 3.5, "judged_by": "interval"}],
}  # fmt: skip


def analysis(subjects: int) -> tuple[StudyAnalysis, float]:
    """The analysis of a study of this size, and the seconds that it took."""
    rng = np.random.default_rng(1)
    names = [f"S{i:06d}" for i in range(subjects)]
    true = rng.normal(30, 8, subjects)
    people = pd.DataFrame(
        {
            "subject_id": names, "sex": rng.choice(["F", "M"], subjects), "age": rng.uniform(18, 80, subjects),
            "site": rng.choice(["north", "south"], subjects), "ethnicity": rng.choice(["a", "b", "c"], subjects),
        }
    )  # fmt: skip
    visits = pd.DataFrame({"subject_id": names, "visit": "v1", "date": pd.Timestamp("2024-05-01"), "sequence": 1})
    values = {"dxa": true} | {name: true + rng.normal(*error, subjects) for name, error in METHODS.items()}
    rows = pd.concat(
        [
            pd.DataFrame(
                {"subject_id": names, "visit": "v1", "measurand": "body_fat_percent", "method": how, "value": what}
            )
            for how, what in values.items()
        ],
        ignore_index=True,
    )
    rows.insert(0, "measurement_id", np.arange(len(rows)) + 1)
    plan = plan_from_document(PLAN)
    began = time.perf_counter()
    made = analyze(
        study={"name": "size", "title": f"{subjects:,} subjects"}, plan=plan,
        plan_status={"version": 1, "hash": plan_hash(plan), "locked": True}, subjects=people, visits=visits,
        measurements=rows, data_hash="0" * 64,
    )  # fmt: skip
    return made, time.perf_counter() - began


def measure(made: StudyAnalysis, repeats: int) -> dict[str, str]:
    """Seconds for the document and both files, and the sizes of these."""
    seconds: dict[str, list[float]] = {"document": [], "HTML": [], "PDF": [], "all": [], "all, processor": []}
    page = sheet = b""
    for _ in range(repeats):
        marks, used = [time.perf_counter()], time.process_time()
        document = validation_report(made)
        marks.append(time.perf_counter())
        page = render_html(document).encode()
        marks.append(time.perf_counter())
        sheet = render_pdf(document)
        marks.append(time.perf_counter())
        for name, took in zip(("document", "HTML", "PDF"), np.diff(marks), strict=True):
            seconds[name].append(float(took))
        seconds["all"].append(marks[-1] - marks[0])
        seconds["all, processor"].append(time.process_time() - used)
    sizes = {"HTML, MB": f"{len(page) / 1e6:.2f}", "PDF, MB": f"{len(sheet) / 1e6:.2f}"}
    return {**{f"{name}, s": spread(found, 1) for name, found in seconds.items()}, **sizes}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=int, nargs="+", default=[134, 100_000])
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    render_pdf(validation_report(analysis(100)[0]))  # loads fonts and libraries
    rows: list[list[str]] = []
    heading: list[str] = []
    for subjects in given.subjects:
        made, took = analysis(subjects)
        found = {"subjects": f"{subjects:,}", **measure(made, given.repeats), "analysis, s": f"{took:.1f}"}
        heading, rows = list(found), [*rows, list(found.values())]
    print_rows(heading, rows)
    print_machine(given.repeats)


if __name__ == "__main__":
    main()
