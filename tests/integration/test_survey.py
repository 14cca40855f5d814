"""NHANES through the command line: the published files as they are, later cycles, other formats, and the numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest

FILES = ("DEMO", "BMX", "BIX", "DXX")


def made_up(people: int = 30, seed: int = 1) -> dict[str, pd.DataFrame]:
    """Small tables with the survey's columns and habits: codes, missing values, five DXA rows a person."""
    rng = np.random.default_rng(seed)
    number = np.arange(1, people + 1, dtype=float)
    man = rng.integers(1, 3, people).astype(float)
    stature, bmi = np.round(rng.normal(168, 8, people), 1), np.round(rng.normal(27, 3, people), 2)
    weight = np.round(bmi * (stature / 100) ** 2, 1)
    waist = np.round(stature * np.exp((np.log(bmi) - 1.5005 - 0.4888 * np.log(stature)) / 1.2155), 1)
    fat = np.round(rng.normal(30, 5, people), 1)
    demo = {"SEQN": number, "RIAGENDR": man, "RIDAGEYR": rng.integers(18, 50, people).astype(float)}
    demo |= {"RIDRETH1": rng.integers(1, 6, people).astype(float), "SDDSRVYR": 1.0, "WTMEC2YR": 1234.5}
    bmx = {"SEQN": number, "BMXWT": weight, "BMXHT": stature, "BMXBMI": bmi, "BMXWAIST": waist}
    bmx["BMXWAIST"][3] = np.nan
    for name in ("BMXWT", "BMXHT", "BMXBMI", "BMXWAIST"):  # came, and was not measured
        bmx[name][9] = np.nan
    bix = {"SEQN": number, "BIAEXSTS": np.where(number == 5, 3.0, 1.0), "BIDPFAT": fat + 1}
    dxx = pd.DataFrame({"SEQN": number, "DXITOT": np.where(number == 7, 1.0, 0.0), "DXDTOPF": fat})
    dxx = dxx.loc[dxx.index.repeat(5)].assign(_MULT_=np.tile(np.arange(1.0, 6.0), people))
    return {"DEMO": pd.DataFrame(demo), "BMX": pd.DataFrame(bmx), "BIX": pd.DataFrame(bix), "DXX": dxx}


def cycle_of(tables: dict[str, pd.DataFrame], number: int) -> dict[str, pd.DataFrame]:
    """The same people as another cycle would have them."""
    return {name: frame.assign(SEQN=frame["SEQN"] + 10_000 * number) for name, frame in tables.items()}


