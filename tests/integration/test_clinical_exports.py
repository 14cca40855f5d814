"""Exports of clinical systems, from the file to the analysis: SDTM as SAS transport, REDCap raw and with labels."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pyreadstat
import pytest

ROOT = Path(__file__).parents[2]


# SDTM ----------------------------------------------------------------------------------------------------------------


def sdtm(folder: Path, people: int = 14) -> list[Path]:
    """DM and VS as SAS writes them: all text but the numbers, dates as text, an empty text for what is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = [f"TRIAL-01-{i:03}" for i in range(1, people + 1)]
    dm = pd.DataFrame(
        {
            "STUDYID": "TRIAL",
            "DOMAIN": "DM",
            "USUBJID": ids,
            "SUBJID": [i[-3:] for i in ids],
            "SITEID": ["01", "02"] * (people // 2),
            "SEX": ["F", "M"] * (people // 2),
            "AGE": [30.0 + i for i in range(people)],
            "AGEU": "YEARS",
            "RACE": ["WHITE", "ASIAN"] * (people // 2),
            "ETHNIC": "NOT HISPANIC OR LATINO",
            "BRTHDTC": [f"{1993 - i}-06" if i == 3 else "" for i in range(people)],
            "RFICDTC": "2024-01-10",
        }
    )
    lines = []
    for number, subject in enumerate(ids):
        tests = [
            ("HEIGHT", "65", 65.0, "in", 165.1, "cm", ""),
            ("WEIGHT", "154", 154.0, "LB", 69.85, "kg", ""),
            ("SYSBP", "120", 120.0, "mmHg", 120.0, "mmHg", ""),
            ("WSTCIR", "80", 80.0, "cm", 80.0, "cm", ""),
            ("BODYFATM", "", 0.0, "%", 30.0 + number, "%", "DXA SCAN"),
            ("BODYFATM", "", 0.0, "%", 31.5 + number, "%", "SMART SCALE"),
        ]
        for test, written, _, unit, value, standard, method in tests:
            missing = test == "WSTCIR" and number == 1
            lines.append(
                {
                    "STUDYID": "TRIAL",
                    "USUBJID": subject,
                    "VSTESTCD": test,
                    "VSORRES": "" if missing else written or str(value),
                    "VSORRESU": unit,
                    "VSSTRESN": float("nan") if missing else value,
                    "VSSTRESU": standard,
                    "VSSTAT": "NOT DONE" if missing else "",
                    "VSMETHOD": method,
                    "VISIT": "BASELINE",
                    "VISITNUM": 1.0,
                    "VSDTC": "2024-01-15T09:30",
                }
            )
    paths = []
    for name, frame in (("DM", dm), ("VS", pd.DataFrame(lines))):
        paths.append(folder / f"{name.lower()}.xpt")
        pyreadstat.write_xport(frame, str(paths[-1]), file_format_version=5, table_name=name)
    return paths


def test_sdtm_transport_files_are_taken_in(desk, refused) -> None:
    result = desk.ingest(*sdtm(desk.folder), mapping="sdtm")
    # The birth date of one subject is a partial one, as SDTM allows; it is told, and the subject stays out.
    told = refused(result)
    (fault,) = told["dm.xpt", 4]
    assert (fault["column"], fault["value"], fault["rule"]) == ("BRTHDTC", "1990-06", "birth_date_readable")
    assert fault["reason"] == "is a partial date: year, month and day are needed"
    assert {place for place in told if place[0] == "vs.xpt"} == {("vs.xpt", row) for row in (19, 20, 22, 23, 24)}
    assert all(
        "was itself refused (dm.xpt row 4)" in told[place][0]["reason"] for place in told if place[0] == "vs.xpt"
    )

    subjects = desk.subjects()
    assert len(subjects) == 13
    person = subjects.loc["TRIAL-01-001"]
    assert (person["sex"], person["age"], person["site"], person["ethnicity"]) == ("F", 30.0, "01", "WHITE")
    assert (person["sdtm_subject"], person["sdtm_ethnic"]) == ("001", "NOT HISPANIC OR LATINO")
    readings = desk.readings()
    mine = readings[readings["subject_id"] == "TRIAL-01-001"]
    assert set(mine[["measurand", "method", "value", "unit"]].itertuples(index=False, name=None)) == {
        ("stature_cm", "anthropometry", 165.1, "cm"),
        ("weight_kg", "anthropometry", 69.85, "kg"),
        ("waist_cm", "anthropometry", 80.0, "cm"),
        ("body_fat_percent", "dxa", 30.0, "%"),
        ("body_fat_percent", "scale", 31.5, "%"),
    }
    assert set(mine["visit"]) == {"BASELINE"}
    assert mine["measured_at"].dt.strftime("%Y-%m-%dT%H:%M").unique().tolist() == ["2024-01-15T09:30"]
    (vs,) = [source for source in result.report["sources"] if source["file"] == "vs.xpt"]
    assert {entry["reason"]: entry["n"] for entry in vs["rows_not_selected"]} == {
        "not done": 1,
        "a vital sign that is not about body composition": 14,
    }
    desk.assert_all_accounted_for(result, {"dm.xpt": 14, "vs.xpt": 84}, first=1)


def test_sdtm_goes_all_the_way_to_the_numbers(desk, command, tmp_path: Path) -> None:
    import json

    desk.registry.close()
    assert command("ingest", "trial", *sdtm(desk.folder), "--mapping", "sdtm").code == 3
    outcome = command("analyze", "trial", "--index", "scale", "--json", tmp_path / "results.json")
    assert outcome.code == 0, outcome.error
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert results["n"] == 13
    assert results["tests"]["scale"]["bias"]["estimate"] == pytest.approx(1.5)


# REDCap --------------------------------------------------------------------------------------------------------------

DICTIONARY = ROOT / "docs" / "redcap-dictionary.csv"
FORMS = ("demographics", "anthropometry", "dxa", "scale")


def redcap(labels: bool) -> str:
    """An export of three records: every form once, the scale repeated, and one record without a DXA."""
    with DICTIONARY.open(encoding="utf-8-sig", newline="") as file:
        fields = list(csv.DictReader(file))
    choices = {"sex": {"1": "Female", "2": "Male"}, "consent": {"1": "Keep photos", "3": "Keep numbers only"}}
    columns = ["record_id", "redcap_repeat_instrument", "redcap_repeat_instance", "redcap_data_access_group"]
    headings = ["Study ID", "Repeat Instrument", "Repeat Instance", "Data Access Group"]
    for form in FORMS:
        for entry in fields:
            if entry["Form Name"] == form and entry["Variable / Field Name"] != "record_id":
                columns.append(entry["Variable / Field Name"])
                headings.append(entry["Field Label"])
        columns.append(f"{form}_complete")
        headings.append("Complete?")
    rows = []
    for number in (1, 2, 3):
        rows.append(
            {
                "record_id": str(number),
                "redcap_data_access_group": "north",
                "sex": "1" if number < 3 else "2",
                "age": str(30 + number),
                "enrolled_on": "2024-01-10",
                "ethnicity": "",
                "consent": "1" if number == 1 else "3",
                "measured_on": "2024-01-15",
                "weight_kg": "70.5",
                "stature_cm": "165",
                "waist_cm": "80.5",
                "hip_cm": "",
                **(
                    {"dxa_on": "2024-01-15", "dxa_device": "dxa-1", "dxa_body_fat_percent": str(30 + number)}
                    if number < 3
                    else {}
                ),
                **{f"{form}_complete": "2" for form in FORMS[:3]},
            }
        )
        for instance in (1, 2):
            rows.append(
                {
                    "record_id": str(number),
                    "redcap_repeat_instrument": "scale",
                    "redcap_repeat_instance": str(instance),
                    "redcap_data_access_group": "north",
                    "scale_on": f"2024-01-15 09:3{instance}",
                    "scale_device": "scale-a",
                    "scale_body_fat_percent": str(31 + number + instance / 10),
                    "scale_weight_kg": "70.4",
                    "scale_complete": "2",
                }
            )
    if labels:
        for row in rows:
            for name, words in choices.items():
                row[name] = words.get(row.get(name, ""), "")
            for form in FORMS:
                row[f"{form}_complete"] = "Complete" if row.get(f"{form}_complete") else ""
            row["redcap_repeat_instrument"] = row.get("redcap_repeat_instrument", "").title()
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(headings if labels else columns)
    writer.writerows([row.get(column, "") for column in columns] for row in rows)
    return text.getvalue()


@pytest.mark.parametrize("labels", [False, True], ids=["raw", "labels"])
def test_a_redcap_export_is_taken_in(desk, labels: bool) -> None:
    desk.write("dictionary.csv", DICTIONARY.read_bytes())
    desk.write("export.csv", redcap(labels))
    result = desk.ingest(mapping="redcap")
    assert result.report["quarantine"]["examples"] == []
    subjects = desk.subjects()
    assert subjects["sex"].tolist() == ["F", "F", "M"]
    assert subjects["consent"].tolist() == ["photos", "none", "none"]
    assert subjects["site"].tolist() == ["north"] * 3
    readings = desk.readings()
    # 3 x (mass, stature, waist), 2 DXA, 3 x 2 x (fat, mass) by the scale
    assert len(readings) == 9 + 2 + 12
    fat = readings[readings["measurand"] == "body_fat_percent"]
    assert fat[fat["method"] == "dxa"]["value"].tolist() == [31.0, 32.0]
    twice = fat[(fat["method"] == "scale") & (fat["subject_id"] == "2")]
    assert twice[["replicate", "value"]].to_numpy().tolist() == [[1, 33.1], [2, 33.2]]


def test_raw_and_labels_say_the_same(desk) -> None:
    dictionary = desk.write("dictionary.csv", DICTIONARY.read_bytes())
    desk.ingest(dictionary, desk.write("raw.csv", redcap(False)), mapping="redcap")
    before = desk.frames().sha256
    again = desk.ingest(dictionary, desk.write("labels.csv", redcap(True)), mapping="redcap")
    for table, rows in (("subjects", 3), ("readings", 23)):
        found = again.report["tables"][table]
        assert (found["new"], found["changed"], found["unchanged"]) == (0, 0, rows)
    assert desk.frames().sha256 == before


def test_a_refused_row_of_an_export_is_named_as_the_export_names_it(desk, refused) -> None:
    dictionary = desk.write("dictionary.csv", DICTIONARY.read_bytes())
    broken = redcap(False).replace("70.5,165,80.5", "70.5,1.65,80.5", 1).replace("32.2", "3O.2", 1)
    first = desk.ingest(dictionary, desk.write("export.csv", broken), mapping="redcap")
    told = refused(first)
    places = {(row, fault["column"], fault["value"]) for (_, row), faults in told.items() for fault in faults}
    assert places == {(2, "stature_cm", "1.65"), (4, "scale_body_fat_percent", "3O.2")}
    (path,) = (first.folder / name for name in first.report["quarantine"]["files"])
    mended = path.read_text(encoding="utf-8-sig").replace("1.65,80.5", "165,80.5").replace("3O.2", "32.2")
    path.write_text(mended, encoding="utf-8-sig")
    second = desk.ingest(dictionary, path, mapping="redcap")
    assert second.rejected == 0
    assert second.report["tables"]["readings"]["new"] == 2
    assert second.report["tables"]["readings"]["changed"] == 0


def test_an_export_without_its_dictionary_says_what_is_missing(desk, command) -> None:
    desk.registry.close()
    outcome = command("ingest", "trial", desk.write("export.csv", redcap(False)), "--mapping", "redcap")
    assert outcome.code == 3
    assert "No table fits the mapping 'redcap': found records" in outcome.error
    assert "There is no REDCap data dictionary" in outcome.error
    assert "Data Dictionary > Download the current Data Dictionary" in outcome.error
    outcome = command("ingest", "trial", desk.write("labels.csv", redcap(True)), "--mapping", "redcap")
    assert outcome.code == 3
    assert "it looks like a REDCap export with labels as column names" in outcome.error
    assert "Give the project's data dictionary with it" in outcome.error
