"""Pairing against a slow, plain re-statement of its rules, on random small studies."""

from __future__ import annotations

from itertools import groupby
from types import SimpleNamespace

import numpy as np
import pandas as pd
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from studies.pairing import pair
from studies.plan import plan_from_document

METHODS = ("dxa", "scan", "scale", "caliper")
SUBJECTS = ("A", "B", "C", "D")
VISITS = ("v1", "v2")
DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2024-01-01")

RULES = [
    {"attribute": "age", "at_least": 18},
    {"attribute": "sex", "in": ["F"]},
    {"measurand": "weight_kg", "present": True},
]


def study(seed):
    """A random study, dense enough that most have several pairs, ties, gaps and every kind of fault."""
    rng = np.random.default_rng(seed)

    def time():
        return pd.NaT if rng.random() < 0.1 else START + int(rng.integers(0, 20)) * DAY / 2

    subjects = pd.DataFrame(
        {
            "subject_id": SUBJECTS,
            "age": rng.choice([17.0, 18.0, 40.0, np.nan], len(SUBJECTS), p=[0.1, 0.4, 0.4, 0.1]),
            "sex": rng.choice(np.array(["F", "M", None], dtype=object), len(SUBJECTS), p=[0.6, 0.3, 0.1]),
        }
    )
    occasions = [(name, visit, i) for name in SUBJECTS[:-1] for i, visit in enumerate(VISITS)]
    visits = pd.DataFrame(occasions, columns=["subject_id", "visit", "sequence"])
    visits["date"] = pd.to_datetime([time() for _ in range(len(visits))]).normalize()
    size = int(rng.choice([0, 3, 30, 45, 60]))
    measurements = pd.DataFrame(
        {
            "measurement_id": rng.permutation(size) + 1,
            "subject_id": rng.choice(SUBJECTS[:-1], size),
            "visit": rng.choice(VISITS, size),
            "method": rng.choice(METHODS, size, p=[0.35, 0.4, 0.2, 0.05]),
            "measurand": rng.choice(["body_fat_percent", "weight_kg"], size, p=[0.9, 0.1]),
            "value": rng.choice([np.nan, *range(10, 50)], size, p=[0.05, *[0.95 / 40] * 40]),
            "measured_at": pd.to_datetime([time() for _ in range(size)]),
            "replicate": rng.integers(1, 3, size),
        }
    )
    pairing = {
        "match": rng.choice(["visit", "time"]).item(),
        "replicates": rng.choice(["first", "mean", "nearest"]).item(),
    }
    if pairing["match"] == "time" or rng.random() < 0.5:
        pairing["window_days"] = rng.choice([0, 0.5, 1, 3, 30]).item()
    plan = {
        "calliper_plan": 1,
        "title": "t",
        "measurand": "body_fat_percent",
        "reference": "dxa",
        "index": "scan",
        "comparators": ["scale"][: int(rng.integers(0, 2))],
        "pairing": pairing,
        "eligibility": [rule for rule in RULES if rng.random() < 0.2],
        **({"visits": ["v1"]} if rng.random() < 0.2 else {}),
    }
    return subjects, visits, measurements, plan_from_document(plan)


def days(a, b):
    if a is pd.NaT or b is pd.NaT:
        return None
    if a == a.normalize() or b == b.normalize():
        a, b = a.normalize(), b.normalize()
    return abs(a - b) / DAY


