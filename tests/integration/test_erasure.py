"""After an erasure nothing of the person is left: no photo byte, name, EXIF tag or value, in any file or free page."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import sys
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import func, insert, select, text

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runs_support"))

from studies.errors import PlanError, StorageError, UsageError
from studies.photos import check
from studies.plan import load_plan, load_template
from studies.privacy.erase import erase_subject, readmit
from studies.privacy.links import LinkTable, open_links
from studies.privacy.remnants import find_traces, scrub
from studies.privacy.subject_data import collect_subject
from studies.privacy.sweep import sweep
from studies.registry import audit
from studies.registry.catalogue import create_study, find_study, revise_plan
from studies.registry.erasures import erasure_notes, erasures_of
from studies.registry.identity import identity_of
from studies.registry.schema import (
    Base,
    Erasure,
    FrozenInputs,
    Photo,
    QuarantinedRow,
    Reading,
    Report,
    Silhouette,
    Subject,
)
from studies.registry.trail import chain_head, verify_trail
from studies.registry.workspace import Registry, open_registry

ZOE, BEN = "ZOE-7731", "BEN-1290"
NAME, MAKER, PLACE = "Quartermaine", "SecretPhoneMaker", "photographed at home"
HABIT, VALUE, OLD_VALUE = "plays the hurdy-gurdy", 171.371, 171.937
SUBJECTS = "subject_id,sex,age,consent,surname,habit\n"
READINGS = "subject_id,visit,measured_at,measurand,method,device,value,unit,replicate\n"
SCANS = "subject_id,scan_id,visit,captured_at,device,front\n"
PLAN = """
calliper_plan: 1
title: Erasure
measurand: body_fat_percent
reference: dxa
index: bia
minimum_cell: 2
"""


def photo(seed: int, **options) -> bytes:
    """A photo of noise, which does not compress: its bytes are nobody else's."""
    pixels = np.random.default_rng(seed).integers(0, 256, (400, 300, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x010F] = MAKER
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=40, exif=exif, comment=PLACE.encode(), **options)
    return buffer.getvalue()


on_sqlite = pytest.mark.parametrize("database_engine", ["sqlite"], indirect=True)  # what no database decides


