"""The drift report, from the registry to the page: what is put in as moving is what it says moves."""

from __future__ import annotations

import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "dashboard_support"))

from small_study import STUDY, make_study

from reports.document import Document, Figure, List, Paragraph, Table, text_of, walk
from reports.drift_report import drift_document
from reports.html import render_html
from reports.kinds import Order, build
from studies.registry.catalogue import find_study
from studies.registry.schema import IngestBatch, Outcome, Prediction, Scan, Subject, Visit
from studies.registry.workspace import Registry, open_registry

BATCHES = 4
PEOPLE = 160


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drift") / "workspace"


def scans_of(connection: Any, batch: int, sex: str | None = None) -> list[int]:
    """The scans of people whose turn this batch was."""
    rows = connection.execute(
        select(Scan.id, Subject.code, Subject.sex)
        .join(Visit, Scan.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
    )
    return [
        row.id for row in rows
        if int(row.code.removeprefix("S-")) * BATCHES // PEOPLE == batch and sex in (None, row.sex)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def store(workspace: Path):
    """People in the order of their names over four ingests, as many in each; nothing moves."""
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("CALLIPER_DATABASE_URL", raising=False)
        environment.setenv("CALLIPER_ACTOR", "tester")
        with open_registry(workspace, create=True) as opened:
            make_study(opened, subjects=PEOPLE)
            with opened.writing() as connection:
                study = find_study(connection, STUDY).id
                first = connection.execute(select(IngestBatch.__table__)).one()
                keys = [first.id]
                for number in range(2, BATCHES + 1):
                    when = datetime(2024, 3, 1) + timedelta(days=30 * number)
                    values = {**first._asdict(), "number": number, "finished_at": when}
                    del values["id"]
                    keys.append(
                        connection.execute(insert(IngestBatch).values(values).returning(IngestBatch.id)).scalar_one()
                    )
                assert study == first.study_id
                for batch, key in enumerate(keys):
                    connection.execute(
                        update(Scan).where(Scan.id.in_(scans_of(connection, batch))).values(batch_id=key)
                    )
            yield opened


@pytest.fixture
def changed(store: Registry):
    """The registry's writer, whose changes are undone after the test."""
    held: list[tuple[Any, list[dict]]] = []
    with store.reading() as connection:
        for table in (Prediction, Outcome, Scan):
            held.append((table, [row._asdict() for row in connection.execute(select(table.__table__))]))
    yield store
    with store.writing() as connection:
        for table, rows in held:
            for row in rows:
                connection.execute(update(table).where(table.id == row["id"]).values(row))


def made(store: Registry, **words: Any) -> tuple[dict[str, Any], Document]:
    found = build(store, "drift", Order(STUDY, **words))
    return found.results, drift_document(found.results)


def prose(document: Document) -> str:
    """Everything that is said in sentences."""
    parts = []
    for block in walk(document.sections):
        if isinstance(block, Paragraph):
            parts.append(text_of(block.content))
        if isinstance(block, List):
            parts += [text_of(item) for item in block.items]
    return "\n".join(parts)


def verdicts(results: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(item["quantity"], item["statistic"]): item["verdict"] for item in results["charts"]}


def test_where_nothing_moves_it_says_so(store: Registry) -> None:
    results, document = made(store)
    assert results["baseline"] == {"ingests": [1], "people": 40}
    assert [item["ingests"] for item in results["batches"]] == [[1], [2], [3], [4]]
    assert set(verdicts(results).values()) == {"no evidence"}
    said = prose(document)
    for what in ("the error moves", "who is measured changes", "the capture changes"):
        assert f"There is no evidence that {what}" in said
    assert "In no group of the plan do the data show that anything moves." in said
    assert sum(isinstance(block, Figure) for block in walk(document.sections)) == 2


def test_an_error_that_moves_is_told_with_the_ingest(changed: Registry) -> None:
    with changed.writing() as connection:
        late = scans_of(connection, 3)
        connection.execute(update(Prediction).where(Prediction.scan_id.in_(late)).values(value=Prediction.value + 6))
    results, document = made(changed)
    assert verdicts(results)["body_fat_percent", "mean"] == "moves"
    assert "The error moves: mean difference (ingest 4, p < 0.001 after adjustment)" in prose(document)
    mean = next(item for item in results["charts"] if item["statistic"] == "mean")
    assert [point["alarm"] for point in mean["points"]] == [False, False, True]
    assert verdicts(results)["indeterminate", "share"] == "no evidence"


def test_an_error_that_moves_for_some_is_told_for_them(changed: Registry) -> None:
    with changed.writing() as connection:
        late = scans_of(connection, 2, "F")
        connection.execute(update(Prediction).where(Prediction.scan_id.in_(late)).values(value=Prediction.value + 9))
    results, document = made(changed)
    moving = {(item["subgroup"], item["group"]) for item in results["groups"] if item["verdict"] == "moves"}
    assert any("F" in group or "emale" in group or "Wom" in group for name, group in moving if name == "sex")
    assert not any(group in ("M", "Men", "Male") for name, group in moving if name == "sex")
    assert "mean difference moves in ingest 3" in prose(document)


def test_a_capture_that_gets_worse_is_told_with_its_reasons(changed: Registry) -> None:
    with changed.writing() as connection:
        for bad, why in ((scans_of(connection, 3)[::2], "blurred"), (scans_of(connection, 1)[:4], "cut off")):
            found = [{"view": "front", "reason": why, "detail": ""}]
            connection.execute(
                update(Outcome)
                .where(Outcome.scan_id.in_(bad))
                .values(status="indeterminate", reason=f"front: {why}", quality=found)
            )
            connection.execute(update(Prediction).where(Prediction.scan_id.in_(bad)).values(value=None))
    results, document = made(changed)
    assert verdicts(results)["indeterminate", "share"] == "moves"
    assert "The capture changes: share of people with an indeterminate scan (ingest 4, p " in prose(document)
    counts = {item["reason"]: item["counts"] for item in results["reasons"]}
    assert counts["blurred"][3]["people"] >= 20
    assert counts["cut off"][1]["suppressed"]  # fewer than ten people
    table = next(block for block in walk(document.sections) if isinstance(block, Table) and block.id == "table-reasons")
    assert "not shown" in [cell for row in table.rows for cell in row.cells]


def test_small_ingests_are_hidden_everywhere(changed: Registry) -> None:
    with changed.writing() as connection:
        keys = dict(connection.execute(select(IngestBatch.number, IngestBatch.id)).all())
        some = scans_of(connection, 3)
        connection.execute(update(Scan).where(Scan.id.in_(some[7:])).values(batch_id=keys[2]))
    results, document = made(changed)
    assert results["batches"][3]["suppressed"]
    for item in [*results["charts"], *results["groups"]]:
        if item["points"]:
            last = item["points"][2]
            assert last["value"] is None
            assert last.get("suppressed") or last["n"] == 0  # that there is nobody tells of nobody
    assert "not shown" in str(document.to_dict())


def test_one_ingest_is_no_drift(changed: Registry) -> None:
    with changed.writing() as connection:
        key = connection.execute(select(IngestBatch.id).order_by(IngestBatch.number)).scalars().first()
        connection.execute(update(Scan).values(batch_id=key))
    results, document = made(changed)
    assert results["charts"] == []
    assert "Only one ingest has brought measurements" in prose(document)
    assert "<html" in render_html(document)


def test_readings_as_index_test(store: Registry) -> None:
    """The readings of this study came in no ingest that is known."""
    results, _ = made(store, index="scale")
    assert results["index"] == "scale"
    assert json.dumps(results, allow_nan=False)


def test_the_same_data_give_the_same_bytes(store: Registry) -> None:
    assert json.dumps(made(store)[0], sort_keys=True) == json.dumps(made(store)[0], sort_keys=True)


def test_numbers_on_the_page_are_those_of_the_results(store: Registry) -> None:
    results, document = made(store)
    for value in document.values():
        found: Any = results
        for step in value.source.split("/")[1:]:
            found = found[int(step)] if isinstance(found, list) else found[step]
        assert found == value.value
