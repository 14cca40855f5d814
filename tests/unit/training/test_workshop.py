"""The whole recipe, followed with a handful of synthetic people, and what is told of them to whom."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyreadstat
import pytest

from models.body import open_body
from models.checkpoints import Card, read_checkpoint, trained_on
from models.errors import ModelFileError
from models.training.__main__ import main
from models.training.label_efficiency import label_curve
from models.training.nhanes import DATASET, REFERENCE, read_adults
from models.training.people import draw_people
from models.training.recipe import PACKAGED, read_recipe
from models.training.split import part_of
from models.training.workshop import LEARNT_FROM, Workshop
from studies.ingest.mapping import load_mapping
from studies.rendering.people import people_of
from studies.rendering.table import read_people_table

SMALL = """
seed = 3
[people]
learnt_from = 14
scans = 2
held_out = 4
[photos]
scans = 8
segmented = 6
repeated = 2
held_out_families = ["bedroom", "tiles"]
faulty = 0.2
[measured]
variants = 2
photographed = 1
"""
STAGES = ("segmenter", "avatar", "avatar_photos", "estimator_shapes", "estimator_labels", "estimator_unlabelled")


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files in the layout of NHANES, of synthetic people: 1 is a child, 2 has no DXA, 3 an imputed one."""
    folder = tmp_path_factory.mktemp("survey")
    people = draw_people(16, 8, open_body())
    number = np.arange(1.0, len(people) + 1)
    age = people["age"].round().to_numpy(copy=True)
    age[0] = 12
    demo = {"SEQN": number, "RIAGENDR": np.where(people["sex"] == "M", 1.0, 2.0), "RIDAGEYR": age, "RIDRETH1": 3.0}
    names = {
        "BMXWT": "weight_kg", "BMXHT": "stature_cm", "BMXWAIST": "waist_cm", "BMXARMC": "arm_cm",
        "BMXTHICR": "thigh_cm", "BMXTRI": "triceps_skinfold_mm", "BMXSUB": "subscapular_skinfold_mm",
    }  # fmt: skip
    bmx = {"SEQN": number} | {column: people[name].to_numpy() for column, name in names.items()}
    rows = np.repeat(number, 5)
    dxx = pd.DataFrame({"SEQN": rows, "_MULT_": np.tile(np.arange(1.0, 6), len(number)), "DXITOT": 0.0})
    dxx["DXDTOPF"] = 20.0 + dxx["SEQN"]
    dxx.loc[dxx["SEQN"] == 3, "DXITOT"] = 1.0
    for name, table in {"DEMO": demo, "BMX": bmx, "DXX": dxx[dxx["SEQN"] != 2]}.items():
        pyreadstat.write_xport(pd.DataFrame(table), str(folder / f"{name}.XPT"), file_format_version=5)
    return folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "small.toml"
    path.write_text(SMALL + "".join(f"[{stage}]\nepochs = 1\nbatch = 4\nrate = 1e-3\n" for stage in STAGES))
    return path


def test_adults_and_their_labels(survey: Path) -> None:
    adults = read_adults(survey)
    assert adults["subject"].tolist() == [str(number) for number in range(2, 17)]
    assert np.flatnonzero(adults[REFERENCE].isna()).tolist() == [0, 1]  # not there; imputed
    assert adults[REFERENCE][2] == 24


def test_the_adults_are_those_that_a_study_renders(shared: Path) -> None:
    """What is learnt from is what a study of the same files makes pictures of: names, facts and measurements."""
    folder = shared / "data" / "nhanes_1999_2000"
    found = read_adults(folder).set_index("subject")
    table = read_people_table(folder, load_mapping("nhanes-1999"))
    known = people_of(table.subjects, table.readings, reference="dxa").table.set_index("subject_id")
    assert set(found.index) == set(known.index)
    known = known.loc[found.index]
    for name in set(found.columns) - {REFERENCE}:
        assert found[name].equals(known[name]) or np.allclose(found[name], known[name], rtol=1e-12, equal_nan=True)
    dxa = table.readings[table.readings["method"].eq("dxa") & table.readings["measurand"].eq("body_fat_percent")]
    expected = dxa.set_index("subject_id")["value"].reindex(found.index)
    assert np.allclose(found[REFERENCE], expected, equal_nan=True)


