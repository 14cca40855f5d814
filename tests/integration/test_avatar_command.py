"""`calliper avatar`, with small untrained networks: the road is real, the shapes mean nothing."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest
import trimesh
from sqlalchemy import insert, select, update

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runs_support"))

from scan_study import STUDY, ScanStudy
from small_checkpoints import bright_person, write_small

from calliper.commands.avatar import stature_cm
from models.body import open_body
from studies.avatars import stored_avatar
from studies.errors import UsageError
from studies.registry import audit
from studies.registry.schema import Outcome, Prediction, Run, Scan, Subject
from studies.registry.workspace import open_registry


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return {kind: write_small(folder, kind) for kind in ("segmenter", "avatar", "estimator")}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for view in ("front", "left"):
        (folder / f"me-{view}.jpg").write_bytes(bright_person(3, view))
    return folder


def chosen(checkpoints: dict[str, Path], *kinds: str) -> list[object]:
    return [word for kind in kinds or checkpoints for word in ("--checkpoint", checkpoints[kind])]


@pytest.fixture(autouse=True)
def _nothing_packaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What comes packaged is not what these tests are about."""
    monkeypatch.setattr("models.checkpoints.files._PACKAGED", tmp_path / "nothing")


# Of photos ------------------------------------------------------------------------------------------------------------