def plainly(subjects, visits, measurements, plan):
    """The pairs by the rules as docs/analysis-plan.md states them, one loop each."""
    rule, who = plan.pairing, subjects.set_index("subject_id")
    when = {(v.subject_id, v.visit): v.date for v in visits.itertuples()}
    weighed = set(
        measurements[(measurements["measurand"] == "weight_kg") & measurements["value"].notna()]["subject_id"]
    )

    def eligible(name):
        for test in plan.eligibility:
            if test.at_least is not None and not who.loc[name, "age"] >= test.at_least:
                return False
            if test.in_ is not None and who.loc[name, "sex"] not in test.in_:
                return False
            if test.present and name not in weighed:
                return False
        return True

    def inside(row):
        return row.measurand == "body_fat_percent" and row.value == row.value and eligible(row.subject_id)

    def with_time(row):
        known = row.measured_at is not pd.NaT
        return SimpleNamespace(**row._asdict(), time=row.measured_at if known else when[row.subject_id, row.visit])

    rows = [with_time(row) for row in measurements.itertuples() if inside(row)]
    usable = [row for row in rows if plan.visits is None or row.visit in plan.visits]
    late = pd.Timestamp.max

    def early(row):
        return (late if row.time is pd.NaT else row.time, row.replicate, row.measurement_id)

    found = {}
    references = sorted((r for r in usable if r.method == "dxa"), key=lambda r: (r.subject_id, r.visit))
    anchors = {key: sorted(rows, key=early) for key, rows in groupby(references, lambda r: (r.subject_id, r.visit))}
    for test in plan.tests:
        belonging = {}
        for row in (r for r in usable if r.method == test):
            if rule.match == "visit":
                key = (row.subject_id, row.visit)
                if key not in anchors:
                    continue
            else:
                near = [
                    (abs(row.time - rows[0].time), rows[0].time, key)
                    for key, rows in anchors.items()
                    if key[0] == row.subject_id and rows[0].time is not pd.NaT and row.time is not pd.NaT
                ]
                if not near:
                    continue
                key = min(near)[2]
            gap = days(row.time, anchors[key][0].time)
            if rule.window_days is not None and (gap is None or gap > rule.window_days):
                continue
            belonging.setdefault(key, []).append((gap, row))
        for key, rows in belonging.items():
            if rule.replicates == "mean":
                chosen = [row for _, row in rows]
            elif rule.replicates == "nearest":
                chosen = [min(rows, key=lambda item: (np.inf if item[0] is None else item[0], *early(item[1])))[1]]
            else:
                chosen = [min((row for _, row in rows), key=early)]
            found.setdefault(key, {})[test] = chosen
    pairs, used = {}, set()
    for key, tests in found.items():
        if "scan" in tests:
            tests["dxa"] = anchors[key] if rule.replicates == "mean" else anchors[key][:1]
            pairs[key] = {method: float(np.mean([row.value for row in rows])) for method, rows in tests.items()}
            used |= {row.measurement_id for rows in tests.values() for row in rows}
    return pairs, used


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.integers(0, 10**9))
def test_pairs_and_counts_on_random_studies(seed):
    subjects, visits, measurements, plan = study(seed)
    result = pair(subjects, visits, measurements, plan)

    expected, used = plainly(subjects, visits, measurements, plan)
    columns = ["dxa", *plan.tests]
    found = {
        (row.subject_id, row.visit): {
            name: getattr(row, name) for name in columns if getattr(row, name) == getattr(row, name)
        }
        for row in result.table.itertuples()
    }
    assert found == expected

    # Everything is analysed or left out for one reason, at every level, and the flow says the same.
    outcome = measurements[measurements["measurand"] == "body_fat_percent"]
    totals = {"subjects": len(subjects), "visits": len(visits), "measurements": len(outcome)}
    for level, total in totals.items():
        flow = result.flow[level]
        left_out = result.exclusions[result.exclusions["level"] == level.removesuffix("s")]
        assert flow["total"] == total == flow["analysed"] + sum(row["n"] for row in flow["excluded"])
        assert len(left_out) == total - flow["analysed"]
        assert left_out["reason"].value_counts().to_dict() == {row["reason"]: row["n"] for row in flow["excluded"]}
        keys = {"subjects": ["subject_id"], "visits": ["subject_id", "visit"], "measurements": ["measurement_id"]}[
            level
        ]
        assert not left_out.duplicated(keys).any()
        assert (left_out["reason"].str.len() > 0).all()
    for test, flow in result.flow["methods"].items():
        assert flow["total"] == len(subjects) == flow["analysed"] + sum(row["n"] for row in flow["excluded"])
        assert flow["analysed"] == len({key[0] for key, values in expected.items() if test in values})
    assert result.flow["subjects"]["analysed"] == len({key[0] for key in expected})
    assert set(result.used["measurement_id"]) == used
    left_out = result.exclusions.query("level == 'measurement'")
    assert set(left_out["measurement_id"]) == set(outcome["measurement_id"]) - used

    # The order of the rows says nothing.
    again = pair(*(frame.sample(frac=1, random_state=seed % 2**32) for frame in (subjects, visits, measurements)), plan)
    pd.testing.assert_frame_equal(again.table, result.table)
    pd.testing.assert_frame_equal(again.exclusions, result.exclusions)
    assert again.flow == result.flow
