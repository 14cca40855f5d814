"""De-identified inputs as files: they come back as they were, and give the results of the data before."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from reports.results import results_json
from studies.analysis import analyze
from studies.deidentified import deidentified, risk
from studies.errors import DataError
from studies.frozen import FACTS, files_of_zip, freeze, hash_of, thaw, zip_of
from studies.plan import plan_from_document, plan_hash

_SPEC = importlib.util.spec_from_file_location("nameless_study", Path(__file__).with_name("test_nameless.py"))
nameless_study = importlib.util.module_from_spec(_SPEC)
sys.modules["nameless_study"] = nameless_study
_SPEC.loader.exec_module(nameless_study)


@pytest.fixture(scope="module")
def inputs() -> dict:
    subjects, visits, measurements = nameless_study.study_of(1)
    plan = plan_from_document(nameless_study.PLAN)
    subjects["enrolled_on"] = visits.groupby("subject_id")["date"].min().reindex(subjects["subject_id"]).to_numpy()
    subjects["birth_date"] = pd.Timestamp("1980-01-01")
    subjects["consent"] = "photos"
    # A device of one's own; labels of visits that say a date, and that of everybody's first visit.
    measurements["device"] = np.where(
        measurements["method"] == "scan", "phone-" + measurements["subject_id"], "hologic"
    )
    renamed = {"V3": "came back 2024-05-01"}
    visits["visit"], measurements["visit"] = visits["visit"].replace(renamed), measurements["visit"].replace(renamed)
    lone = measurements["subject_id"] == "P000"
    visits.loc[visits["subject_id"] == "P000", "visit"] += " at home"
    measurements.loc[lone, "visit"] += " at home"
    measurements["flags"] = pd.array(["range" if value == 20 else None for value in measurements["value"]], dtype="str")
    first = measurements[measurements["method"] == "scan"].drop_duplicates(["subject_id", "visit"])
    scans = pd.DataFrame(
        {
            "subject_id": first["subject_id"], "visit": first["visit"], "scan": "scan of " + first["subject_id"],
            "captured_at": first["measured_at"], "device": first["device"], "rendered": False,
            "status": ["indeterminate" if number % 7 == 0 else "determinate" for number in range(len(first))],
            "reason": None, "value": first["value"], "low": first["value"] - 3, "high": first["value"] + 3,
        }
    ).reset_index(drop=True)  # fmt: skip
    return {
        "study": {"name": "s", "title": "Study — with “quotes”", "notes": ["A note."]}, "plan": plan,
        "plan_status": {"version": 1, "hash": plan_hash(plan), "locked": True}, "subjects": subjects,
        "visits": visits, "measurements": measurements, "data_hash": "0" * 64, "index": None, "scans": scans,
        "scans_hash": "1" * 64, "run": {"number": 2, "newest": 2, "checkpoints": {}}, "protocol": None,
    }  # fmt: skip


def results_of(inputs: dict) -> bytes:
    return results_json(analyze(**inputs, empty=True).results)


def test_the_frozen_inputs_give_the_same_bytes(inputs) -> None:
    wanted = results_of(inputs)
    for _ in range(3):  # other codes and other shifts each time
        assert results_of(thaw(freeze(deidentified(inputs)))) == wanted


def test_files_come_back_as_they_were_written(inputs) -> None:
    files = freeze(deidentified(inputs))
    assert freeze(thaw(files)) == files
    assert files_of_zip(zip_of(files), "x") == files
    assert zip_of(files) == zip_of(dict(files))
    assert hash_of(files) == hash_of(dict(reversed(files.items())))
    assert hash_of({**files, "visits.csv": b""}) != hash_of(files)


def test_every_kind_of_value_survives() -> None:
    """Empty text is not a missing one; numbers keep every digit; a column may mix kinds."""
    subjects = pd.DataFrame(
        {
            "subject_id": ["a", "b", "c"], "sex": pd.array(["F", None, ""], dtype="str"),
            "age": [0.1 + 0.2, np.nan, 1e-300], "tone": pd.Series([1, "x,\"y\"\n", True], dtype="object"),
            "site": pd.Series([None, None, None], dtype="object"), "synthetic": [True, False, True],
            "count": pd.array([1, None, 3], dtype="Int64"),
            "enrolled_on": pd.Series(["2024-01-01T10:11:12.123456", None, "1999-12-31"], dtype="datetime64[us]"),
        }
    )  # fmt: skip
    plan = plan_from_document(nameless_study.PLAN)
    given = {"plan": plan, "subjects": subjects, "visits": None, "measurements": None, "study": {}}
    back = thaw(freeze(given))["subjects"]
    assert back["age"].tolist()[::2] == [0.1 + 0.2, 1e-300]
    assert back["tone"].tolist() == [1, 'x,"y"\n', True]
    assert back["sex"].tolist()[0::2] == ["F", ""]
    assert back["sex"].isna().tolist() == [False, True, False]
    assert back["site"].isna().all()
    assert back["count"].tolist()[::2] == [1, 3]
    assert back["synthetic"].tolist() == [True, False, True]
    pd.testing.assert_series_equal(back["enrolled_on"], subjects["enrolled_on"])


def test_nothing_that_names_anybody_is_left(inputs) -> None:
    made = deidentified(inputs)
    text = b"\n".join(freeze(made).values()).decode()
    for words in ("P0", "note on", "scan of", "phone", "1980-01-01", "at home", "consent"):
        assert words not in text, words
    assert "hologic" in text
    assert set(made["subjects"]) == {"subject_id", "site", "sex", "age", "ethnicity", "enrolled_on", "tone"}


def test_dates_are_shifted_by_whole_days_of_each_persons_own(inputs) -> None:
    made = deidentified(inputs)
    # The people are found again by their age, which is drawn from a continuum and stays.
    code = dict(zip(made["subjects"]["age"], made["subjects"]["subject_id"], strict=True))
    shifts = {}
    for name, age in zip(inputs["subjects"]["subject_id"], inputs["subjects"]["age"], strict=True):
        pairs = []
        for table, column in (("visits", "date"), ("measurements", "measured_at"), ("scans", "captured_at"),
                              ("subjects", "enrolled_on")):  # fmt: skip
            old, new = (
                frame.loc[frame["subject_id"] == who, column].sort_values().to_numpy()
                for frame, who in ((inputs[table], name), (made[table], code[age]))
            )
            pairs += list(new - old)
        assert len({pair / np.timedelta64(1, "us") for pair in pairs}) == 1
        shifts[name] = pairs[0] / np.timedelta64(1, "D")
    assert all(shift == round(shift) and 30 <= abs(shift) <= 3650 for shift in shifts.values())
    assert len(set(shifts.values())) > len(shifts) / 2


def test_codes_are_none_that_could_be_an_identifier(inputs) -> None:
    subjects = inputs["subjects"].assign(subject_id=lambda frame: "s" + frame["subject_id"].str[1:])
    renamed = dict(zip(inputs["subjects"]["subject_id"], subjects["subject_id"], strict=True))
    tables = {
        name: inputs[name].assign(subject_id=inputs[name]["subject_id"].map(renamed))
        for name in ("visits", "measurements", "scans")
    }
    made = deidentified({**inputs, "subjects": subjects, **tables})
    assert made["subjects"]["subject_id"].str.startswith("CS").all()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda files: files.pop("visits.csv"),
        lambda files: files.pop(FACTS),
        lambda files: files.update({FACTS: b"{}"}),
        lambda files: files.update({FACTS: b"[1"}),
        lambda files: files.update({"visits.csv": b"\xff\xfe"}),
        lambda files: files.update({"subjects.csv": files["visits.csv"]}),
        lambda files: files.update({"measurements.csv": files["measurements.csv"][:-30]}),
        lambda files: files.update({FACTS: files[FACTS].replace(b'"calliper_inputs": 1', b'"calliper_inputs": 2')}),
    ],
)
def test_damaged_files_are_told(inputs, spoil) -> None:
    files = freeze(deidentified(inputs))
    spoil(files)
    with pytest.raises(DataError):
        thaw(files)


def test_the_risk_counts_who_stands_alone() -> None:
    plan = plan_from_document({**nameless_study.PLAN, "minimum_cell": 3})
    subjects = pd.DataFrame(
        {
            "subject_id": [f"S{number}" for number in range(8)], "sex": ["F"] * 4 + ["M"] * 4,
            "age": [31, 33, 38, 39, 31, 33, 38, 91], "ethnicity": "A", "site": None, "tone": ["a"] * 7 + ["b"],
        }
    )  # fmt: skip
    found = risk({"plan": plan, "subjects": subjects})
    assert found["traits"] == ["sex", "age", "tone"]  # what all share tells nobody apart
    assert (found["subjects"], found["smallest_group"], found["alone"], found["below_minimum"]) == (8, 1, 1, 1)
    assert found["rare"] == [
        {"trait": "age", "values": 1, "subjects": 1},
        {"trait": "tone", "values": 1, "subjects": 1},
    ]
    assert found["aged_90_or_more"] == 1
    assert json.loads(json.dumps(found)) == found
