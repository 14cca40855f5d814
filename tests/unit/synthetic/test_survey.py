"""The synthetic cohort beside the survey that it was fitted to."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from studies.errors import DataError
from studies.synthetic import compare, fit
from studies.synthetic.population import draw_people, population
from studies.synthetic.regression import Regression

ROOT = Path(compare.__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def survey_folder(shared):
    return shared / "data" / "nhanes_1999_2000"


@pytest.fixture(scope="module")
def figures(survey_folder):
    return compare.compare(survey_folder)


@pytest.mark.parametrize("table", ["marginal", "correlation", "group", "scale", "unreadable"])
def test_a_cohort_of_five_thousand_is_like_the_survey(figures, table):
    chosen = [figure for figure in figures if figure.table == table]
    assert chosen
    outside = [figure for figure in chosen if not figure.within]
    assert not outside


def test_the_survey_is_read_as_published(figures):
    """Pairs, bias and MAE of bioimpedance against measured DXA, computed from the files another way."""
    scale = {figure.statistic: figure for figure in figures if figure.table == "scale" and figure.group == "all"}
    assert scale["bias"].n == 1_823
    assert scale["bias"].survey == pytest.approx(-0.1427, abs=1e-4)
    assert scale["MAE"].survey == pytest.approx(4.0133, abs=1e-4)


def test_the_document_has_the_tables_of_this_comparison(figures):
    text = compare.DOCUMENT.read_text(encoding="utf-8")
    written = text.partition(compare.BEGIN)[2].partition(compare.END)[0].strip()
    assert written == compare.tables(figures, compare.SUBJECTS, compare.SEED).strip()


def test_the_packaged_coefficients_come_from_the_survey(survey_folder, tmp_path):
    """Fitted anew, every distribution is the packaged one, but for the last digits of the optimiser."""
    command = [sys.executable, "-m", "studies.synthetic.fit", str(survey_folder), "--out", str(tmp_path / "new.json")]
    subprocess.run(command, check=True, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"}, cwd=ROOT)
    document = json.loads((tmp_path / "new.json").read_text(encoding="utf-8"))
    packaged = population()
    people = draw_people(500, np.random.default_rng(3))
    assert document["women"] == packaged.women
    for sex, part in document["sexes"].items():
        np.testing.assert_array_equal(part["age"], packaged.sexes[sex].age)
        np.testing.assert_array_equal(part["ethnicity"], packaged.sexes[sex].ethnicity)
        for column, fields in part["regressions"].items():
            new = Regression.from_dict({key: value for key, value in fields.items() if key != "people"})
            old = packaged.sexes[sex].regressions[column]
            shift = (new.mu(people) - old.mu(people)) / old.sigma(people)
            assert np.abs(shift).max() < 0.05, (sex, column)
            assert np.abs(new.sigma(people) / old.sigma(people) - 1).max() < 0.05, (sex, column)
            assert new.delta == pytest.approx(old.delta, rel=0.05)


def test_a_folder_without_the_files_says_which_are_missing(tmp_path):
    (tmp_path / "DEMO.XPT").touch()
    with pytest.raises(DataError, match=r"^BMX\.XPT, DXX\.XPT, BIX\.XPT not found"):
        fit.read_nhanes(tmp_path)


def test_a_document_without_a_place_for_the_tables_is_refused(tmp_path):
    with pytest.raises(DataError, match="no place"):
        compare.write_tables(tmp_path, tmp_path / "missing.md")
