"""Scans that were rendered say so, wherever they or what was made of them are shown."""

from __future__ import annotations

import io
from datetime import datetime

import pytest
from PIL import Image
from sqlalchemy import insert, select, text

from reports.bound import Bound
from reports.ingest_report import ingest_document
from studies.ingest.ingest import ingest
from studies.ingest.mapping import load_mapping
from studies.plan import load_template, plan_from_document
from studies.registry.analysis import analyze_study
from studies.registry.catalogue import create_study, describe_study, find_study
from studies.registry.database import open_engine
from studies.registry.frames import study_frames
from studies.registry.schema import Prediction, Run, Scan
from studies.registry.workspace import open_registry

SCANS = "subject_id,scan_id,visit,front,rendered\n"
NOTE = "1 of 2 subjects of this study is synthetic and 1 of 2 scans of it is rendered"


@pytest.fixture
def mixed(desk_on_both):
    """Two subjects, one of them synthetic, with a scan each, one of them rendered."""
    desk = desk_on_both
    picture = io.BytesIO()
    Image.new("RGB", (300, 400), (90, 70, 60)).save(picture, "JPEG")
    desk.write("photos/a.jpg", picture.getvalue())
    desk.write("subjects.csv", "subject_id,sex,age,synthetic\nS1,F,40,Yes\nS2,M,50,\n")
    desk.write("scans.csv", SCANS + "S1,a,v1,photos/a.jpg,Yes\nS2,a,v1,photos/a.jpg,\n")
    rows = [f"S{i},body_fat_percent,{method},{30 + i},v1" for i in (1, 2) for method in ("dxa", "scale")]
    desk.write("readings.csv", "\n".join(["subject_id,measurand,method,value,visit", *rows, ""]))
    return desk


def test_it_is_in_the_registry_the_trail_the_report_and_the_overview(mixed) -> None:
    result = mixed.ingest()
    assert result.rejected == 0
    with mixed.registry.reading() as connection:
        scans = dict(connection.execute(select(Scan.source_row, Scan.rendered)).all())
        shown = describe_study(connection, mixed.study)
    assert scans == {2: True, 3: False}
    assert (shown["synthetic_subjects"], shown["rendered_scans"]) == (1, 1)
    assert result.report["provenance"][0].startswith(NOTE)
    assert ingest_document(result.report).banner.startswith(NOTE)
    assert mixed.events("ingest")[0]["detail"]["rendered_scans"] == 1


def test_a_correction_is_one_audited_change_and_silence_is_none(mixed) -> None:
    mixed.ingest()
    mixed.write("scans.csv", SCANS + "S1,a,v1,photos/a.jpg,\nS2,a,v1,photos/a.jpg,yes\n")
    result = mixed.ingest()
    assert result.report["changes"] == [
        {"table": "scans", "subject_id": "S2", "what": "v1/a rendered", "old": "no", "new": "yes"}
    ]
    with mixed.registry.reading() as connection:
        assert connection.execute(select(Scan.rendered)).scalars().all() == [True, True]


def test_another_word_than_yes_or_no_is_refused(mixed, refused) -> None:
    mixed.write("scans.csv", SCANS + "S1,a,v1,photos/a.jpg,perhaps\n")
    (reason,) = refused(mixed.ingest())["scans.csv", 2]
    assert (reason["rule"], reason["value"]) == ("rendered_readable", "perhaps")


def test_predictions_carry_it_and_so_does_every_page_of_a_report(mixed) -> None:
    mixed.ingest()
    registry = mixed.registry
    with registry.writing() as connection:
        study = find_study(connection, mixed.study).id
        now = datetime(2026, 1, 1)
        run = {"study_id": study, "number": 1, "status": "finished", "software": {}, "started_at": now}
        key = connection.execute(insert(Run).values(**run, finished_at=now).returning(Run.id)).scalar_one()
        for scan in connection.execute(select(Scan.id)).scalars().all():
            made = {"run_id": key, "scan_id": scan, "measurand": "body_fat_percent", "value": 29.5, "unit": "%"}
            connection.execute(insert(Prediction).values(**made, details={}))
    with registry.reading() as connection:
        measurements = study_frames(connection, study).measurements
    told = measurements.set_index(["subject_id", "kind", "method"])["rendered"].to_dict()
    assert told["S1", "prediction", "scan"] is True
    assert told["S2", "prediction", "scan"] is False
    assert not measurements.loc[measurements["kind"] == "reading", "rendered"].any()

    document = load_template("demo").document() | {"index": "scale", "comparators": ["deurenberg"], "criteria": []}
    create_study(registry, "other", plan_from_document(document))
    ingest(registry, "other", [mixed.folder], load_mapping("calliper"))
    analysis = analyze_study(registry, "other")
    assert analysis.results["notes"][0].startswith(NOTE)
    assert Bound(analysis.results, analysis.pairs).banner.startswith(NOTE)


def test_scans_of_a_registry_from_before_count_as_photographed(database_engine, tmp_path) -> None:
    """A registry of the first schema, with a scan, is brought up to date when it is opened."""
    import os
    from importlib.resources import files

    from alembic import command
    from alembic.config import Config

    from studies.registry import database
    from studies.registry.workspace import URL_VARIABLE

    folder = tmp_path / "workspace"
    folder.mkdir()
    url = database.database_url(folder, os.environ.get(URL_VARIABLE))
    config = Config()
    config.set_main_option("script_location", str(files("studies.registry") / "migrations"))
    engine = open_engine(url)
    with database.writer(engine, wait_seconds=1) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for statement in (
            "INSERT INTO study (id, name, title, created_at) VALUES (1, 's', 's', '2026-01-01')",
            "INSERT INTO device (id, study_id, code) VALUES (1, 1, '')",
            "INSERT INTO subject (id, study_id, code, attributes) VALUES (1, 1, 'S1', '{}')",
            "INSERT INTO visit (id, subject_id, label) VALUES (1, 1, 'v1')",
            "INSERT INTO scan (id, visit_id, code, device_id, attributes) VALUES (1, 1, 'a', 1, '{}')",
        ):
            connection.execute(text(statement))
    engine.dispose()
    with open_registry(folder, create=True) as registry, registry.reading() as connection:
        assert connection.execute(select(Scan.rendered)).scalars().all() == [False]
