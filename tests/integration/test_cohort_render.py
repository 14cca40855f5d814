"""`calliper cohort render`: scans for registered people and for tables, once and not twice, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import select

from studies.errors import StorageError, UsageError
from studies.registry.catalogue import describe_study
from studies.registry.schema import Photo, Scan, Subject, Visit
from studies.rendering.blocks import LEAST_PHOTO_HEIGHT, Recipe
from studies.rendering.study import render_study

RECIPE = Recipe(seed=3, height=LEAST_PHOTO_HEIGHT)
PEOPLE = {
    "A1": ("F", 40, 165.0, 62.0, 78.0), "A2": ("M", 55, 181.0, 94.0, 104.0), "A3": ("F", 29, 158.0, 55.0, 70.0),
    "A4": ("M", 33, 174.0, 71.0, 82.0),
}  # fmt: skip
CHILD, UNMEASURED = "B1", "B2"


def fill(desk) -> None:
    """Four people who can be rendered, a child, one without a stature, and DXA readings of all."""
    subjects = [f"{name},{sex},{age}" for name, (sex, age, *_) in PEOPLE.items()]
    desk.write("subjects.csv", "\n".join(["subject_id,sex,age", *subjects, f"{CHILD},F,9", f"{UNMEASURED},M,50", ""]))
    lines = ["subject_id,visit,measured_at,measurand,method,value"]
    for name, (*_, stature, weight, waist) in PEOPLE.items():
        for measurand, value in (("stature_cm", stature), ("weight_kg", weight), ("waist_cm", waist)):
            lines.append(f"{name},v1,2024-05-02T10:00,{measurand},anthropometry,{value}")
        lines.append(f"{name},v1,2024-05-02T11:00,body_fat_percent,dxa,30")
    lines += [f"{CHILD},v1,,weight_kg,anthropometry,30", f"{CHILD},v1,,stature_cm,anthropometry,135"]
    lines += [f"{UNMEASURED},v1,,weight_kg,anthropometry,80", ""]
    desk.write("readings.csv", "\n".join(lines))
    desk.ingest(desk.folder)


def scans(desk) -> pd.DataFrame:
    query = (
        select(
            Subject.code,
            Visit.label,
            Scan.id,
            Scan.code.label("scan"),
            Scan.rendered,
            Scan.attributes,
            Scan.captured_at,
        )
        .join_from(Scan, Visit, Scan.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .order_by(Subject.code)
    )
    with desk.registry.reading() as connection:
        return pd.DataFrame(connection.execute(query).mappings().all())


def photos(desk) -> dict[tuple[int, str], str]:
    with desk.registry.reading() as connection:
        rows = connection.execute(select(Photo.scan_id, Photo.view, Photo.sha256, Photo.media_type)).all()
    for row in rows:
        assert desk.registry.photos.path(row.sha256, row.media_type).is_file()
    return {(row.scan_id, row.view): row.sha256 for row in rows}


def render(desk, **options):
    return render_study(desk.registry, desk.study, RECIPE, **({"workers": 1} | options))


def test_everyone_who_can_be_rendered_gets_four_views_once(desk_on_both) -> None:
    desk = desk_on_both
    fill(desk)
    before = desk.frames()
    done = render(desk)
    assert done.rendered == set(PEOPLE)
    assert {one.subject_id: one.reason for one in done.refused} == {
        CHILD: "younger than 18 years: the body model is one of adults", UNMEASURED: "stature was not measured",
    }  # fmt: skip
    made = scans(desk)
    assert made["code"].tolist() == sorted(PEOPLE)
    assert made["rendered"].all()
    assert set(made["captured_at"].astype(str)) == {"2024-05-02 10:00:00"}
    assert len(set(photos(desk).values())) == 4 * len(PEOPLE)
    assert {attributes["render_seed"] for attributes in made["attributes"]} == {3}
    assert all(1 <= attributes["rendered_skin_tone"] <= 10 for attributes in made["attributes"])
    pd.testing.assert_frame_equal(desk.frames().subjects, before.subjects)
    pd.testing.assert_frame_equal(desk.frames().measurements, before.measurements)

    first = desk.tables()
    again = render(desk)
    assert (again.scans, again.before, again.batches) == (0, set(PEOPLE), [])
    assert desk.tables() == first


def test_the_trail_tells_of_the_scans_and_of_the_call(desk) -> None:
    fill(desk)
    done = render(desk)
    assert desk.events("ingest")[-1]["detail"]["rendered_scans"] == len(PEOPLE)
    (event,) = desk.events("render")
    assert event["detail"]["seed"] == 3
    assert event["detail"]["scans"] == len(PEOPLE)
    assert event["detail"]["batches"] == done.batches == [2]
    with desk.registry.reading() as connection:
        assert describe_study(connection, desk.study)["rendered_scans"] == len(PEOPLE)
    assert all("rendered" in path.read_text(encoding="utf-8") for path in desk.registry.ingests.glob("*-2/ingest.json"))


def test_more_people_are_added_to_those_that_are_there(desk) -> None:
    fill(desk)
    first = render(desk, subjects=2).rendered
    assert len(first) == 2
    kept = photos(desk)
    more = render(desk, subjects=3)
    assert (len(more.rendered), more.before) == (1, first)
    assert kept.items() <= photos(desk).items()


def test_only_those_who_are_asked_for(desk, command, tmp_path: Path, tiny_checkpoint) -> None:
    """Of the list, unseen by the checkpoints that have an alias, and measured by the reference."""
    fill(desk)
    desk.registry.close()
    for kind, subjects in (("estimator", ["A1"]), ("avatar", ["A2"])):
        assert command("checkpoint", "add", tiny_checkpoint(tmp_path, kind=kind, name=f"the-{kind}",
                                                            subjects=("trial", subjects))).code == 0  # fmt: skip
        assert command("checkpoint", "alias", f"the-{kind}", "mine").code == 0
    (tmp_path / "list.txt").write_text(f"# of the trial\nA1\nA2 # again\n\nA3\n{CHILD}\n", encoding="utf-8-sig")
    size = ("--height", LEAST_PHOTO_HEIGHT, "--workers", 1, "--json")
    made = command("cohort", "render", "trial", "--only", "list.txt", "--unseen-by", "mine", *size)
    assert made.code == 0, made.error
    assert json.loads(made.out)["scans"] == 1
    assert [one["subject_id"] for one in json.loads(made.out)["refused"]] == [CHILD]
    measured = json.loads(
        command("cohort", "render", "trial", "--with-reference", "--unseen-by", "the-avatar", *size).out
    )
    assert (measured["scans"], measured["subjects_rendered_before"], measured["refused"]) == (2, 1, [])
    everyone = json.loads(command("cohort", "render", "trial", *size).out)
    assert (everyone["scans"], everyone["subjects_rendered_before"]) == (1, 3)


def test_the_same_seed_gives_the_same_bytes_in_one_call_or_several_with_one_worker_or_two(new_desk, tmp_path) -> None:
    made = []
    for number, calls in enumerate(([{"workers": 2}], [{"subjects": 1}, {"subjects": 3}, {}])):
        desk = new_desk(tmp_path / str(number))
        fill(desk)
        for options in calls:
            render(desk, **options)
        names = scans(desk).set_index("id")["code"]
        made.append({(names[scan], view): sha256 for (scan, view), sha256 in photos(desk).items()})
        desk.registry.close()
    assert made[0] == made[1]


def test_a_batch_that_fails_leaves_nothing_and_the_next_call_goes_on(desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of one block of one person each; the third ingest fails as it would on a full disk."""
    from studies.rendering import study as module

    monkeypatch.setattr(module, "PEOPLE_IN_A_BLOCK", 1)
    monkeypatch.setattr(module, "BLOCKS_IN_A_BATCH", 1)
    fill(desk)
    real, calls = module.ingest, []

    def failing(*words, **options):
        calls.append(1)
        if len(calls) == 3:
            raise StorageError("The disk is full.")
        return real(*words, **options)

    monkeypatch.setattr(module, "ingest", failing)
    with pytest.raises(StorageError, match="disk is full"):
        render(desk)
    assert len(scans(desk)) == 2
    assert len(photos(desk)) == 8
    assert list((desk.registry.folder / "scratch").iterdir()) == []
    monkeypatch.setattr(module, "ingest", real)
    done = render(desk)
    assert (done.scans, len(done.before)) == (2, 2)
    assert len(photos(desk)) == 16