class Case:
    """A study with twelve people; of Zoe there is everything that can be held on a person."""

    def __init__(self, desk, needles: dict[str, bytes] | None = None):
        self.desk, self.registry = desk, desk.registry
        self.needles = needles or {}
        if needles is None:
            self.fill()

    def fill(self) -> None:
        desk = self.desk
        revise_plan(self.registry, desk.study, load_plan(PLAN), reason="a plan of its own")
        others = [f"P{number:02d}" for number in range(10)]
        self.needles = {
            "code": ZOE.encode(), "name": NAME.encode(), "maker": MAKER.encode(), "comment": PLACE.encode(),
            "habit": HABIT.encode(), "value as text": str(VALUE).encode(), "old value": str(OLD_VALUE).encode(),
        }  # fmt: skip
        code = "<d" if self.registry.engine.dialect.name == "postgresql" else ">d"
        self.needles["value"] = struct.pack(code, VALUE)
        for number, seed in enumerate((1, 2)):
            path = desk.write(f"photos/zoe-{number}.jpg", photo(seed))
            stripped = check(path)
            self.needles[f"photo {number}"] = stripped.content[2000:2040]
            self.needles[f"hash {number}"] = stripped.sha256.encode()
        desk.write("photos/ben.jpg", photo(9))
        people = [f"{ZOE},F,41,silhouettes,{NAME},{HABIT}\n", f"{BEN},M,52,photos,Ben,walks\n"]
        desk.write("subjects.csv", SUBJECTS + "".join(people) + "".join(f"{one},F,30,none,x,y\n" for one in others))
        readings = [
            f"{one},baseline,2024-03-01,body_fat_percent,{method},d,{20 + index + shift},%,1\n"
            for index, one in enumerate((ZOE, BEN, *others))
            for method, shift in (("dxa", 0), ("bia", 1 + index % 3))
        ]
        readings.append(f"{ZOE},baseline,2024-03-01,stature_cm,stadiometer,d,{OLD_VALUE},cm,1\n")
        readings.append(f"{ZOE},baseline,2024-03-01,waist_cm,tape,d,9999,cm,1\n")  # refused
        readings.append(f"{ZOE},baseline,2024-03-01,hip_cm,tape,d,90,cm,1,{NAME},one column too many\n")  # malformed
        desk.write("readings.csv", READINGS + "".join(readings))
        desk.write(
            "scans.csv",
            SCANS + f"{ZOE},1,baseline,2024-03-01,phone,photos/zoe-0.jpg\n"
            f"{BEN},1,baseline,2024-03-01,phone,photos/ben.jpg\n",
        )
        desk.ingest(dry_run=True)
        desk.ingest()
        self.run()
        desk.write("readings.csv", READINGS + "".join(readings).replace(str(OLD_VALUE), str(VALUE)))
        desk.write("scans.csv", SCANS + f"{ZOE},2,baseline,2024-03-09,phone,photos/zoe-1.jpg\n")
        desk.ingest()
        audit.record_view(self.registry, "subject", ZOE, study=desk.study, subject=ZOE, reason="a query")
        self.remains_of_others()
        with self.registry.reading() as connection:
            for row in connection.execute(select(Silhouette.sha256)):
                self.needles["silhouette"] = row.sha256.encode()

    def run(self) -> None:
        from scan_study import InlineExecutor, source

        from studies.runs.run import RunModels, run

        run(self.registry, self.desk.study, RunModels(hashes={"estimator": "1"}), InlineExecutor(source()))

    def remains_of_others(self) -> None:
        """What other parts of the program leave: analyses of the dashboard, and the scratch of a process that died."""
        for folder in ("cache/analyses/abc", "scratch/dead"):
            path = self.registry.folder / folder
            path.mkdir(parents=True)
            (path / "people.txt").write_text(f"{ZOE} {NAME} {VALUE}", encoding="utf-8")

    def found(self) -> set[str]:
        """The needles that are in any file of the workspace, or of the database."""
        if self.registry.engine.dialect.name == "postgresql":
            with self.registry.reading() as connection:
                place = connection.execute(text("SHOW data_directory")).scalar_one()
                query = "SELECT oid FROM pg_database WHERE datname = current_database()"
                number = connection.execute(text(query)).scalar_one()
            folders = [self.registry.folder, Path(place) / "base" / str(number)]
            with self.registry.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text("CHECKPOINT"))  # so that the files say what the server knows
        else:
            folders = [self.registry.folder]
        return {
            trace.needle.removesuffix(", in its name")
            for folder in folders
            for trace in find_traces(folder, self.needles)
        }

    def counts(self) -> dict[str, int]:
        with self.registry.reading() as connection:
            return {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in Base.metadata.sorted_tables
            }


def _open(folder: Path, url: str | None) -> Registry:
    with patch.dict(os.environ, {"CALLIPER_ACTOR": "tester"}):
        os.environ.pop("CALLIPER_DATABASE_URL", None)
        if url:
            os.environ["CALLIPER_DATABASE_URL"] = url
        return open_registry(folder, create=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory, make_desk):
    """The case on a database, made once to be copied: `made(address) -> (folder, needles)`."""

    def make(url: str | None) -> tuple[Path, dict[str, bytes]]:
        folder = tmp_path_factory.mktemp("made")
        registry = _open(folder / "workspace", url)
        create_study(registry, "trial", load_template("blank"))
        needles = Case(make_desk(registry, folder / "source")).needles
        registry.close()
        return folder, needles

    return make


@pytest.fixture(scope="module")
def made_on_sqlite(made):
    return made(None)


