"""`calliper agree`: the statistics for any table on disk, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

# Peak expiratory flow rate (l/min) of 17 subjects by Wright's meter and a mini meter, twice each: Bland & Altman,
# Lancet 1986;i:307-310, table 1.
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "pefr.csv"
    rows = [f"{i},{w},{m},{w + 1},{'ab'[i % 2]}" for i, (w, m) in enumerate(zip(WRIGHT, MINI, strict=True), 1)]
    path.write_text("id,wright,mini,shifted,group\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def results(run, table: Path, *options: str) -> dict:
    out = table.with_name("out.json")
    done = run("agree", table, "--reference", "wright", "--json", out, "--resamples", 500, *options)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text(encoding="utf-8"))


def test_the_published_figures_come_out_in_the_documented_shape(calliper, table) -> None:
    found = results(calliper, table, "--test", "mini", "--test", "shifted", "--by", "group", "--minimum-cell", "5")
    mini = found["tests"]["mini"]
    assert (found["n"], found["reference"], mini["n"]) == (17, "wright", 17)
    # The paper: mean difference 2.1 l/min (Wright - mini: -2.1), SD 38.8, limits -79.7 and 75.5 for Wright - mini.
    assert mini["bias"]["estimate"] == pytest.approx(2.1176, abs=5e-5)
    assert mini["sd"] == pytest.approx(38.765, abs=5e-4)
    assert mini["limits"]["interval"] == "exact"
    assert mini["limits"]["lower"]["low"] < mini["limits"]["lower"]["estimate"] < mini["limits"]["lower"]["high"]
    keys = {"mae", "rmse", "median_ae", "mape", "within", "pearson", "ccc", "icc", "deming", "passing_bablok"}
    assert keys <= set(mini)
    assert set(mini["icc"]) == {"ICC(1,1)", "ICC(A,1)", "ICC(C,1)", "ICC(1,k)", "ICC(A,k)", "ICC(C,k)"}
    assert found["tests"]["shifted"]["bias"]["estimate"] == 1
    assert {entry["metric"] for entry in found["comparisons"]} >= {"mae", "rmse"}
    assert set(found["subgroups"]["group"]["by_group"]) == {"a", "b"}
    assert found["subgroups"]["group"]["by_group"]["a"]["n"] == 8


@pytest.mark.parametrize("limits", ["exact", "exact-paired", "mover", "approximate", "nonparametric"])
def test_every_kind_of_limits_can_be_asked_for(calliper, table, limits) -> None:
    found = results(calliper, table, "--test", "mini", "--limits", limits)["tests"]["mini"]["limits"]
    assert found["interval"] == ("bootstrap" if limits == "nonparametric" else limits)


def test_groups_can_be_crossed(calliper, table) -> None:
    lines = table.read_text(encoding="utf-8").splitlines()
    rows = [f"{line},{'xy'[i % 4 // 2]}" for i, line in enumerate(lines[1:])]
    table.write_text("\n".join([f"{lines[0]},half", *rows]) + "\n", encoding="utf-8")
    found = results(calliper, table, "--test", "mini", "--by", "group*half", "--minimum-cell", "3", "--adjust", "bh")
    assert set(found["subgroups"]["group*half"]["by_group"]) == {"a × x", "a × y", "b × x", "b × y"}


def test_the_order_of_the_rows_does_not_matter(calliper, table) -> None:
    first = results(calliper, table, "--test", "mini")
    header, *rows = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join([header, *reversed(rows)]) + "\n", encoding="utf-8")
    assert results(calliper, table, "--test", "mini") == first


def test_a_semicolon_table_with_decimal_commas_and_missing_values(calliper, tmp_path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{30 + i},5;{31 + i},{i}" for i in range(9)]
    path.write_text("ref;test\n" + "\n".join([*rows, "NA;31,2", "40,1;"]) + "\n", encoding="latin-1")
    out = tmp_path / "o.json"
    done = calliper("agree", path, "--reference", "ref", "--test", "test", "--json", out, "--resamples", 200)
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text())["tests"]["test"]["n"] == 9


def test_a_plan_gives_level_resamples_and_seed(calliper, table, tmp_path) -> None:
    plan = tmp_path / "plan.yaml"
    text = calliper("plan", "show", "demo").stdout
    plan.write_text(text, encoding="utf-8")
    done = calliper("agree", table, "--reference", "wright", "--test", "mini", "--plan", plan)
    assert done.returncode == 0, done.stderr
    assert "seed 20240229" in done.stdout


PLAN = """calliper_plan: 1
title: Mini meter against Wright's
measurand: waist_cm
reference: wright
index: mini
comparators: [shifted, absent]
limits: mover
resamples: 300
minimum_cell: 5
subgroups:
  - {name: side, attribute: group, labels: {a: Left, b: Right}}
  - {name: flow, measurand: waist_cm, cut_points: [430]}
  - {name: size, measurand: weight_kg, cut_points: [60]}
margins: {bias: 30}
criteria:
  - {name: Error, metric: mae, at_most: 30}
  - {name: Error on the left, metric: mae, group: side=Left, at_most: 1}
  - {name: Closer, metric: mae_ratio, against: shifted, at_most: 1, judged_by: interval}
  - {name: Not here, metric: mae, method: absent, at_most: 1}