def test_photos_become_mesh_measurements_and_picture(command, photos: Path, checkpoints, tmp_path: Path) -> None:
    words = ["avatar", photos, "--stature", "1.75", "--sex", "F", "--rendered", *chosen(checkpoints)]
    done = command(*words, "--out", tmp_path / "out" / "body.glb")
    assert done.code == 0, done.error
    assert "rendered" in done.error
    assert "body fat" in done.out
    mesh = trimesh.load(tmp_path / "out" / "body.glb", force="mesh", process=False)
    assert len(mesh.vertices) == open_body().n_vertices
    said = json.loads((tmp_path / "out" / "body.json").read_text(encoding="utf-8"))
    assert said["rendered"] is True
    assert said["views"] == ["front", "left"]
    assert set(said["checkpoints"]) == {"segmenter", "avatar", "estimator"}
    assert said["body_fat_percent"]["source"] == "estimator"
    assert (tmp_path / "out" / "body.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["body.glb", "body.json", "body.png"]
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert command(*words, "--out", tmp_path / "again" / "body.glb").code == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == first
    assert not (tmp_path / "workspace").exists(), "no registry is made for it, and no photo is kept"


def test_the_files_may_have_other_names_and_the_table_be_json(command, photos, checkpoints, tmp_path: Path) -> None:
    done = command(
        "avatar", "--front", photos / "me-front.jpg", "--stature", "175cm", "--out", "a.obj", "--picture", "b.png",
        "--measurements", "c.json", "--json", *chosen(checkpoints, "segmenter", "avatar"),
    )  # fmt: skip
    assert done.code == 0, done.error
    printed = json.loads(done.out)
    assert printed["files"] == {"mesh": "a.obj", "measurements": "c.json", "picture": "b.png"}
    assert printed["body_fat_percent"] is None
    assert printed["given"] == {"stature_cm": 175.0}
    assert json.loads(Path("c.json").read_text(encoding="utf-8"))["betas"] == printed["betas"]
    assert Path("a.obj").read_text(encoding="ascii").startswith("# Calliper avatar")


def test_the_same_person_at_another_body_fat(command, photos, checkpoints) -> None:
    words = ["avatar", photos, "--stature", "1.75", "--weight", 74, *chosen(checkpoints, "segmenter", "avatar")]
    assert command(*words, "--out", "now.glb").code == 0
    done = command(*words, "--out", "then.glb", "--from-body-fat", 26, "--body-fat", 18)
    assert done.code == 0, done.error
    now, then = (json.loads(Path(f"{name}.json").read_text(encoding="utf-8")) for name in ("now", "then"))
    assert then["morph"]["from"]["betas"] == now["betas"]
    assert then["morph"]["to"]["weight_kg"] == pytest.approx(74 * 0.74 / 0.82)
    waist = [said["measurements"]["waist_cm"]["value"] for said in (now, then)]
    assert waist[1] < waist[0] - 2
    assert command(*words, "--out", "x.glb", "--body-fat", 18).code == 3, "the body fat now is not known"
    beyond = command(*words, "--out", "x.glb", "--from-body-fat", 26, "--body-fat", 1)
    assert beyond.code == 3
    assert "Ask for" in beyond.error
    assert not Path("x.glb").exists()


def test_without_a_checkpoint_it_is_said_what_is_missing(command, photos, checkpoints) -> None:
    done = command("avatar", photos, "--stature", "1.75", "--out", "body.glb")
    assert done.code == 6
    assert "'segmenter' and 'avatar'" in done.error
    assert "--checkpoint" in done.error
    done = command("avatar", photos, "--stature", "1.75", "--out", "body.glb", *chosen(checkpoints, "segmenter"))
    assert done.code == 6
    assert "'avatar'" in done.error
    assert not Path("body.glb").exists()


def test_the_checkpoints_of_a_workspace_are_used_by_name_and_alias(command, photos, checkpoints, tmp_path) -> None:
    with open_registry(tmp_path / "workspace", create=True) as registry:
        before = count_events(registry)
    for kind in ("segmenter", "avatar"):
        assert command("checkpoint", "add", checkpoints[kind]).code == 0
    assert command("checkpoint", "alias", "small-segmenter@1", "current").code == 0
    done = command("avatar", photos, "--stature", "1.75", "--out", "body.glb", "-c", "small-avatar@1")
    assert done.code == 0, done.error
    wrong = command("avatar", photos, "--stature", "1.75", "--out", "body.glb", "-c", "smal-avatar@1")
    assert wrong.code == 6
    assert "small-avatar" in wrong.error
    with open_registry(tmp_path / "workspace") as registry:
        assert count_events(registry) == before + 3, "an avatar of photos changes nothing in the registry"


def test_packaged_checkpoints_need_no_naming_and_no_workspace(command, photos, checkpoints, monkeypatch) -> None:
    monkeypatch.setattr("models.checkpoints.files._PACKAGED", checkpoints["avatar"].parent)
    done = command("avatar", photos, "--stature", "1.75", "--out", "body.glb")
    assert done.code == 0, done.error
    used = json.loads(Path("body.json").read_text(encoding="utf-8"))["checkpoints"]
    assert {kind: found["name"] for kind, found in used.items()} == {
        kind: f"small-{kind}@1" for kind in ("segmenter", "avatar", "estimator")
    }


def count_events(registry) -> int:
    with registry.reading() as connection:
        return audit.count_events(connection)


@pytest.mark.parametrize("words", ["1.75", "1,75", "1.75 m", "175cm", "175 CM"])
def test_statures_as_people_write_them(words: str) -> None:
    assert stature_cm(words) == pytest.approx(175)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (None, "--stature 1.75"),
        ("175", "Write --stature 1.75, or --stature 175cm"),
        ("5.9", "5.9 feet would be 1.80 m"),
        ("tall", "is no stature"),
        ("0.5", "no adult's"),
        ("17500cm", "no adult's"),
        ("-1.75", "is no stature"),
    ],
)
def test_what_is_no_stature_says_what_was_meant(words: str | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        stature_cm(words)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "--out body.glb"),
        (["--out", "body.glb"], 2, "stature"),
        (["--out", "body.glb", "--stature", "1.75"], 2, "No photo"),
        (["--out", "body.glb", "--stature", "1.75", "nowhere-front.jpg"], 3, "is not there"),
        (["--out", "body.glb", "--stature", "1.75", "IMG_1.jpg"], 3, "not in its name"),
        (["--out", "body.png", "--stature", "1.75", "front.jpg"], 2, "different names"),
        (["--out", "body.glb", "--from-body-fat", "20"], 2, "goes with --body-fat"),
        (["--out", "body.glb", "--sex", "X"], 2, "F or M"),
        (["--out", "body.glb", "--study", "trial"], 2, "go together"),
        (["--out", "body.glb", "--study", "trial", "--scan", "S1", "--stature", "1.75"], 2, "Leave photos"),
        (["--out", "body.glb", "--run", "1", "front.jpg"], 2, "--run goes with --study"),
    ],
)
def test_what_is_asked_wrongly_is_said(command, checkpoints, words: list[str], code: int, said: str) -> None:
    done = command("avatar", *words, *([] if "--study" in words else chosen(checkpoints, "segmenter", "avatar")))
    assert done.code == code, done.error
    assert said in done.error
    assert "Traceback" not in done.error


def test_photos_of_nobody_say_why_and_leave_no_file(command, checkpoints, tmp_path: Path) -> None:
    (tmp_path / "front.jpg").write_bytes(bright_person(-1))
    (tmp_path / "left.jpg").write_bytes(b"no picture at all")
    done = command("avatar", "front.jpg", "left.jpg", "--stature", "1.75", "--out", "body.glb", *chosen(checkpoints))
    assert done.code == 3
    assert "front: no person is seen" in done.error
    assert "left: the photo cannot be decoded" in done.error
    assert not Path("body.glb").exists()


def test_a_bad_photo_among_good_ones_is_told(command, photos, checkpoints) -> None:
    (photos / "me-back.jpg").write_bytes(b"no picture at all")
    done = command(
        "avatar", photos, "--stature", "1.75", "--out", "body.glb", *chosen(checkpoints, "segmenter", "avatar")
    )
    assert done.code == 0, done.error
    assert "back: the photo cannot be decoded" in done.error
    assert "front, left" in done.error


