"""`calliper cohort synthesize`: a folder with photos, the same each time, that an ingest takes whole."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from studies.errors import UsageError
from studies.rendering.blocks import LEAST_PHOTO_HEIGHT, VIEWS, Recipe
from studies.rendering.cohort import synthesize_cohort
from studies.synthetic import synthesize
from studies.synthetic.scans import draw_scans

SUBJECTS, RECIPE = 6, Recipe(seed=4, height=LEAST_PHOTO_HEIGHT)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """A small cohort in which much goes wrong, and what was said of it."""
    folder = tmp_path_factory.mktemp("cohort") / "out"
    return synthesize_cohort(folder, SUBJECTS, RECIPE, follow_up=0.6, faulty=0.5, replicates=0.5, workers=2)


def content(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_workers(made, tmp_path: Path) -> None:
    again = synthesize_cohort(
        tmp_path / "again", SUBJECTS, RECIPE, follow_up=0.6, faulty=0.5, replicates=0.5, workers=1
    )
    assert content(again.folder) == content(made.folder)
    assert (again.scans, again.photos) == (made.scans, made.photos)


def test_the_ingest_takes_all_of_it_and_says_what_it_is(made, desk_on_both) -> None:
    desk = desk_on_both
    result = desk.ingest(made.folder)
    assert result.rejected == 0
    assert result.report["flagged"]["rows"] == 0
    tables = result.report["tables"]
    assert [tables[name]["new"] for name in ("subjects", "readings", "scans")] == [
        made.subjects, made.readings, made.scans,
    ]  # fmt: skip
    assert result.report["notes"] == []
    assert result.report["provenance"][0].startswith("All subjects of this study are synthetic and all scans of it")
    assert desk.subjects()["monk_skin_tone"].between(1, 10).all()
    again = desk.ingest(made.folder)
    assert again.report["status"] == "unchanged"


def test_the_readings_are_those_of_the_cohort_without_photos(made, tmp_path: Path) -> None:
    bare = synthesize_cohort(tmp_path / "bare", SUBJECTS, RECIPE, photos=False, follow_up=0.6)
    assert sorted(path.name for path in bare.folder.iterdir()) == ["README.txt", "readings.csv", "subjects.csv"]
    for name in ("readings.csv", "subjects.csv"):
        assert (bare.folder / name).read_bytes() == (made.folder / name).read_bytes()


def test_every_scan_has_the_photos_that_it_names_upright_and_of_the_size_asked_for(made) -> None:
    scans = pd.read_csv(made.folder / "scans.csv")
    names = scans[list(VIEWS)].melt()["value"].dropna()
    assert sorted(names) == sorted(f"photos/{path.name}" for path in (made.folder / "photos").iterdir())
    assert len(names) == made.photos
    for name in names:
        with Image.open(made.folder / name) as photo:
            assert photo.height == LEAST_PHOTO_HEIGHT
            assert photo.width < photo.height
            assert not photo.getexif()


def test_repeats_and_other_visits_are_other_photos(made) -> None:
    hashes = [hash_ for name, hash_ in content(made.folder).items() if name.startswith("photos/")]
    assert len(set(hashes)) == len(hashes)
    scans = pd.read_csv(made.folder / "scans.csv")
    assert {"scan-1", "scan-2"} == set(scans["scan_id"])
    assert {"baseline", "week-12"} == set(scans["visit"])


def test_the_truth_holds_the_body_of_each_visit_and_the_fault_of_each_photo(made) -> None:
    bodies = pd.read_csv(made.folder / "truth" / "bodies.csv")
    photos = pd.read_csv(made.folder / "truth" / "photos.csv")
    cohort = synthesize(SUBJECTS, RECIPE.seed, follow_up=0.6)
    pd.testing.assert_frame_equal(bodies[list(cohort.bodies)], cohort.bodies, check_dtype=False, rtol=1e-6)
    betas = bodies.filter(like="beta_").to_numpy()
    assert np.isnan(betas).any(axis=1).tolist() == bodies["refused"].notna().tolist()
    assert len(photos) == made.photos
    assert photos["fault"].notna().any()


def test_bodies_in_the_pictures_have_the_measurements_of_their_people(made) -> None:
    from models.body import open_body
    from models.fit import TOLERANCE
    from models.measure import measure

    bodies = pd.read_csv(made.folder / "truth" / "bodies.csv")
    met = bodies[bodies["refused"].isna() & bodies["flagged"].isna()]
    assert len(met) > 0.8 * len(bodies)
    body = open_body()
    measured = measure(body.shaped(met.filter(like="beta_").to_numpy()), body)
    for name in ("waist_cm", "arm_cm", "thigh_cm"):
        assert np.abs(measured[name] - met[name]).max() <= TOLERANCE["girth_cm"], name
    assert np.abs(measured["stature_cm"] - met["stature_cm"]).max() <= TOLERANCE["stature_cm"]


def test_a_cohort_in_which_nobody_was_scanned_is_one_without_scans(tmp_path: Path) -> None:
    seed = next(seed for seed in range(200) if draw_scans(synthesize(1, seed, follow_up=0.0), seed).table.empty)
    made = synthesize_cohort(tmp_path / "out", 1, Recipe(seed), follow_up=0.0, workers=1)
    assert (made.scans, made.photos) == (0, 0)
    assert not (made.folder / "scans.csv").exists()
    assert "photographed" not in (made.folder / "README.txt").read_text(encoding="utf-8")


def test_a_body_changes_with_its_mass_and_stays_the_same_person(made) -> None:
    bodies = pd.read_csv(made.folder / "truth" / "bodies.csv").set_index(["subject_id", "visit"])
    shape = bodies.filter(like="beta_").dropna()
    both = shape.unstack().dropna().stack(future_stack=True)
    same = both.groupby("subject_id").agg(lambda pair: abs(pair.iloc[1] - pair.iloc[0]))
    people = shape.xs("baseline", level="visit")
    apart = abs(people.to_numpy()[1:] - people.to_numpy()[:-1])
    assert 0 < np.sqrt((same.to_numpy() ** 2).sum(axis=1)).mean() < 0.5 * np.sqrt((apart**2).sum(axis=1)).mean()


def test_body_fat_is_not_in_the_picture(made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same people with another body fat have the same photos."""
    from studies.rendering import cohort as module

    def leaner(*words, **options):
        drawn = synthesize(*words, **options)
        drawn.bodies["body_fat_percent"] -= 5.0
        return drawn

    monkeypatch.setattr(module, "synthesize", leaner)
    other = synthesize_cohort(
        tmp_path / "leaner", SUBJECTS, RECIPE, follow_up=0.6, faulty=0.5, replicates=0.5, workers=1
    )
    photos = [{name: h for name, h in content(one.folder).items() if "photos/" in name} for one in (made, other)]
    assert photos[0] == photos[1]
    bodies = [(one.folder / "truth" / "bodies.csv").read_bytes() for one in (made, other)]
    assert bodies[0] != bodies[1]