def checkpoints_of(folder: Path) -> dict[str, Card]:
    return {card.kind: card for path in folder.glob("*.safetensors") for card in [read_checkpoint(path).card]}


def test_every_step_of_a_recipe(survey: Path, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--work", str(tmp_path), "--recipe", str(recipe), "--nhanes", str(survey), "--workers", "1"]
    assert main(["all", *given]) == 0
    for stage in STAGES:
        lines = [json.loads(line) for line in (tmp_path / stage / "curve.jsonl").read_text().splitlines()]
        assert [line["epoch"] for line in lines] == [1], stage
        assert np.isfinite(list(lines[0].values())).all(), stage
    first = checkpoints_of(tmp_path / "checkpoints")
    assert set(first) == {"segmenter", "avatar", "estimator"}
    capsys.readouterr()
    (tmp_path / "metrics.json").write_text('{"avatar": [{"name": "error", "value": 3.5, "data": "rendered"}]}')
    assert main(["all", *given, "--metrics", str(tmp_path / "metrics.json")]) == 0  # all is there
    assert ": step " not in capsys.readouterr().out
    again = checkpoints_of(tmp_path / "checkpoints")
    assert {kind: card.weights_sha256 for kind, card in again.items()} == {
        kind: card.weights_sha256 for kind, card in first.items()
    }
    assert [metric.name for metric in again["avatar"].metrics] == ["error"]
    adults = read_adults(survey)["subject"]
    learnt_from = {subject for subject in adults if part_of(DATASET, subject) != "test"}
    assert trained_on(again["estimator"], DATASET, adults) == learnt_from
    assert again["avatar"].training.subjects == again["segmenter"].training.subjects == 0
    assert sum(path.stat().st_size for path in (tmp_path / "checkpoints").glob("*")) < 10e6
    workshop = Workshop(tmp_path, read_recipe(recipe), data=survey, workers=1)
    measured = workshop.measured(LEARNT_FROM, rendered="measured")
    assert not [subject for subject in measured.people["subject"] if part_of(DATASET, subject) == "test"]
    assert len(measured.store) == 3 * len(measured.people)  # two bodies of each, one of them in photos
    for row in range(len(measured.people)):
        scans = measured.scans(np.array([row]))
        assert np.ptp(measured.store.numbers["measured"][scans, 0]) < 0.5  # the stature, in cm
        assert measured.people["stature_cm"][row] / 100 == pytest.approx(float(measured.labels.profile[scans[-1], 2]))

    learnt_from_few(workshop)
    assert main(["label_efficiency", *given, "--seeds", "0"]) == 0


def learnt_from_few(workshop: Workshop) -> None:
    rows = list(label_curve(workshop, [3, None], seeds=1, steps=2, batch=4))
    assert [(row["labels"], row["variant"]) for row in rows] == [
        (count, variant) for count in (3, rows[-1]["labels"]) for variant in ("neither", "stage 1", "stage 3", "both")
    ]
    assert rows[-1]["labels"] > 3
    assert list(label_curve(workshop, [3, None], seeds=1, steps=2, batch=4)) == rows  # nothing is done twice
    assert len({row["held_out_mae_profile"] for row in rows}) == len(rows)


def test_the_packaged_recipe_and_wrong_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_recipe(PACKAGED).people.learnt_from > 1000
    (tmp_path / "wrong.toml").write_text(SMALL.replace("seed = 3", "seed = -3\nspeed = 1"))
    with pytest.raises(ModelFileError, match="seed"):
        read_recipe(tmp_path / "wrong.toml")
    assert main(["people", "--work", str(tmp_path), "--recipe", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err