# Of a study -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Four rendered scans in a finished run: two with an avatar, one indeterminate, one that the run has not seen."""
    folder = tmp_path / "workspace"
    with open_registry(folder, create=True) as registry:
        made = ScanStudy(registry, scans=4)
        with registry.writing() as connection:
            values = {"study_id": made.id, "number": 1, "status": "finished", "software": {"calliper": "1"}}
            moment = audit.utc_now()
            run = connection.execute(
                insert(Run).values(**values, started_at=moment, finished_at=moment).returning(Run.id)
            ).scalar_one()
            scans = connection.execute(select(Scan.id).order_by(Scan.id)).scalars().all()
            for number, scan in enumerate(scans[:3]):
                good = number < 2
                connection.execute(
                    insert(Outcome).values(
                        run_id=run, scan_id=scan, status="determinate" if good else "indeterminate",
                        reason=None if good else "front: no person is seen", quality=[],
                        betas=[0.1 * number] * 40 if good else None, pose={"front": []} if good else None, inputs={},
                        timings={}, made_at=moment,
                    )
                )  # fmt: skip
                if good:
                    connection.execute(
                        insert(Prediction).values(
                            run_id=run, scan_id=scan, measurand="body_fat_percent", value=25.0, low=20.0, high=30.0,
                            unit="%", details={},
                        )
                    )  # fmt: skip
    return folder


def test_a_scan_that_a_run_has_seen_becomes_a_mesh_and_the_trail_says_so(command, study: Path) -> None:
    done = command("avatar", "--study", STUDY, "--scan", "S0001", "--out", "body.glb", "--body-fat", 20)
    assert done.code == 0, done.error
    said = json.loads(Path("body.json").read_text(encoding="utf-8"))
    assert (said["study"], said["run"], said["scan"]) == (STUDY, 1, "S0001/baseline/1")
    assert said["rendered"] is True
    assert said["given"] == {"sex": "M", "weight_kg": 51.0}
    assert said["morph"]["from"]["betas"] == [0.1] * 40
    with open_registry(study) as registry, registry.reading() as connection:
        event = audit.newest_events(connection, 1)[0]
        assert audit.first_broken_link(connection) is None
    assert (event["action"], event["entity"], event["entity_key"]) == ("export", "avatar", "S0001/baseline/1")
    assert event["detail"]["run"] == 1
    assert event["detail"]["body_fat_percent"] == 20.0
    listed = {entry["name"]: entry["sha256"] for entry in event["detail"]["files"]}
    assert listed == {
        name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in ("body.glb", "body.json", "body.png")
    }


@pytest.mark.parametrize("scan", ["S0001", "S0001/baseline", "S0001/baseline/1"])
def test_a_scan_is_named_as_far_as_is_needed(database_engine: str, study: Path, scan: str) -> None:
    with open_registry(study) as registry:
        found = stored_avatar(registry, STUDY, scan, run=1)
        assert found == stored_avatar(registry, STUDY, scan)
    assert (found.key, found.betas, found.views) == ("S0001/baseline/1", [0.1] * 40, ("front",))
    assert (found.sex, found.weight_kg, found.rendered) == ("M", 51.0, True)
    assert found.predictions == {"body_fat_percent": (25.0, 20.0, 30.0)}


def test_a_subject_goes_before_a_scan_of_the_same_name(study: Path) -> None:
    with open_registry(study) as registry:
        with registry.writing() as connection:
            connection.execute(update(Subject).where(Subject.code == "S0001").values(code="1"))
        assert stored_avatar(registry, STUDY, "1").key == "1/baseline/1"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--study", "trail", "--scan", "S0000"], 2, "trial"),
        (["--study", STUDY, "--scan", "S9999"], 2, "no scan 'S9999'"),
        (["--study", STUDY, "--scan", "1"], 2, "stands for 4 scans"),
        (["--study", STUDY, "--scan", "S0002"], 3, "indeterminate: front: no person is seen"),
        (["--study", STUDY, "--scan", "S0003"], 3, "has not looked at"),
        (["--study", STUDY, "--scan", "S0000", "--run", "7"], 2, "no run 7"),
    ],
)
def test_where_there_is_no_avatar_it_is_said_why(command, study: Path, words: list[str], code: int, said: str) -> None:
    done = command("avatar", *words, "--out", "body.glb")
    assert done.code == code, done.error
    assert said in done.error
    assert not Path("body.glb").exists()


def test_without_a_run_it_is_said_what_to_do(command, study: Path) -> None:
    with open_registry(study) as registry, registry.writing() as connection:
        connection.execute(update(Run).values(finished_at=None))
    done = command("avatar", "--study", STUDY, "--scan", "S0000", "--out", "body.glb")
    assert done.code == 3
    assert f"calliper run {STUDY}" in done.error


def test_an_export_that_cannot_be_written_is_not_in_the_trail(command, study: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with open_registry(study) as registry:
        before = count_events(registry)
    done = command("avatar", "--study", STUDY, "--scan", "S0000", "--out", "file/body.glb")
    assert done.code == 5, done.error
    with open_registry(study) as registry:
        assert count_events(registry) == before
