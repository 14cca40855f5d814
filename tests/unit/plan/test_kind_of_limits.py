"""The plan's choice of limits and of the form for repeated pairs: read strictly, and carried out."""

import numpy as np
import pandas as pd
import pytest

from studies.errors import PlanError
from studies.plan import load_plan, plan_hash
from studies.plan_of_table import PlanOfTable
from studies.subgroups import agreement

TEXT = """calliper_plan: 1
title: Scan against DXA
measurand: body_fat_percent
reference: dxa
index: scan
resamples: 200
"""


def pairs(n=40):
    rng = np.random.default_rng(1)
    dxa = rng.normal(30, 8, n)
    return pd.DataFrame({"subject_id": [f"S{i // 2}" for i in range(n)], "dxa": dxa, "scan": dxa + rng.normal(0, 2, n)})


def test_an_older_plan_keeps_its_hash():
    """Keys that are not set are no part of the document, so that plans from before they existed stay the same."""
    plan = load_plan(TEXT)
    assert (plan.limits, plan.repeated) == (None, None)
    assert not {"limits", "repeated"} & set(plan.document())
    assert plan_hash(load_plan(TEXT + "limits: mover\n")) != plan_hash(plan)


@pytest.mark.parametrize(("limits", "interval"), [("mover", "mover"), ("nonparametric", "bootstrap")])
def test_the_kind_of_limits_is_carried_out(limits, interval):
    plan = load_plan(TEXT + f"limits: {limits}\n")
    single = pairs().assign(subject_id=lambda table: table.index.astype(str))
    assert agreement(single, plan, ["scan"])["tests"]["scan"]["limits"]["interval"] == interval


def test_the_form_for_repeated_pairs_is_carried_out():
    limits = {
        name: agreement(pairs(), load_plan(TEXT + f"repeated: {name}\n"), ["scan"])["tests"]["scan"]["limits"]
        for name in ("varying", "constant", "mixed")
    }
    assert [item["interval"] for item in limits.values()] == ["mover", "mover", "bootstrap"]
    assert limits["varying"]["upper"]["estimate"] != limits["constant"]["upper"]["estimate"]


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(PlanError, match="limits"):
        load_plan(TEXT + "limits: narrow\n")


def test_a_plan_of_a_table_takes_its_reference_for_the_measurand():
    plan = load_plan(
        TEXT + "subgroups:\n  - {name: fat, measurand: body_fat_percent, cut_points: [25, 35]}\n"
        "  - {name: site, attribute: site}\n"
    )
    applied = PlanOfTable(plan, "dxa", ["scan"])
    assert applied.wanted() == ([], ["site"])
    frame, found, absent = applied.add_subgroups(pairs())
    assert (found, absent) == (["fat"], ["site"])
    assert list(frame["fat"].cat.categories) == ["<25", "25–34", "≥35"]
    assert PlanOfTable(plan, "bia", ["scan"]).applies is False
    # A subgroup never takes the place of a column that is used.
    taken = PlanOfTable(plan, "dxa", ["scan"], taken=["fat"]).add_subgroups(pairs().assign(fat=1.0))
    assert (taken[0]["fat"].tolist(), taken[2]) == ([1.0] * 40, ["fat", "site"])
