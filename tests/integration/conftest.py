"""A study at hand for every test: files are written, ingested, and what became of every row is asked for."""

from __future__ import annotations

import csv
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pandas as pd
import pytest
from sqlalchemy import select

from studies.ingest.ingest import IngestResult, ingest
from studies.ingest.mapping import load_mapping, parse_mapping
from studies.plan import load_template
from studies.registry import audit
from studies.registry.catalogue import create_study, find_study
from studies.registry.frames import StudyFrames, study_frames
from studies.registry.schema import Base, IngestBatch, QuarantinedRow, Reading, Scan, Study, Subject
from studies.registry.workspace import Registry, open_registry

STUDY = "trial"


class Desk:
    """A study in an open registry, with a folder for its source files."""

    def __init__(self, registry: Registry, folder: Path, study: str = STUDY):
        self.registry, self.folder, self.study = registry, folder, study
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, content: str | bytes | Sequence[Sequence[Any]], *, encoding: str = "utf-8") -> Path:
        """A source file: text, bytes, or rows that become CSV."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding=encoding, newline="")
        else:
            with path.open("w", encoding=encoding, newline="") as file:
                csv.writer(file).writerows(content)
        return path

    def ingest(self, *paths: Path, mapping: str = "calliper", dry_run: bool = False) -> IngestResult:
        """Ingest the files (by default the whole folder); `mapping` is a name, or YAML text."""
        chosen = parse_mapping(mapping, "mapping.yaml") if "\n" in mapping else load_mapping(mapping)
        return ingest(self.registry, self.study, list(paths) or [self.folder], chosen, dry_run=dry_run)

    def frames(self) -> StudyFrames:
        with self.registry.reading() as connection:
            return study_frames(connection, find_study(connection, self.study).id)

    def subjects(self) -> pd.DataFrame:
        return self.frames().subjects.set_index("subject_id")

    def readings(self) -> pd.DataFrame:
        return self.frames().measurements.sort_values("measurement_id", ignore_index=True)

    def quarantined(self) -> list[Any]:
        with self.registry.reading() as connection:
            key = find_study(connection, self.study).id
            rows = select(QuarantinedRow.__table__).where(QuarantinedRow.study_id == key).order_by(QuarantinedRow.id)
            return list(connection.execute(rows))

    def events(self, action: str | None = None) -> list[dict[str, Any]]:
        """The audit trail, oldest first."""
        with self.registry.reading() as connection:
            assert audit.first_broken_link(connection) is None
            found = audit.newest_events(connection, 100_000)[::-1]
        return [event for event in found if action is None or event["action"] == action]

    def tables(self) -> dict[str, list[tuple]]:
        """Every row of every table."""
        with self.registry.reading() as connection:
            return {
                table.name: sorted(map(repr, connection.execute(select(table)).all()))
                for table in Base.metadata.sorted_tables
            }

    def places(self, result: IngestResult) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
        """(file, row) of the source rows that this batch put into the registry, and of those in its quarantine."""
        names = [source["file"] for source in result.report["sources"]]
        with self.registry.reading() as connection:
            inside = {
                (names[file], row)
                for table in (Subject, Scan, Reading)
                for file, row in connection.execute(
                    select(table.source_file, table.source_row)
                    .join(IngestBatch, table.batch_id == IngestBatch.id)
                    .join(Study, IngestBatch.study_id == Study.id)
                    .where(Study.name == self.study)
                )
            }
        return inside, {(row.source, row.source_row) for row in self.quarantined()}

    def assert_all_accounted_for(self, result: IngestResult, rows: dict[str, int], first: int = 2) -> None:
        """Each of the `rows` data rows of each file of a first ingest is in the registry, in quarantine or counted."""
        inside, refused = self.places(result)
        for source in result.report["sources"]:
            name = source["file"]
            every = {(name, row) for row in range(first, first + rows[name])}
            there = {place for place in inside | refused if place[0] == name}
            assert there <= every
            not_selected = sum(entry["n"] for entry in source["rows_not_selected"])
            assert len(there) + not_selected == len(every), f"{name}: lost {sorted(every - there)}"
        for table in ("subjects", "scans", "readings"):
            counts = result.report["tables"][table]
            parts = ("new", "changed", "unchanged", "rejected")
            assert counts["read"] == sum(counts[part] for part in parts)


def refusals(result: IngestResult) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """What was refused, by (file, row)."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for example in result.report["quarantine"]["examples"]:
        found.setdefault((example["file"], example["row"]), []).append(example)
    return found


@pytest.fixture(scope="session")
def refused() -> Callable[[IngestResult], dict[tuple[str, int], list[dict[str, Any]]]]:
    return refusals


@pytest.fixture(scope="session")
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite workspace with one study, to copy: making the schema takes longer than copying it."""
    folder = tmp_path_factory.mktemp("prepared") / "workspace"
    with open_registry(folder, create=True) as registry:
        create_study(registry, STUDY, load_template("blank"))
    return folder


@pytest.fixture(scope="session")
def new_desk(_prepared: Path) -> Callable[[Path], Desk]:
    """Makes a desk in a folder; for set-ups that several tests share."""

    def make(folder: Path) -> Desk:
        shutil.copytree(_prepared, folder / "workspace")
        with patch.dict(os.environ):
            os.environ.pop("CALLIPER_DATABASE_URL", None)
            return Desk(open_registry(folder / "workspace"), folder / "source")

    return make


@pytest.fixture(scope="session")
def make_desk() -> Callable[[Registry, Path], Desk]:
    """Makes a desk in an open registry that has the study."""
    return Desk


@pytest.fixture
def desk(new_desk: Callable[[Path], Desk], tmp_path: Path) -> Desk:
    """A study on SQLite."""
    made = new_desk(tmp_path)
    yield made
    made.registry.close()


@pytest.fixture
def desk_on_both(registry: Registry, tmp_path: Path) -> Desk:
    """A study on SQLite and on PostgreSQL in turn."""
    create_study(registry, STUDY, load_template("blank"))
    return Desk(registry, tmp_path / "source")


@pytest.fixture
def two_registries(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Callable[[str], Desk], Callable[[str], Desk]]]:
    """For one registry on each database: what makes a desk with a new study, of the name given, in it."""

    def maker(registry: Registry, folder: Path) -> Callable[[str], Desk]:
        def make(study: str) -> Desk:
            create_study(registry, study, load_template("blank"))
            return Desk(registry, folder / study, study)

        return make

    with open_registry(tmp_path / "sqlite", create=True) as first:
        monkeypatch.setenv("CALLIPER_DATABASE_URL", postgresql_url)
        with open_registry(tmp_path / "postgresql", create=True) as second:
            yield maker(first, tmp_path / "one"), maker(second, tmp_path / "other")


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    error: str


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The command line in this process, which spares the seconds that a new one needs to import everything."""
    from calliper.__main__ import main

    monkeypatch.setenv("CALLIPER_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["calliper", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), printed.out, printed.err)

    return run
