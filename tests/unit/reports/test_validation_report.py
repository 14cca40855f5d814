"""The validation report says what the results say: change the data, and the sentences change."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.bound import Bound
from reports.document import Callout, Figure, Section, Table, text_of, walk
from reports.sections.participants import _flow_steps
from reports.validation_report import validation_report, write_report
from reports.wording import ABSENT
from studies.analysis import StudyAnalysis, analyze
from studies.errors import StorageError, UsageError
from studies.plan import plan_from_document


def all_text(document) -> str:
    """Everything a reader reads, as one text."""

    def of(part: Any) -> str:
        if isinstance(part, dict):
            return " ".join(of(value) for key, value in part.items() if key not in ("svg", "id", "target", "kind"))
        if isinstance(part, list):
            joint = "" if part and all(isinstance(item, dict) and item.get("kind") in INLINE for item in part) else " "
            return joint.join(of(item) for item in part)
        return str(part)

    return re.sub(r"\s+", " ", of(document.to_dict()))


INLINE = ("text", "value", "strong", "code", "link", "badge", "small")


def with_results(study: StudyAnalysis, results: dict[str, Any]) -> StudyAnalysis:
    return StudyAnalysis(results, study.pairs, study.exclusions)


def tables(document) -> dict[str, Table]:
    return {block.id: block for block in walk(document.sections) if isinstance(block, Table)}


def cells(table: Table, first: str) -> list[str]:
    return next([text_of(cell) for cell in row.cells] for row in table.rows if text_of(row.cells[0]) == first)


# Numbers --------------------------------------------------------------------------------------------------------------


def test_every_bound_number_is_what_the_results_say(study, document):
    values = document.values()
    assert len(values) > 300
    for value in values:
        found: Any = study.results
        for step in value.source.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            found = found[int(step)] if isinstance(found, list) else found[step]
        assert found == value.value, value
        if isinstance(found, (int, float)) and not value.text.startswith("p") and value.text[0] not in "<>":
            shown = float(value.text.replace("−", "-").replace(",", ""))
            places = len(value.text.partition(".")[2])
            assert shown == pytest.approx(found, abs=0.5000001 * 10**-places), value


@pytest.mark.usefixtures("undrawn")
def test_the_headline_follows_the_data(make):
    over = all_text(validation_report(make(bias={"scan": 2.5})))
    under = all_text(validation_report(make(bias={"scan": -2.5})))
    unclear = all_text(validation_report(make(bias={"scan": 0.0})))
    assert "The scan over-reads DXA on average: bias 2." in over
    assert "The scan under-reads DXA on average: bias −2." in under
    assert "The scan shows no clear over- or under-reading of DXA" in unclear
    assert "p < 0.001" in over
    assert "under-reads" not in over
    assert "over-reads DXA" not in under


@pytest.mark.usefixtures("undrawn")
def test_the_comparison_follows_the_data(make):
    better = all_text(validation_report(make(bias={"scan": 0.0, "bia": 0.0}, noise={"scan": 1, "bia": 4})))
    worse = all_text(validation_report(make(bias={"scan": 0.0, "bia": 0.0}, noise={"scan": 4, "bia": 1})))
    same = all_text(validation_report(make(bias={"scan": 0.0, "bia": 0.0}, noise={"scan": 2, "bia": 2}, n=30)))
    assert "The scan has a smaller error than BIA: the error of the scan is 0." in better
    assert "The scan has a larger error than BIA" in worse
    assert "The data do not show a difference in error between the scan and BIA" in same


@pytest.mark.usefixtures("undrawn")
def test_singular_and_plural_follow_the_counts(study, results):
    flow = results["flow"]["subjects"]
    flow.update(total=135, analysed=134, excluded=[{"reason": "no scan", "n": 1}])
    results["subgroups"]["age_group"]["unlabelled"] = 2
    text = all_text(validation_report(with_results(study, results)))
    assert "134 were analysed; 1 was left out (no value by the scan)." in text
    assert "2 pairs are in no group" in text
    assert "1 pair is in no group" in all_text(validation_report(study))


@pytest.mark.usefixtures("undrawn")
def test_verdicts_are_counted(study, results):
    def tally() -> str:
        return all_text(validation_report(with_results(study, results)))

    assert "1 of 2 criteria was met and 1 was not met." in tally()
    for criterion in results["criteria"]:
        criterion["verdict"] = "met"
    assert "All 2 criteria were met." in tally()
    results["criteria"] = results["criteria"][:1]
    results["criteria"][0].update(verdict="not enough data", estimate={"estimate": None, "low": None, "high": None})
    assert "The criterion could not be judged for want of data." in tally()
    results["criteria"][0]["verdict"] = "not met"
    assert "The criterion was not met." in tally()
    results["criteria"] = []
    assert "sets no acceptance criterion" in tally()


@pytest.mark.usefixtures("undrawn")
def test_methods_are_those_of_the_plan(study, results):
    text = all_text(validation_report(study))
    assert "nearest in time, no more than 7 days apart." in text
    assert "Several measurements by one method were averaged." in text
    assert "Age is at least 18 (otherwise: younger than 18 years)." in text
    assert "Body mass is at most 136." in text
    assert "2,000 resamples" in text
    assert "1.20 · BMI + 0.23 · age" in text
    plan = results["plan"]["document"]
    plan.update(pairing={"match": "visit", "replicates": "first"}, eligibility=[], visits=["baseline"])
    text = all_text(validation_report(with_results(study, results)))
    assert "measurements of the same visit were paired" in text
    assert "Only visit baseline was used." in text
    assert "every subject of the study could be analysed" in text


@pytest.mark.usefixtures("undrawn")
def test_units_follow_the_measurand(study, results):
    results["measurand"] = {"name": "waist_cm", "label": "waist girth", "unit": "cm"}
    text = all_text(validation_report(with_results(study, results)))
    assert "percentage point" not in text
    assert "(pp)" not in text
    assert "MAE (cm)" in text


# What every reader must see -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("undrawn")
def test_synthetic_data_are_said_on_every_page(make):
    note = "All people in this study are synthetic."
    document = validation_report(make(notes=(note, "Another note.")))
    assert document.banner == note
    callouts = [block for block in walk(document.sections) if isinstance(block, Callout)]
    assert any(note in map(text_of, callout.content) for callout in callouts)
    assert "Another note." in all_text(document)
    assert validation_report(make(notes=("Another note.",))).banner == ""


@pytest.mark.usefixtures("undrawn")
def test_an_unlocked_plan_is_a_warning(make):
    unlocked = validation_report(make(locked=False))
    assert any(isinstance(b, Callout) and "not locked" in b.title for b in walk(unlocked.sections))
    assert "these verdicts confirm nothing" in all_text(unlocked)
    locked = validation_report(make())
    assert not any(isinstance(b, Callout) and "not locked" in b.title for b in walk(locked.sections))


@pytest.mark.usefixtures("undrawn")
def test_the_flow_adds_up_and_nests(study, results):
    methods = results["flow"]["methods"]
    methods["rfm"] = {
        "total": 140,
        "analysed": 130,
        "excluded": [*results["flow"]["subjects"]["excluded"], {"reason": "no waist_cm", "n": 4}],
    }
    report = Bound(results, study.pairs)
    steps = _flow_steps(report)
    assert steps[0].n == 140
    assert steps[0].n - sum(n for _, n in steps[0].excluded) == steps[1].n == 134
    rfm = next(step for step in steps if step.title.startswith("RFM"))
    assert rfm.excluded == (("no waist girth", 4),)
    assert steps[1].n - 4 == rfm.n
    # Where the counts do not nest, the method's whole account is given instead.
    methods["rfm"]["excluded"][0]["n"] = 1
    methods["rfm"]["analysed"] = 131
    rfm = next(step for step in _flow_steps(report) if step.title.startswith("RFM"))
    assert "of all 140" in rfm.excluded_title
    assert rfm.n + sum(n for _, n in rfm.excluded) == 140


def test_small_groups_are_shown_as_hidden(study, document):
    assert study.results["subgroups"]["age_group"]["by_group"]["≥60"]["suppressed"]
    found = tables(document)
    row = cells(found["table-subgroup-2"], "≥60")
    assert row[1] == "not shown"
    assert not any(re.search(r"\d", cell) for cell in row[1:])
    assert cells(found["table-subgroup-2-methods"], "≥60")[1:] == ["not shown"] * 4
    assert cells(found["table-cohort"], "Other")[1:] == ["not shown"] * 3
    forest = next(b for b in walk(document.sections) if isinstance(b, Figure) and b.id == "figure-subgroup-2")
    assert "fewer than 10 subjects" in forest.panels[0].alt
    assert "fewer than 10 subjects" in forest.panels[0].svg


@pytest.mark.usefixtures("undrawn")
def test_concordance_is_shown_for_women_and_men_where_sex_is_a_subgroup(make):
    with_sex = tables(validation_report(make()))["table-concordance"]
    assert [column.header for column in with_sex.columns][2:5] == ["All", "Women", "Men"]
    without = tables(validation_report(make(subgroups=False)))["table-concordance"]
    assert [column.header for column in without.columns][2:] == ["CCC", "Pearson r"]


# Odd results ----------------------------------------------------------------------------------------------------------


def test_parts_may_be_missing(make, tmp_path):
    study = make(bias={"scan": 0.3}, subgroups=False)
    results = copy.deepcopy(study.results)
    results.update(comparisons=[], criteria=[], cohort={}, notes=[])
    del results["equivalence"]
    analysis = with_results(study, results)
    text = all_text(validation_report(analysis))
    assert "no comparator" in text
    assert "The plan names no subgroup." in text
    assert "does not describe the subjects" in text
    paths = write_report(analysis, tmp_path)
    assert all(path.stat().st_size > 1000 for path in paths.values())


@pytest.mark.usefixtures("undrawn")
def test_a_comparator_without_pairs_is_said_to_have_none(study, results):
    for key in ("tests",):
        del results[key]["rfm"]
    results["comparisons"] = [row for row in results["comparisons"] if "rfm" not in (row["a"], row["b"])]
    for subgroup in results["subgroups"].values():
        for group in subgroup["by_group"].values():
            group["tests"].pop("rfm", None)
    results["flow"]["methods"]["rfm"] = {"total": 140, "analysed": 0, "excluded": [{"reason": "no waist_cm", "n": 140}]}
    pairs = study.pairs[study.pairs["method"] != "rfm"]
    analysis = StudyAnalysis(results, pairs, study.exclusions)
    document = validation_report(analysis)
    text = all_text(document)
    assert "RFM has no pair with DXA." in text
    assert "RFM: no pair with DXA, so it cannot be compared." in text
    assert cells(tables(document)["table-errors"], "RFM")[1:] == ["0", *[ABSENT] * 6]


def test_no_pairs_at_all_is_a_report_too(make, tmp_path):
    study = make(n=1)
    results = copy.deepcopy(study.results)
    results.update(n=0, tests={}, comparisons=[], subgroups={}, criteria=[], equivalence=[], cohort={})
    results["flow"] = {}
    analysis = StudyAnalysis(results, study.pairs.iloc[:0], study.exclusions.iloc[:0])
    text = all_text(validation_report(analysis))
    assert "The scan has no pair with DXA, so nothing can be said of its accuracy." in text
    write_report(analysis, tmp_path)


def test_what_cannot_be_computed_has_its_reason(make, tmp_path):
    study = make(n=2)
    document = validation_report(study)
    table = tables(document)["table-agreement"]
    assert any("fewer than 3 pairs" in text_of(note) for note in table.notes)
    assert "could not be computed" in all_text(document)
    write_report(study, tmp_path)


@pytest.mark.usefixtures("undrawn")
def test_an_estimate_without_an_interval_says_so(study, results):
    results["tests"]["scan"]["mae"].update(low=None, high=None, reason="its interval needs one pair a subject")
    table = tables(validation_report(with_results(study, results)))["table-errors"]
    assert any(text_of(note) == "No interval: its interval needs one pair a subject (scan)." for note in table.notes)


@pytest.mark.usefixtures("undrawn")
def test_one_sex_only(study, results):
    del results["subgroups"]["sex"]["by_group"]["M"]
    found = tables(validation_report(with_results(study, results)))
    assert [text_of(row.cells[0]) for row in found["table-subgroup-1"].rows] == ["Women"]
    assert [column.header for column in found["table-concordance"].columns][2:4] == ["All", "Women"]


@pytest.mark.usefixtures("undrawn")
def test_further_methods_of_agreement_are_shown_when_there(study, results):
    item = {"estimate": 0.9123, "low": 0.9, "high": 0.92}
    line = {"slope": {**item, "estimate": 1.0456}, "intercept": item}
    results["tests"]["scan"].update(
        icc={"ICC(A,1)": item, "ICC(C,1)": item}, deming=line, passing_bablok=line, lately={}
    )
    found = tables(validation_report(with_results(study, results)))
    assert [column.header for column in found["table-icc"].columns] == ["Method", "ICC(A,1)", "ICC(C,1)"]
    assert cells(found["table-icc"], "Scan")[1].startswith("0.912")
    assert [text_of(row.cells[1]) for row in found["table-regression"].rows] == ["Deming", "Passing–Bablok"]
    assert "table-icc" not in tables(validation_report(study))


@pytest.mark.usefixtures("undrawn")
def test_names_that_look_like_markup_are_only_names(study, results):
    results["study"]["title"] = '<script>alert(1)</script> #eval("1") $x$ \\ {{ 7*7 }}'
    results["subgroups"]["sex"]["label"] = "$\\frac{1}{0}$ <b>"
    results["criteria"][0]["name"] = "*bold* _it_ `code` @ref <label>"
    document = validation_report(with_results(study, results))
    assert "<script>alert(1)</script>" in all_text(document)


# Files ----------------------------------------------------------------------------------------------------------------


def test_the_files_are_the_same_bytes_each_time(make, tmp_path):
    study = make(n=40)
    first = write_report(study, tmp_path / "a")
    second = write_report(study, tmp_path / "b")
    assert {path.name for path in first.values()} == {"report.html", "report.pdf", "results.json"}
    for kind in ("html", "pdf", "json"):
        assert first[kind].read_bytes() == second[kind].read_bytes(), kind
    assert json.loads(first["json"].read_text("utf-8")) == study.results


def test_only_the_formats_that_were_asked_for(study, tmp_path):
    assert list(write_report(study, tmp_path, formats=["json"])) == ["json"]
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    with pytest.raises(UsageError, match="'docx' is not a format"):
        write_report(study, tmp_path, formats=["docx"])
    with pytest.raises(UsageError, match="No format"):
        write_report(study, tmp_path, formats=[])


def test_a_fault_while_one_format_is_made_writes_none(study, tmp_path, monkeypatch):
    monkeypatch.setattr("reports.pdf.typst.compile", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("boom")))
    with pytest.raises(RuntimeError):
        write_report(study, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(study, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        write_report(study, tmp_path / "file", formats=["json"])


# The real analysis ----------------------------------------------------------------------------------------------------


def test_what_the_analysis_gives_can_be_reported(tmp_path):
    rng = np.random.default_rng(3)
    n = 60
    ids = [f"S{i}" for i in range(n)]
    subjects = pd.DataFrame(
        {
            "subject_id": ids,
            "site": "a",
            "sex": rng.choice(["F", "M"], n),
            "age": 40.0,
            "ethnicity": None,
            "consent": None,
        }
    )
    visits = pd.DataFrame({"subject_id": ids, "visit": "baseline", "date": pd.NaT, "sequence": 1})
    true = rng.normal(30, 7, n)
    parts = []
    for method, unit, name, values in (
        ("dxa", "%", "body_fat_percent", true),
        ("bia", "%", "body_fat_percent", true + rng.normal(1, 3, n)),
        ("scale", "kg", "weight_kg", rng.normal(75, 10, n)),
        ("stadiometer", "cm", "stature_cm", rng.normal(170, 8, n)),
    ):
        parts.append(
            pd.DataFrame({"subject_id": ids, "value": values, "measurand": name, "method": method, "unit": unit})
        )
    readings = pd.concat(parts, ignore_index=True).assign(
        visit="baseline", measured_at=pd.NaT, device=None, replicate=1, kind="reading", flags=None
    )
    readings["measurement_id"] = range(1, len(readings) + 1)
    plan = plan_from_document(
        {
            "calliper_plan": 1, "title": "Plan", "measurand": "body_fat_percent", "reference": "dxa", "index": "bia",
            "comparators": ["deurenberg", "rfm"], "subgroups": [{"name": "sex", "attribute": "sex"}],
            "criteria": [{"name": "Error", "metric": "mae", "at_most": 4}], "resamples": 200, "margins": {"bias": 3},
        }
    )  # fmt: skip
    analysis = analyze(
        study={"name": "s", "title": "A study"},
        plan=plan,
        plan_status={"version": 1, "hash": "f" * 64, "locked": True},
        subjects=subjects,
        visits=visits,
        measurements=readings,
        data_hash="e" * 64,
    )
    document = validation_report(analysis)
    text = all_text(document)
    assert "BIA over-reads DXA on average" in text
    assert "RFM has no pair with DXA." in text
    assert any(isinstance(part, Section) and part.id == "subgroup-1" for part in walk(document.sections))
    write_report(analysis, tmp_path)
