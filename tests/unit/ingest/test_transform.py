"""Source rows of any shape become canonical rows."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from studies.errors import DataError
from studies.ingest import normalise
from studies.ingest.mapping import parse_mapping
from studies.ingest.transform import Transformer, bind
from studies.readers import open_sources


def canonical(folder: Path, mapping: str, **files: str) -> dict[str, pd.DataFrame]:
    """The canonical tables that a mapping makes of CSV files given as text."""
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    rules = parse_mapping("calliper_mapping: 1\nname: test\n" + mapping, "test")
    bound = bind(rules, open_sources([folder / f"{name}.csv" for name in files]))
    if bound.faults:
        raise bound.faults[0]
    made: dict[str, list[pd.DataFrame]] = {}
    for rule in bound.rules:
        transformer = Transformer(rule, rules.options)
        transformer.observe_dates()
        made.setdefault(rule.table, []).extend(transformer.chunks())
        made.setdefault("not selected", []).append(pd.DataFrame(rule.not_selected.items()))
    return {name: pd.concat(parts, ignore_index=True) for name, parts in made.items()}


WIDE = """
sources: {v: {files: [v]}}
readings:
  - from: v
    columns: {subject_id: ID, visit: {constant: exam}, method: {constant: anthropometry}, measured_at: D}
    values:
      - {column: W, measurand: weight_kg, unit: lb}
      - {column: H, measurand: stature_cm}
      - {column: F, measurand: body_fat_percent, method: {constant: dxa}, replicate: 2}
"""


def test_wide_columns_become_one_row_for_each_filled_cell(tmp_path) -> None:
    rows = canonical(tmp_path, WIDE, v="ID,D,W,H,F\na,2024-03-01,150,170,\nb,2024-03-02,,180,25.5\n")["readings"]
    assert rows[["subject_id", "measurand", "method", "value", "replicate", "row", "column"]].values.tolist() == [
        ["a", "weight_kg", "anthropometry", 150.0, 1, 2, "W"],
        ["a", "stature_cm", "anthropometry", 170.0, 1, 2, "H"],
        ["b", "stature_cm", "anthropometry", 180.0, 1, 3, "H"],
        ["b", "body_fat_percent", "dxa", 25.5, 2, 3, "F"],
    ]


def test_values_are_brought_to_the_measurands_unit_and_the_reported_one_is_kept(tmp_path) -> None:
    rows = normalise.readings(canonical(tmp_path, WIDE, v="ID,D,W,H,F\na,2024-03-01,150,170,\n")["readings"])
    weight, stature = rows.to_dict("records")
    assert weight["value"] == pytest.approx(150 * 0.45359237, rel=1e-11)
    assert (weight["unit"], weight["reported_value"], weight["reported_unit"]) == ("kg", 150.0, "lb")
    assert (stature["value"], stature["unit"]) == (170.0, "cm")
    assert pd.isna(stature["reported_value"])


def test_what_cannot_be_read_is_marked_and_not_guessed(tmp_path) -> None:
    rows = canonical(tmp_path, WIDE, v="ID,D,W,H,F\na,2024-03-01,heavy,170,\nb,yesterday,80,inf,\n")["readings"]
    assert rows["bad_value"].tolist() == [True, False, False, True] or rows.loc[
        rows["bad_value"], "column"
    ].tolist() == ["W", "H"]
    assert rows.loc[rows["bad_measured_at"], "subject_id"].unique().tolist() == ["b"]


SUBJECTS = """
sources: {p: {files: [p]}, more: {files: [more]}}
subjects:
  - from: p
    where: [{column: state, not_in: [screen failure], reason: screen failure}, {column: age, at_least: 18}]
    columns:
      subject_id: ID
      age: age
      sex: {column: sex, recode: {"1": M, "2": F, "9": null}}
      ethnicity: {first_of: [race, ethnic], default: not stated}
    attributes: [{column: w1, name: weight}, smoker]