def test_the_readme_says_that_nobody_exists_and_that_photos_are_rendered(made) -> None:
    text = (made.folder / "README.txt").read_text(encoding="utf-8")
    assert "Nobody in these files exists" in text
    assert "No one was photographed" in text
    assert "truth/" in text


def test_a_call_that_cannot_be_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for words, options in (((0, RECIPE), {}), ((5, RECIPE), {"sites": 0}), ((5, RECIPE), {"faulty": 2.0})):
        with pytest.raises(UsageError):
            synthesize_cohort(out, *words, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from studies.errors import StorageError
    from studies.rendering import photos as module

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(module, "_write", full)
    with pytest.raises(StorageError, match="No space left"):
        synthesize_cohort(tmp_path / "out", 3, RECIPE, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_the_command_tells_what_it_made(command, tmp_path: Path) -> None:
    words = ("--subjects", 3, "--seed", 1, "--height", LEAST_PHOTO_HEIGHT, "--workers", 1)
    told = command("cohort", "synthesize", "--out", "c", *words)
    assert told.code == 0, told.error
    assert "3 synthetic people" in told.out
    assert "Next: calliper ingest STUDY c" in told.out
    as_json = command("cohort", "synthesize", "--out", "d", *words, "--json")
    assert json.loads(as_json.out)["subjects"] == 3
    assert content(tmp_path / "c") == content(tmp_path / "d")
    again = command("cohort", "synthesize", "--out", "c", *words)
    assert again.code == 2
    assert "c is not empty" in again.error


def test_photos_show_someone(made) -> None:
    """Not one flat colour: a person before a background spreads light widely, in every good photo."""
    truth = pd.read_csv(made.folder / "truth" / "photos.csv")
    for name in truth.loc[truth["fault"].isna(), "photo"]:
        with Image.open(io.BytesIO((made.folder / name).read_bytes())) as photo:
            assert np.asarray(photo.convert("L"), dtype=float).std() > 8


def test_a_sheet_shows_scans_and_what_is_wrong_with_photos(made, command, tmp_path: Path) -> None:
    told = command("cohort", "sheet", made.folder, "--out", "sheet.png", "--scans", 3)
    assert told.code == 0, told.error
    assert told.out == "3 scans: sheet.png\n"
    with Image.open(tmp_path / "sheet.png") as page:
        assert page.width > 4 * 135
        assert page.height > 3 * 240


def test_a_sheet_is_made_of_rendered_scans_alone(made, command, tmp_path: Path) -> None:
    scans = pd.read_csv(made.folder / "scans.csv")
    scans.assign(rendered=["no"] + ["yes"] * (len(scans) - 1)).to_csv(tmp_path / "scans.csv", index=False)
    told = command("cohort", "sheet", tmp_path)
    assert told.code == 3
    assert "has scans that are not rendered" in told.error
    assert command("cohort", "sheet", tmp_path / "nowhere").code == 3
    assert command("cohort", "sheet", made.folder, "--scans", 0).code == 2