"""


def test_a_plan_gives_settings_subgroups_margins_and_criteria(calliper, table, tmp_path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN, encoding="utf-8")
    out = tmp_path / "out.json"
    columns = ["--reference", "wright", "--test", "mini", "--test", "shifted"]
    done = calliper("agree", table, *columns, "--plan", plan, "--json", out)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["tests"]["mini"]["limits"]["interval"] == "mover"
    assert found["plan"]["title"] == "Mini meter against Wright's"
    assert set(found["subgroups"]["side"]["by_group"]) == {"Left", "Right"}
    assert {name: group["n"] for name, group in found["subgroups"]["flow"]["by_group"].items()} == {
        "<430": 7,
        "≥430": 10,
    }
    assert found["verdicts"]["mini"] == {"bias": "meets"}
    assert [(row["name"], row["verdict"]) for row in found["criteria"]] == [
        ("Error", "met"),
        ("Error on the left", "not met"),
        ("Closer", "not met"),
    ]
    assert "no column for: size" in done.stderr
    assert "cannot tell of: Not here" in done.stderr
    assert "mae_ratio of mini against shifted at most 1" in done.stdout
    changed = calliper("agree", table, *columns, "--plan", plan, "--limits", "exact", "--scale", "log", "--json", out)
    assert changed.returncode == 0, changed.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert (found["tests"]["mini"]["limits"]["interval"], found["criteria"]) == ("exact", [])
    assert "not judged on another scale" in changed.stderr
    other = calliper("agree", table, "--reference", "mini", "--test", "wright", "--plan", plan, "--json", out)
    assert json.loads(out.read_text(encoding="utf-8"))["criteria"] == []
    assert "cannot tell of: Error" in other.stderr


def test_fairness_bands_and_margins_are_options(calliper, table) -> None:
    options = ("--by", "group", "--minimum-cell", "5", "--fairness", "--covariate", "shifted", "--band", "430")
    found = results(calliper, table, "--test", "mini", *options, "--margin", "30", "--mae-margin", "20")
    fairness = found["subgroups"]["group"]["fairness"]["mini"]
    assert set(fairness["pooled"]) == {"bias", "mae"}
    # The covariate follows from the reference, so the adjusted test cannot be made, and says so.
    assert "told apart" in fairness["left_out"]["equal bias, adjusted"]
    assert set(found["subgroups"]["bands of wright"]["by_group"]) == {"< 430", "≥ 430"}
    assert set(found["verdicts"]["mini"]) == {"bias", "mae"}


def test_jackknife_intervals_for_few_subjects(calliper, table) -> None:
    bca, jackknife = (
        results(calliper, table, "--test", "mini", "--intervals", how)["tests"]["mini"]["mae"]
        for how in ("bca", "jackknife")
    )
    assert bca["estimate"] == jackknife["estimate"]
    assert jackknife["high"] - jackknife["low"] > bca["high"] - bca["low"]


def test_survey_weights_and_decision_levels(calliper, table) -> None:
    lines = table.read_text(encoding="utf-8").splitlines()
    rows = [f"{line},{1 + i % 3},{'st'[i % 2]},{i % 4}" for i, line in enumerate(lines[1:])]
    table.write_text("\n".join([f"{lines[0]},w,stratum,psu", *rows]) + "\n", encoding="utf-8")
    options = ("--weight", "w", "--stratum", "stratum", "--psu", "psu", "--decision-level", "400", "--error-ratio", "2")
    mini = results(calliper, table, "--test", "mini", "--regress-on", "reference", *options)["tests"]["mini"]
    assert mini["survey"]["n"] == 17
    assert mini["survey"]["df"] == 2
    assert mini["bias_at"]["400"]["deming"]["low"] < mini["bias_at"]["400"]["deming"]["high"]


@pytest.mark.parametrize("repeated", ["constant", "varying", "mixed"])
def test_repeated_rows(calliper, tmp_path, repeated) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{i // 2},{400 + 7 * i % 90},{402 + (7 * i + i % 5) % 90}" for i in range(40)]
    path.write_text("id,wright,mini\n" + "\n".join(rows) + "\n", encoding="utf-8")
    found = results(calliper, path, "--test", "mini", "--subject", "id", "--repeated", repeated)["tests"]["mini"]
    assert (found["n"], found["subjects"]) == (40, 20)


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--reference", "wrigth", "--test", "mini"], 3, ["no column 'wrigth'", "Did you mean 'wright'?"]),
        (["--reference", "wright", "--test", "group"], 3, ["row 2, column 'group'", "is not a number"]),
        (["--reference", "wright", "--test", "mini", "--limits", "narrow"], 3, ["narrow", "exact"]),
        (["--reference", "wright"], 2, ["--test"]),
    ],
)
def test_what_is_wrong_is_told(calliper, table, options, code, told) -> None:
    done = calliper("agree", table, *options)
    assert done.returncode == code, done.stderr
    for part in told:
        assert part in done.stderr
    assert "Traceback" not in done.stderr