"""
PEOPLE = "ID,state,age,sex,race,ethnic,w1,smoker\n"


def test_filters_recodes_defaults_and_attributes(tmp_path) -> None:
    text = (
        PEOPLE
        + "a,in,30,1,,x,1.50,no\nb,Screen Failure,40,2,y,,2,no\nc,in,17,2,y,,2,no\nd,in,18,9,,,007,\ne,in,50,3,z,,,\n"
    )
    made = canonical(tmp_path, SUBJECTS, p=text)
    rows = made["subjects"].set_index("subject_id")
    assert rows.index.tolist() == ["a", "d", "e"]
    assert rows["sex"].fillna("-").tolist() == ["M", "-", "-"]
    assert rows["bad_sex"].tolist() == [False, False, True]
    assert rows["ethnicity"].tolist() == ["x", "not stated", "z"]
    assert [json.loads(text) for text in rows["attributes"]] == [
        {"smoker": "no", "weight": "1.50"},
        {"weight": "007"},
        {},
    ]
    assert made["not selected"].values.tolist() == [["screen failure", 1], ["age is below 18", 1]]


JOINED = """
sources: {v: {files: [v]}, p: {files: [p]}}
readings:
  - from: v
    join: [{source: p, by: {patient: ID}, columns: [scanner], how: inner}]
    columns: {subject_id: patient, method: {constant: dxa}, device: scanner}
    values: [{column: F, measurand: body_fat_percent}]
"""


def test_a_join_adds_columns_by_key(tmp_path) -> None:
    made = canonical(tmp_path, JOINED, v="patient,F\n1,20\n2,21\n3,22\n", p="ID,scanner\n2,B\n1,A\n")
    assert made["readings"][["subject_id", "device"]].values.tolist() == [["1", "A"], ["2", "B"]]
    assert made["not selected"].values.tolist() == [["not in p", 1]]


def test_a_join_by_a_key_that_repeats_is_refused(tmp_path) -> None:
    with pytest.raises(DataError, match=r"p\.csv, row 3, column 'ID'.*more than once"):
        canonical(tmp_path, JOINED, v="patient,F\n1,20\n", p="ID,scanner\n1,A\n1,B\n")


def test_a_missing_column_is_told_with_the_near_miss(tmp_path) -> None:
    with pytest.raises(DataError, match=r"v\.csv.*column 'patient'.*Did you mean 'patients'"):
        canonical(tmp_path, JOINED, v="patients,F\n1,20\n", p="ID,scanner\n1,A\n")


def test_column_names_are_matched_without_regard_to_case(tmp_path) -> None:
    rows = canonical(tmp_path, WIDE, v="id,d,w,h,f\na,2024-03-01,150,170,\n")["readings"]
    assert rows["subject_id"].tolist() == ["a", "a"]


def test_the_convention_of_dates_is_taken_from_the_whole_column(tmp_path) -> None:
    rows = canonical(tmp_path, WIDE, v="ID,D,W,H,F\na,03/04/2024,150,,\nb,25/04/2024,150,,\n")["readings"]
    assert rows["measured_at"].dt.strftime("%Y-%m-%d").tolist() == ["2024-04-03", "2024-04-25"]


@pytest.mark.parametrize(
    ("unit", "value", "canonical_value"), [("in", 70, 177.8), ("mm", 1778, 177.8), ("m", 1.778, 177.8)]
)
def test_units_are_converted_to_twelve_digits(tmp_path, unit: str, value: float, canonical_value: float) -> None:
    mapping = WIDE.replace("{column: H, measurand: stature_cm}", f"{{column: H, measurand: stature_cm, unit: {unit}}}")
    rows = normalise.readings(canonical(tmp_path, mapping, v=f"ID,D,W,H,F\na,2024-03-01,,{value},\n")["readings"])
    assert rows["value"].tolist() == [canonical_value]


def test_codes_for_missing_values_are_taken_out(tmp_path) -> None:
    mapping = 'options: {missing: ["-99", NA]}\n' + WIDE.lstrip()
    rows = canonical(tmp_path, mapping, v="ID,D,W,H,F\na,NA,-99,170,NA\nb,2024-03-01,150,-99.0,\n")["readings"]
    assert rows[["subject_id", "measurand", "value"]].values.tolist() == [
        ["b", "weight_kg", 150.0],
        ["a", "stature_cm", 170.0],
        ["b", "stature_cm", -99.0],
    ]
