"""The folders of ingests: reports that show rows and changes, and files of refused rows. A person is taken out of them,
or all refused rows are, once they may not be kept any longer.
"""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from studies.canonical import REASON_COLUMN, ROW_COLUMN
from studies.privacy.people import Person
from studies.privacy.source_rows import as_plain_code, mentions, subject_columns
from studies.readers.formulas import guard
from studies.registry.schema import IngestBatch
from studies.registry.workspace import Registry

REPORT, PAGE = "ingest.json", "ingest.html"
ERASED_NOTE = "Rows of people who were erased since are not shown here any more."
EXPIRED_NOTE = "The refused rows were removed when their retention period was over."

Redraw = Callable[[dict[str, Any], Path], Any]
"""Writes the page and the JSON of an ingest's report into a folder."""


@dataclass
class Forgotten:
    """What was taken out of the folders: rows of files, examples and changes in reports, folders concerned."""

    rows: int = 0
    shown: int = 0
    folders: list[str] = field(default_factory=list)


def forget_person(
    registry: Registry, connection: Connection, person: Person, *, redraw: Redraw | None = None
) -> Forgotten:
    """Take a person out of the study's ingest folders. Doing it twice changes nothing."""
    done = Forgotten()
    for folder, mapping in _folders(registry, connection, person):
        columns = subject_columns(mapping)
        rows = sum(
            _filter_csv(path, lambda row: not _is_about(row, columns, person.code))  # noqa: B023
            for path in sorted((folder / "quarantine").rglob("*.csv"))
        )
        shown = _filter_report(folder, lambda entry: _tells_of(entry, person.code), ERASED_NOTE, redraw)
        if rows or shown:
            done.folders.append(folder.name)
        done.rows += rows
        done.shown += shown
    trial = registry.ingests / f"{person.study}-dry-run"
    if trial.is_dir():  # nobody needs the report of a trial after this, and no batch says how to read its files
        shutil.rmtree(trial)
        done.folders.append(trial.name)
    return done


def forget_refused(folder: Path, *, redraw: Redraw | None = None) -> bool:
    """Remove the files and examples of refused and doubted rows from an ingest's folder. Whether there were any."""
    quarantine = folder / "quarantine"
    there = quarantine.is_dir()
    if there:
        shutil.rmtree(quarantine)
    return bool(_filter_report(folder, lambda entry: "rule" in entry, EXPIRED_NOTE, redraw)) or there


def _folders(registry: Registry, connection: Connection, person: Person) -> Iterator[tuple[Path, dict[str, Any]]]:
    query = select(IngestBatch.number, IngestBatch.mapping).where(IngestBatch.study_id == person.study_id)
    for batch in connection.execute(query.order_by(IngestBatch.number)).all():
        folder = registry.ingests / f"{person.study}-{batch.number}"
        if folder.is_dir():
            yield folder, batch.mapping


def _is_about(row: dict[str, str], columns: frozenset[str], code: str) -> bool:
    own = {name: value for name, value in row.items() if name not in (ROW_COLUMN, REASON_COLUMN) and value}
    if not own:  # a row that fits no columns stands in the reasons
        return mentions(row.get(REASON_COLUMN) or "", code)
    wanted = {code, guard(code)}
    return any(
        as_plain_code(value) in wanted for name, value in own.items() if not columns or name.casefold() in columns
    )


def _filter_csv(path: Path, keep: Callable[[dict[str, str]], bool]) -> int:
    """Write a file of refused rows anew with those to keep; how many went."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = list(csv.reader(file))
    kept = [row for row in rows if keep(dict(zip(header, row, strict=False)))]
    if len(kept) < len(rows):
        made = path.with_name(f".{path.name}.{secrets.token_hex(6)}.partial")
        with made.open("w", encoding="utf-8-sig", newline="") as file:
            csv.writer(file).writerows([header, *kept])
            file.flush()
            os.fsync(file.fileno())
        os.replace(made, path)
    return len(rows) - len(kept)


def _tells_of(entry: dict[str, Any], code: str) -> bool:
    """Whether an example or a change in a report tells of the person. One that says nothing of whom it tells might."""
    if "subject_id" not in entry or entry["subject_id"] == code:
        return True
    texts = (entry.get(name) for name in ("value", "reason", "old", "new"))
    return any(mentions(text, code) for text in texts if isinstance(text, str))


def _filter_report(folder: Path, out: Callable[[dict[str, Any]], bool], note: str, redraw: Redraw | None) -> int:
    """Take entries out of an ingest's report; how many went."""
    path = folder / REPORT
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    before = _entries(report)
    for part in ("quarantine", "flagged"):
        report[part]["examples"] = [entry for entry in report[part]["examples"] if not out(entry)]
    report["changes"] = [entry for entry in report["changes"] if not out(entry)]
    gone = before - _entries(report)
    files = [name for name in report["quarantine"]["files"] if (folder / name).exists()]
    if not gone and files == report["quarantine"]["files"]:
        return 0
    report["quarantine"]["files"] = files
    if note not in report["notes"]:
        report["notes"].append(note)
    if redraw is not None:
        redraw(report, folder)
        return gone
    made = path.with_suffix(".partial")
    made.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(made, path)
    (folder / PAGE).unlink(missing_ok=True)  # it shows what went, and nobody here can draw it anew
    return gone


def _entries(report: dict[str, Any]) -> int:
    return sum(map(len, (report["quarantine"]["examples"], report["flagged"]["examples"], report["changes"])))
