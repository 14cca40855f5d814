"""The user's page on plans says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from studies.derived import EQUATIONS
from studies.plan import (
    METRICS,
    Criterion,
    CutOff,
    DecisionLevel,
    EligibilityRule,
    Pairing,
    Plan,
    Privacy,
    Retention,
    Subgroup,
    load_plan,
)

PAGE = (Path(__file__).parents[3] / "docs" / "analysis-plan.md").read_text(encoding="utf-8")


def test_its_examples_are_plans():
    whole, unseen, levels = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert load_plan(whole).index == "scan"
    other = re.sub(r"eligibility:\n(?:  - .*\n)+", unseen, whole)
    assert (load_plan(whole).leaves_out_trained, load_plan(other).leaves_out_trained) == (False, True)
    plan = load_plan(whole + levels)
    assert (len(plan.decision_levels), len(plan.cut_offs)) == (2, 2)


@pytest.mark.parametrize(
    "model", [Plan, Pairing, EligibilityRule, Subgroup, Criterion, DecisionLevel, CutOff, Privacy, Retention]
)
def test_it_names_every_key(model):
    for key, field in model.model_fields.items():
        assert re.search(rf"`{field.alias or key}[`:]", PAGE), key


def test_it_names_every_metric_and_equation():
    for name in METRICS:
        assert f"`{name}`" in PAGE
    for equation in EQUATIONS.values():
        assert f"| `{equation.name}` | {equation.formula} |" in PAGE


def test_it_says_the_defaults():
    plan = load_plan("calliper_plan: 1\ntitle: t\nmeasurand: bmi\nreference: a\nindex: b\n")
    for key in ("resamples", "seed", "level", "minimum_cell"):
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{key}` |"))
        assert row.split("|")[3].strip() == f"{getattr(plan, key)}"
