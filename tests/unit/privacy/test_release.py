"""Small-cell suppression: nobody handed out stands in a small cell, and no more is taken out than that needs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studies.errors import DataError
from studies.plan import load_plan
from studies.privacy.release import release_tables, suppress_small_cells

COLUMNS = ("ethnicity", "site", "age_band", "sex")


def cells(table: pd.DataFrame) -> pd.Series:
    return table[list(COLUMNS)].astype("object").fillna("-").value_counts()


people = st.lists(
    st.tuples(*map(st.sampled_from, ("abc", ["A", None], ["20–29", "30–39"], "FM"))),
    min_size=5, max_size=60,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(people, st.integers(2, 5))
def test_no_cell_is_small(rows: list[tuple], minimum: int) -> None:
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype="object")
    done, counts = suppress_small_cells(table, minimum)
    assert cells(done).min() >= minimum
    assert len(done) == len(table)
    taken = {name: int((table[name].notna() & done[name].isna()).sum()) for name in COLUMNS}
    assert counts == {name: count for name, count in taken.items() if count}
    kept = done.notna()
    assert (done[kept].fillna("") == table[kept].fillna("")).all().all()  # nothing is changed into something else


def test_a_table_without_small_cells_stays_as_it_is() -> None:
    table = pd.DataFrame({"sex": ["F"] * 10 + ["M"] * 10, "site": "A", "age_band": "20–29", "ethnicity": None})
    done, counts = suppress_small_cells(table, 10)
    assert counts == {}
    assert done["sex"].tolist() == table["sex"].tolist()


def test_the_least_telling_value_is_given_up_first() -> None:
    table = pd.DataFrame(
        {"sex": "F", "age_band": "20–29", "site": "A", "ethnicity": ["x"] * 10 + ["y"] * 2 + [None] * 9}
    )
    done, counts = suppress_small_cells(table, 10)
    assert counts == {"ethnicity": 2}
    assert done["sex"].notna().all()


def inputs(count: int, minimum: int = 5) -> dict:
    rng = np.random.default_rng(3)
    codes = [f"MRN-{number:03d}" for number in range(count)]
    plan = load_plan(
        f"calliper_plan: 1\ntitle: t\nmeasurand: bmi\nreference: a\nindex: b\nminimum_cell: {minimum}\n"
    )  # fmt: skip
    subjects = pd.DataFrame(
        {
            "subject_id": codes, "site": rng.choice(["A", "B"], count), "sex": rng.choice(["F", "M"], count),
            "age": rng.uniform(18, 97, count), "ethnicity": rng.choice(["x", "y", "z"], count),
            "consent": "none", "enrolled_on": pd.Timestamp("2024-01-01"), "surname": "Quartermaine",
        }
    )  # fmt: skip
    visits = pd.DataFrame(
        {"subject_id": codes, "visit": "baseline", "date": pd.Timestamp("2024-01-02"), "sequence": 1}
    ).astype({"sequence": "Int64"})
    measurements = pd.DataFrame(
        {
            "measurement_id": range(count), "subject_id": codes, "visit": "baseline",
            "measured_at": pd.Timestamp("2024-01-02"), "measurand": "bmi", "method": "a", "device": "d",
            "value": rng.uniform(18, 40, count), "unit": "kg/m2", "replicate": 1, "flags": None, "rendered": False,
            "kind": "reading",
        }
    )  # fmt: skip
    return {"plan": plan, "subjects": subjects, "visits": visits, "measurements": measurements}


def test_what_is_handed_out_has_no_code_name_date_or_small_cell() -> None:
    given = inputs(80)
    released = release_tables(given)
    text = "".join(frame.to_csv() for frame in released.tables.values())
    for needle in ("MRN-", "Quartermaine", "2024-01-01", "2024-01-02"):
        assert needle not in text
    subjects = released.tables["subjects"]
    assert cells(subjects).min() >= 5
    assert "age" not in subjects
    assert set(subjects["age_band"].dropna()) <= {
        "10–19", "20–29", "30–39", "40–49", "50–59", "60–69", "70–79", "80–89", "90 or older",
    }  # fmt: skip
    measured = released.tables["measurements"]
    assert sorted(measured["value"]) == sorted(given["measurements"]["value"])
    shifts = measured.merge(released.tables["visits"], on="subject_id")
    assert (shifts["measured_at"] == shifts["date"]).all()  # all dates of a person by the same days
    assert measured["measured_at"].nunique() > 40  # and of different people by different ones


def test_a_study_of_too_few_people_is_not_handed_out() -> None:
    with pytest.raises(DataError, match="fewer than 5 subjects"):
        release_tables(inputs(4))