@pytest.fixture(scope="module")
def made_on_postgresql(made, postgresql_server):
    import psycopg

    name = f"made_{uuid.uuid4().hex}"
    with psycopg.connect(postgresql_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return name, *made(postgresql_server.replace("/postgres?", f"/{name}?", 1))


@pytest.fixture
def case(request, database_engine, tmp_path, monkeypatch, make_desk) -> Iterator[Case]:
    if database_engine == "postgresql":
        import psycopg

        server = request.getfixturevalue("postgresql_server")
        template, folder, needles = request.getfixturevalue("made_on_postgresql")
        url = _copied_database(monkeypatch, server, template, psycopg)
    else:
        url, (folder, needles) = None, request.getfixturevalue("made_on_sqlite")
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    registry = _open(tmp_path / "workspace", url)
    yield Case(make_desk(registry, tmp_path / "source"), needles)
    registry.close()


def _copied_database(monkeypatch, server: str, template: str, psycopg) -> str:
    """A copy of a database of PostgreSQL, as the registry's own; its address."""
    name = f"copy_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    url = server.replace("/postgres?", f"/{name}?", 1)
    monkeypatch.setenv("CALLIPER_DATABASE_URL", url)
    return url


def test_nothing_is_left_of_an_erased_person(case: Case) -> None:
    # What cannot be there at all: EXIF and comments were stripped at the door, and so is the photo that was processed.
    never = {"maker", "comment", "photo 0"}
    assert case.found() == set(case.needles) - never
    before, events = case.counts(), chain_head(case.registry)

    done = erase_subject(case.registry, ZOE, reason="asked for on paper", study=case.desk.study)

    assert done.left == []
    assert done.unscrubbed is None
    assert case.found() == set()
    after = case.counts()
    gone = {name: before[name] - after[name] for name in before if before[name] > after[name]}
    assert gone == {
        "subject": 1, "visit": 1, "reading": 3, "scan": 2, "photo": 2, "silhouette": 1, "outcome": 1,
        "prediction": 2, "quarantined_row": 2,
    }  # fmt: skip
    counts = {"subject": 1, "readings": 3, "photos": 2, "silhouettes": 1, "refused_rows": 2, "files_of_refused_rows": 4}
    assert counts.items() <= done.counts.items()
    assert verify_trail(case.registry, [events]).whole


@on_sqlite
def test_others_lose_nothing(case: Case) -> None:
    with case.registry.reading() as connection:
        kept = connection.execute(select(Photo.sha256).where(Photo.deleted_at.is_(None)).order_by(Photo.id)).all()
    erase_subject(case.registry, ZOE, reason="asked for on paper")
    ben = collect_subject(case.registry, BEN)
    assert (len(ben["readings"]), len(ben["photos"]), len(ben["predictions"])) == (2, 1, 2)
    assert case.registry.photos.path(ben["photos"][0]["sha256"], "image/jpeg").exists()
    assert ben["photos"][0]["sha256"] in {row.sha256 for row in kept}
    found = sweep(case.registry)
    assert (found.wrong, found.photos) == ([], 1)


@on_sqlite
def test_the_reports_of_ingests_show_the_others_still(case: Case) -> None:
    folder = case.registry.ingests / "trial-1"
    before = json.loads((folder / "ingest.json").read_text())
    erase_subject(case.registry, ZOE, reason="asked for on paper")
    after = json.loads((folder / "ingest.json").read_text())
    assert before["quarantine"]["rows"] == after["quarantine"]["rows"] == 2  # a count tells of nobody
    assert after["quarantine"]["examples"] == []
    assert "people who were erased" in after["notes"][-1]
    assert not (folder / "ingest.html").exists()
    assert len((folder / "quarantine" / "readings.csv").read_text(encoding="utf-8-sig").splitlines()) == 1


def test_the_erasure_is_in_the_trail_without_the_person(case: Case) -> None:
    erase_subject(case.registry, ZOE, reason="asked for on paper")
    (event,) = case.desk.events("erase")
    assert (event["actor"], event["entity"], event["entity_key"]) == ("tester", "subject", "trial#1")
    assert event["detail"]["reason"] == "asked for on paper"
    assert event["detail"]["counts"]["photos"] == 2
    erased = [event for event in case.desk.events() if event["erased"]]
    assert sorted({event["action"] for event in erased}) == ["change", "delete", "view"]
    with case.registry.reading() as connection:
        (told,) = erasures_of(connection, "trial")
        assert (told["number"], told["erased_by"], told["may_come_back"]) == (1, "tester", False)
        assert erasure_notes(connection, find_study(connection, "trial").id)[0].startswith("One subject was erased")


def test_a_later_ingest_passes_over_the_person(case: Case) -> None:
    erase_subject(case.registry, ZOE, reason="asked for on paper")
    result = case.desk.ingest()
    not_selected = [entry for source in result.report["sources"] for entry in source["rows_not_selected"]]
    assert {entry["reason"] for entry in not_selected} == {"belongs to a person who was erased"}
    assert sum(entry["n"] for entry in not_selected) == 6
    with case.registry.reading() as connection:
        assert ZOE not in connection.execute(select(Subject.code)).scalars().all()
    # A row that fits no columns has no code that could be read: it is quarantined again, and told of here.
    assert {row.content.keys() <= {"calliper_text"} for row in case.desk.quarantined()} == {True}
    assert erase_subject(case.registry, ZOE, reason="again").counts["refused_rows"] == 1
    assert case.found() == set()


@on_sqlite
def test_an_erasure_by_mistake_can_be_taken_back(case: Case) -> None:
    erase_subject(case.registry, ZOE, reason="a mix-up")
    with pytest.raises(UsageError, match="was erased"):
        readmit(case.registry, "ZOE-7732", study="trial", reason="it was somebody else")
    assert readmit(case.registry, ZOE, study="trial", reason="it was somebody else") == 1
    case.desk.ingest()
    assert len(collect_subject(case.registry, ZOE)["readings"]) == 3
    assert case.desk.events("readmit")[0]["detail"]["reason"] == "it was somebody else"


@on_sqlite
def test_an_ingest_that_read_before_the_erasure_writes_nothing(case: Case, monkeypatch) -> None:
    from studies.ingest import ingest as module

    check_rules = module._Work.check

    def erase_meanwhile(work) -> None:
        check_rules(work)
        erase_subject(case.registry, BEN, reason="asked for on paper")

    monkeypatch.setattr(module._Work, "check", erase_meanwhile)
    case.desk.write("subjects.csv", SUBJECTS + f"{BEN},M,53,photos,Ben,walks\n")
    with pytest.raises(StorageError, match="erased from this study while the sources were being read"):
        case.desk.ingest()
    with case.registry.reading() as connection:
        assert BEN not in connection.execute(select(Subject.code)).scalars().all()


@on_sqlite
def test_a_reason_is_needed_and_must_not_name_the_person(case: Case) -> None:
    for reason, told in ((" ", "needs a reason"), (f"{ZOE} has asked", "names the person")):
        with pytest.raises(UsageError, match=told):
            erase_subject(case.registry, ZOE, reason=reason)
    with pytest.raises(UsageError, match="Nothing is held on a subject 'ZOE-7732'"):
        erase_subject(case.registry, "ZOE-7732", reason="asked for")
    with case.registry.reading() as connection:
        assert connection.execute(select(func.count()).select_from(Erasure)).scalar_one() == 0


@on_sqlite
def test_a_killed_erasure_is_finished_by_the_next_or_by_a_sweep(case: Case, monkeypatch) -> None:
    from studies.privacy import erase as module

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    for name in ("_delete_rows", "_tombstone"):  # before the end of the transaction: everything is there as it was
        with monkeypatch.context() as patched:
            patched.setattr(module, name, die)
            with pytest.raises(Killed):
                erase_subject(case.registry, ZOE, reason="asked for on paper")
        assert len(collect_subject(case.registry, ZOE)["readings"]) == 3
    with monkeypatch.context() as patched:  # and after it: files that nobody holds
        patched.setattr(module, "remove_unheld", die)
        with pytest.raises(Killed):
            erase_subject(case.registry, ZOE, reason="asked for on paper")
    found = sweep(case.registry, delete=True)
    assert sorted({one.kind for one in found.findings if one.removed}) == ["left behind", "orphan"]
    shutil.rmtree(case.registry.folder / "cache")
    assert case.found() == set()


@on_sqlite
def test_frozen_inputs_of_reports_with_the_person_go_and_later_analyses_say_so(case: Case) -> None:
    from studies.registry.analysis import study_inputs

    study, early = find_study_of(case), datetime(2020, 1, 1)
    with case.registry.writing() as connection:
        for number, created in ((1, early), (2, audit.utc_now())):
            report = insert(Report).values(
                study_id=study, number=number, kind="validation", files=[], results_sha256="", created_by="tester",
                created_at=created,
            )  # fmt: skip
            key = connection.execute(report.returning(Report.id)).scalar_one()
            connection.execute(insert(FrozenInputs).values(report_id=key, sha256="", subjects=12))
            folder = case.registry.reports / f"trial-{number}"
            folder.mkdir()
            (folder / "inputs.zip").write_bytes(b"rows of people under other names")
    done = erase_subject(case.registry, BEN, reason="asked for on paper")  # nothing of him was ever corrected
    assert (done.reports, done.without_inputs) == ([2], [2])
    assert [(case.registry.reports / f"trial-{n}" / "inputs.zip").exists() for n in (1, 2)] == [True, False]
    notes = study_inputs(case.registry, "trial")["study"]["notes"]
    assert any(
        "One subject was erased" in note and "Reports 1 to 2 were made before" in note for note in notes
    )  # fmt: skip
    done = erase_subject(case.registry, ZOE, reason="asked for on paper")  # of whom a correction hides the beginning
    assert (done.reports, done.without_inputs) == ([1, 2], [1])


def find_study_of(case: Case) -> int:
    with case.registry.reading() as connection:
        return find_study(connection, case.desk.study).id


@on_sqlite
def test_what_is_left_is_told(case: Case) -> None:
    notes = case.registry.folder / "notes.txt"
    notes.write_text(f"call {ZOE} on Monday", encoding="utf-8")
    done = erase_subject(case.registry, ZOE, reason="asked for on paper")
    assert done.left == [f"{notes}: the subject's code"]


def test_a_person_of_whom_every_row_was_refused_can_be_erased(desk_on_both) -> None:
    desk_on_both.write("subjects.csv", f"subject_id,sex,age\n{ZOE},unknown,41\nS2,F,40\n")
    assert desk_on_both.ingest().rejected == 1
    done = erase_subject(desk_on_both.registry, ZOE, reason="asked for on paper")
    assert done.counts == {"refused_rows": 1, "files_of_refused_rows": 1}
    assert not list(find_traces(desk_on_both.registry.folder, {"code": ZOE.encode()}))
    with desk_on_both.registry.reading() as connection:
        assert connection.execute(select(func.count()).select_from(QuarantinedRow)).scalar_one() == 0


def test_deleted_rows_stay_in_the_files_until_the_database_is_scrubbed(desk) -> None:
    """The search would find what is left: without scrubbing it does."""
    mark = "a mark that is nowhere else"
    with desk.registry.writing() as connection:
        connection.exec_driver_sql("PRAGMA secure_delete=OFF")
        connection.execute(text("CREATE TABLE scrap (content TEXT)"))
        connection.execute(text("INSERT INTO scrap VALUES (:mark)"), {"mark": mark})
    with desk.registry.writing() as connection:
        connection.exec_driver_sql("PRAGMA secure_delete=OFF")
        connection.execute(text("DROP TABLE scrap"))
    assert list(find_traces(desk.registry.folder, {"mark": mark.encode()}))
    assert scrub(desk.registry) is None
    assert not list(find_traces(desk.registry.folder, {"mark": mark.encode()}))


def test_a_reader_that_holds_the_database_is_told(desk) -> None:
    with desk.registry.reading() as connection:
        connection.execute(select(func.count()).select_from(Reading))
        told = scrub(desk.registry, wait_seconds=0.2)
    assert told is not None
    assert "Another process has the database open" in told
    assert scrub(desk.registry) is None


def test_the_link_goes_with_the_person(desk_on_both, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("CALLIPER_LINKS", str(tmp_path / "links.db"))
    registry = desk_on_both.registry
    plan = load_plan(PLAN + "privacy: {pseudonymise: true}\n")
    revise_plan(registry, "trial", plan, reason="pseudonyms")
    desk_on_both.write("subjects.csv", f"subject_id,sex,age\n{ZOE},F,41\n{BEN},M,52\n")
    desk_on_both.ingest()
    with registry.reading() as connection:
        identity = identity_of(connection)
    links = open_links(registry.folder, identity)
    assert isinstance(links, LinkTable)
    pseudonym = links.pseudonym_of("trial", ZOE)
    with pytest.raises(PlanError, match="does not say where the link table is"):
        erase_subject(registry, pseudonym, reason="asked for on paper")
    assert erase_subject(registry, pseudonym, reason="asked for on paper", links=links).counts["link"] == 1
    needles = {"identifier": ZOE.encode(), "pseudonym": pseudonym.encode()}
    assert not list(find_traces(tmp_path / "workspace", needles))
    assert not [trace for trace in find_traces(tmp_path, needles) if "links.db" in trace.path.name]
    assert links.pseudonym_of("trial", BEN)
    links.close()