def write_transport(folder: Path, names: dict[str, str], tables: dict[str, pd.DataFrame]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for name, file in names.items():
        paths.append(folder / file)
        pyreadstat.write_xport(tables[name], str(paths[-1]), file_format_version=5, table_name=name)
    return paths


def counts(result) -> tuple[int, int, int]:
    tables = result.report["tables"]
    return tables["subjects"]["new"], tables["readings"]["new"], result.rejected


def test_made_up_files_are_selected_as_the_survey_is(desk) -> None:
    paths = write_transport(desk.folder, {name: f"{name}.XPT" for name in FILES}, made_up())
    result = desk.ingest(*paths, mapping="nhanes-1999")
    # 29 x (mass, stature, BMI) + 28 waists, one bioimpedance exam not complete, one DXA imputed.
    assert counts(result) == (30, 3 * 29 + 28 + 29 + 29, 0)
    reasons = {source["file"]: source["rows_not_selected"] for source in result.report["sources"]}
    assert reasons["BMX.XPT"] == [{"reason": "no value in BMXWT, BMXHT, BMXBMI, BMXWAIST", "n": 1}]
    assert reasons["BIX.XPT"] == [{"reason": "bioimpedance exam not complete", "n": 1}]
    assert {entry["reason"]: entry["n"] for entry in reasons["DXX.XPT"]} == {
        "further imputation of the same scan": 120,
        "DXA imputed or not valid": 1,
    }
    desk.assert_all_accounted_for(result, {"DEMO.XPT": 30, "BMX.XPT": 30, "BIX.XPT": 30, "DXX.XPT": 150}, first=1)
    person = desk.subjects().loc["1"]
    assert person["cycle"] == 1
    assert person["survey_weight_2yr"] == 1234.5


@pytest.mark.parametrize(
    "names",
    [
        {name: f"{name}_B.XPT" for name in FILES},
        {name: f"{name.lower()}_c.xpt" for name in FILES},
        {name: f"{name.title()}.Xpt" for name in FILES},
    ],
    ids=["suffix", "small letters", "mixed letters"],
)
def test_cycles_of_other_names_are_served_unchanged(desk, names) -> None:
    paths = write_transport(desk.folder, names, cycle_of(made_up(), 1))
    assert counts(desk.ingest(*paths, mapping="nhanes-1999")) == (30, 173, 0)


@pytest.mark.parametrize("whole", [True, False], ids=["numbers as whole numbers", "numbers as decimals"])
def test_other_formats_with_the_same_columns_say_the_same(desk, whole: bool) -> None:
    """A CSV that a program wrote from SAS's numbers may have 1.0 for the code 1."""
    tables = made_up()
    first = desk.ingest(
        *write_transport(desk.folder / "xpt", {n: f"{n}.XPT" for n in FILES}, tables), mapping="nhanes-1999"
    )
    assert counts(first) == (30, 173, 0)
    paths = []
    for name, frame in tables.items():
        if whole:
            frame = frame.astype({c: "Int64" for c in frame if (frame[c].dropna() % 1 == 0).all()})
        paths.append(desk.write(f"csv/{name}.csv", frame.to_csv(index=False)))
    again = desk.ingest(*paths, mapping="nhanes-1999")
    assert again.rejected == 0
    assert again.report["tables"]["readings"]["unchanged"] == 173
    assert again.report["tables"]["subjects"]["unchanged"] == 30


def test_several_cycles_go_into_one_study(desk) -> None:
    first = made_up()
    paths = write_transport(desk.folder, {name: f"{name}.XPT" for name in FILES}, first)
    for number, letter in enumerate("BC", start=1):
        paths += write_transport(desk.folder, {n: f"{n}_{letter}.XPT" for n in FILES}, cycle_of(first, number))
    assert counts(desk.ingest(*paths, mapping="nhanes-1999")) == (90, 3 * 173, 0)


def test_a_reading_of_someone_of_another_cycle_is_refused(desk, refused) -> None:
    tables = made_up()
    paths = write_transport(desk.folder, {"DEMO": "DEMO.XPT"}, tables)
    paths += write_transport(desk.folder, {"BIX": "BIX_B.XPT"}, cycle_of(tables, 1))
    told = refused(desk.ingest(*paths, mapping="nhanes-1999"))
    assert told["BIX_B.XPT", 1][0]["reason"] == "subject '10001' is not registered"
    assert told["BIX_B.XPT", 1][0]["column"] == "SEQN"


# The published files -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def survey(shared: Path) -> list[Path]:
    return [shared / "data" / "nhanes_1999_2000" / f"{name}.XPT" for name in FILES]


def test_the_published_numbers_come_out_of_the_command_line(command, survey, tmp_path: Path) -> None:
    assert command("study", "create", "nhanes", "--template", "nhanes-1999").code == 0
    ingested = command("ingest", "nhanes", *survey, "--mapping", "nhanes-1999")
    assert ingested.code == 0, ingested.out + ingested.error
    analysed = command("analyze", "nhanes", "--json", tmp_path / "results.json")
    assert analysed.code == 0, analysed.error
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))

    assert results["n"] == 1823
    bia = results["tests"]["bia"]

    def estimate(*path: str, of=bia) -> float:
        for name in path:
            of = of[name]
        return of["estimate"] if isinstance(of, dict) else of

    printed = {
        "bias": (estimate("bias"), -0.143),
        "sd": (estimate("sd"), 5.061),
        "lower limit": (estimate("limits", "lower"), -10.063),
        "upper limit": (estimate("limits", "upper"), 9.777),
        "mae": (estimate("mae"), 4.013),
        "rmse": (estimate("rmse"), 5.062),
        "ccc": (estimate("ccc"), 0.872),
        "mae of deurenberg": (estimate("mae", of=results["tests"]["deurenberg"]), 4.632),
        "mae of rfm": (estimate("mae", of=results["tests"]["rfm"]), 2.761),
    }
    by_sex = results["subgroups"]["sex"]["by_group"]
    printed |= {
        f"mae of {sex}": (estimate("mae", of=by_sex[sex]["tests"]["bia"]), value)
        for sex, value in (("F", 3.695), ("M", 4.309))
    }
    for name, (found, expected) in printed.items():
        assert found == pytest.approx(expected, abs=0.0005), name
    assert results["tests"]["rfm"]["n"] == 1819
    flow = results["flow"]["subjects"]
    assert flow["total"] == flow["analysed"] + sum(entry["n"] for entry in flow["excluded"])


def test_the_published_files_as_three_cycles(desk, survey) -> None:
    """The same people under other numbers, in files named as later cycles are: three times as many of everything."""
    paths = list(survey)
    tables = {path.stem: pyreadstat.read_xport(str(path))[0] for path in survey}
    for number, names in enumerate(
        ({n: f"{n}_B.XPT" for n in FILES}, {n: f"{n.lower()}_c.xpt" for n in FILES}), start=1
    ):
        paths += write_transport(desk.folder, names, cycle_of(tables, number))
    result = desk.ingest(*paths, mapping="nhanes-1999")
    assert result.rejected == 0
    people = len(tables["DEMO"])
    assert result.report["tables"]["subjects"]["new"] == 3 * people
    readings = desk.readings()
    pairs = readings[readings["measurand"] == "body_fat_percent"].pivot(
        index="subject_id", columns="method", values="value"
    )
    adults = desk.subjects()["age"] >= 18
    both = pairs.dropna().index.intersection(adults[adults].index)
    assert len(both) == 3 * 1823