def test_no_body_fat_and_nothing_of_the_reference_reaches_a_body(desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from studies.rendering import photos as module

    seen = []
    real = module.fit_bodies
    monkeypatch.setattr(
        module, "fit_bodies", lambda people, *rest, **more: seen.append(people) or real(people, *rest, **more)
    )
    fill(desk)
    desk.write("dxa/readings.csv", "subject_id,visit,measurand,method,value\nA1,v1,weight_kg,dxa,99\n")
    desk.ingest(desk.folder / "dxa")
    render(desk)
    (people,) = seen
    assert not [column for column in people if "fat" in column or "dxa" in column]
    assert people.set_index("subject")["weight_kg"]["A1"] == 62.0


def test_a_study_in_which_no_one_was_measured_has_no_one_to_render(desk, command) -> None:
    assert render(desk).refused == []
    desk.write("subjects.csv", "subject_id,sex,age\nA1,F,40\n")
    desk.ingest(desk.folder)
    done = render(desk)
    assert [(one.subject_id, one.reason) for one in done.refused] == [("A1", "mass was measured at no visit")]
    assert desk.events("render") == []
    desk.registry.close()
    outcome = command("cohort", "render", "trial")
    assert outcome.code == 0
    assert "No one in 'trial' can be rendered" in outcome.out


@pytest.mark.parametrize("subjects", [0, -1])
def test_no_subjects_are_refused(desk, subjects: int) -> None:
    with pytest.raises(UsageError, match="at least one"):
        render(desk, subjects=subjects)


def test_an_unknown_study_is_told(desk) -> None:
    with pytest.raises(UsageError, match="no study 'trail'"):
        render_study(desk.registry, "trail", RECIPE)


@pytest.mark.parametrize("height", [100, 100_000])
def test_photos_too_small_to_see_a_person_or_too_large_are_refused(height: int) -> None:
    with pytest.raises(UsageError, match="height"):
        Recipe(seed=1, height=height)


# The command ---------------------------------------------------------------------------------------------------------

TABLE = "subject_id,sex,age,stature_cm,weight_kg,waist_cm\n"
ROWS = "A1,F,40,165,62,78\nA2,M,55,181,94,104\nA3,M,30,175,5,80\nA4,F,30,165,60,170\nA5,F,30,165,,70\n"


def test_a_table_becomes_a_folder_that_an_ingest_takes_whole(desk, command, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(TABLE + ROWS, encoding="utf-8")
    words = ("--table", "people.csv", "--out", "made", "--height", LEAST_PHOTO_HEIGHT, "--workers", 1)
    told = command("cohort", "render", *words, "--json")
    assert told.code == 0, told.error
    report = json.loads(told.out)
    assert (report["scans"], report["photos"]) == (2, 8)
    reasons = {one["subject_id"]: one["reason"] for one in report["refused"]}
    assert set(reasons) == {"A3", "A4", "A5"}
    assert "5 kg" in reasons["A3"]
    assert "waist" in reasons["A4"]
    assert reasons["A5"] == "mass was measured at no visit"
    assert "No one was photographed" in (tmp_path / "made" / "README.txt").read_text(encoding="utf-8")
    for refused in ("A3", "A4"):  # whose values the ingest refuses as well
        assert refused in (tmp_path / "made" / "readings.csv").read_text(encoding="utf-8")
    result = desk.ingest(tmp_path / "made")
    assert result.report["tables"]["scans"] == {
        "read": 2, "new": 2, "changed": 0, "unchanged": 0, "rejected": 0, "flagged": 0,
    }  # fmt: skip
    assert scans(desk)["rendered"].all()


FAULTS = {
    "neither": ((), "name a STUDY"),
    "both": (("trial", "--table", "people.csv", "--out", "o"), "name a STUDY"),
    "no folder": (("--table", "people.csv"), "go together"),
    "folder without a table": (("trial", "--out", "o"), "go together"),
    "no subjects": (("trial", "--subjects", 0), "0 subjects were asked for"),
    "too small": (("trial", "--height", 50), "50 pixels"),
    "no workers": (("trial", "--workers", 0), "0 workers"),
    "unknown study": (("trail",), "Did you mean 'trial'?"),
    "full folder": (("--table", "people.csv", "--out", "full"), "full is not empty"),
    "someone else": (("trial", "--only", "strangers.txt"), "has no subject 'X1', nor 1 more of the list"),
    "nobody of them": (("trial", "--only", "unmeasured.txt", "--with-reference"), "Nobody in 'trial' is asked for"),
    "a list for a table": (("--table", "people.csv", "--out", "o", "--only", "strangers.txt"), "--only is for a STUDY"),
    "negative seed": (("trial", "--seed", -1), "The seed is -1"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_call_that_cannot_be_is_told(desk, command, tmp_path: Path, fault: str) -> None:
    fill(desk)
    desk.registry.close()
    (tmp_path / "people.csv").write_text(TABLE + ROWS, encoding="utf-8")
    (tmp_path / "strangers.txt").write_text("X1\nX2\nA1\n")
    (tmp_path / "unmeasured.txt").write_text(f"{UNMEASURED}\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious.txt").write_text("1")
    words, told = FAULTS[fault]
    outcome = command("cohort", "render", *words)
    assert outcome.code == 2, outcome.error
    assert told in outcome.error
    assert "Traceback" not in outcome.error
    assert (tmp_path / "full" / "precious.txt").is_file()


@pytest.mark.parametrize(
    ("content", "told"), [(b"\n # nobody\n", "is empty"), (b"\xff\xfe\x00", "cannot be read"), (None, "cannot be read")]
)
def test_a_list_of_nobody_is_told(desk, command, tmp_path: Path, content: bytes | None, told: str) -> None:
    desk.registry.close()
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    outcome = command("cohort", "render", "trial", "--only", "list.txt")
    assert (outcome.code, "list.txt" in outcome.error, told in outcome.error) == (3, True, True)
    assert command("cohort", "render", "trial", "--unseen-by", "nothing@1").code == 6


def test_the_table_of_those_who_were_not_rendered_gives_the_reasons(desk, command) -> None:
    fill(desk)
    desk.registry.close()
    outcome = command("cohort", "render", "trial", "--height", LEAST_PHOTO_HEIGHT, "--workers", 1)
    assert outcome.code == 0, outcome.error
    assert "4 people of 'trial' have 4 new rendered scans with 16 photos (ingest 2)" in outcome.out
    assert "Not rendered: 2 people" in outcome.out
    assert "stature was not measured" in outcome.out
    again = command("cohort", "render", "trial", "--height", LEAST_PHOTO_HEIGHT, "--workers", 1)
    assert "Nothing to render" in again.out
    assert "4 people had theirs before" in again.out


def test_a_scan_that_the_ingest_refuses_is_told_and_its_photos_do_not_stay(
    desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studies.rendering import study as module

    real = module._Work._row

    def undated(self, block, sitting, person):
        row = real(self, block, sitting, person)
        return row | {"captured_at": "2099-01-01"} if row["subject_id"] == "A2" else row

    monkeypatch.setattr(module._Work, "_row", undated)
    fill(desk)
    done = render(desk)
    assert done.rendered == set(PEOPLE) - {"A2"}
    assert ("A2", "the ingest refused the scan: see the report of ingest 2") in {
        (one.subject_id, one.reason) for one in done.refused
    }
    assert (done.scans, done.photos) == (3, 12)
    assert len(list(desk.registry.photos.folder.rglob("*.jpg"))) == 12
