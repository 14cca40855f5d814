"""Load checked canonical rows into the registry: new rows in, changed values audited, unchanged rows left alone.

Everything happens inside the caller's single transaction. Readings are compared as sets, in the database: the rows of
a chunk go into a temporary table, which is joined with what is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    func,
    insert,
    or_,
    select,
    update,
)

from studies.canonical import TABLES
from studies.ingest.bulk import Codes, VisitKeys, arrow_table, insert_rows
from studies.photos import StoredPhoto
from studies.registry import audit
from studies.registry.catalogue import StudyRecord
from studies.registry.columns import column_parts
from studies.registry.schema import Device, Photo, Reading, Scan, Site, Subject, Visit
from studies.visits import visit_sequence

VIEWS = tuple(item.name for item in TABLES["scans"] if item.name in ("front", "back", "left", "right"))
_ORIGIN = ("flags", "source", "row")
LOADED = {  # what is loaded of a checked chunk
    "subjects": (*(item.name for item in TABLES["subjects"]), "attributes", *_ORIGIN),
    "scans": (*(item.name for item in TABLES["scans"] if item.name not in VIEWS), "attributes", "photos", *_ORIGIN),
    "readings": (*(item.name for item in TABLES["readings"]), "reported_value", "reported_unit", *_ORIGIN),
}
_SUBJECT_COLUMNS = ("sex", "age", "birth_date", "enrolled_on", "ethnicity", "consent")
_TEXT = pa.large_string()
_REGISTERED = pa.schema(
    {
        "subject_id": _TEXT, "id": pa.int64(), "site": _TEXT, "sex": _TEXT, "age": pa.float64(),
        "birth_date": pa.date32(), "enrolled_on": pa.date32(), "ethnicity": _TEXT, "consent": _TEXT,
        "attributes": _TEXT,
    }
)  # fmt: skip


@dataclass
class Change:
    """One value that replaced another."""

    table: str
    subject_id: str
    what: str
    old: Any
    new: Any

    def as_dict(self) -> dict[str, Any]:
        return {"table": self.table, "subject_id": self.subject_id, "what": self.what, "old": self.old, "new": self.new}


@dataclass
class Counts:
    new: int = 0
    changed: int = 0
    unchanged: int = 0


@dataclass
class Loader:
    """Loads one batch. `order` is the mapping's order of visits.

    Of what it loaded: `photos` are those that the store must have then, `rendered_scans` the number of new scans that
    are rendered.
    """

    connection: Connection
    study: StudyRecord
    batch_id: int
    order: Sequence[str] = ()
    counts: dict[str, Counts] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    events: list[audit.Event] = field(default_factory=list)
    rendered_scans: int = 0
    photos: set[StoredPhoto] = field(default_factory=set)
    replaced_photos: set[StoredPhoto] = field(default_factory=set)
    _subjects: Codes = field(default_factory=lambda: Codes(()))
    _visits: VisitKeys = field(default_factory=lambda: VisitKeys(()))
    _last_visit_before: int = 0
    _incoming: Table | None = None

    def _count(self, table: str) -> Counts:
        return self.counts.setdefault(table, Counts())

    # Subjects ---------------------------------------------------------------------------------------------------

    def subjects(self, chunks: Iterable[pd.DataFrame]) -> None:
        """Load the accepted subjects."""
        registered = self._registered_subjects()
        count = self._count("subjects")
        for chunk in chunks:
            sites = self._codes(Site, chunk["site"])
            places = registered.index.get_indexer(chunk["subject_id"])
            self._add_subjects(chunk[places < 0], sites)
            known, before = chunk[places >= 0], registered.iloc[places[places >= 0]]
            differing = _differing(known, before)
            changed = 0
            for row, old in zip(_records(known[differing]), _records(before[differing]), strict=True):
                if updates := self._subject_changes(old, row, sites):
                    self.connection.execute(update(Subject).where(Subject.id == old["id"]).values(**updates))
                    changed += 1
            count.new += len(chunk) - len(known)
            count.changed += changed
            count.unchanged += len(known) - changed
        keys = select(Subject.code, Subject.id).where(Subject.study_id == self.study.id)
        self._subjects = Codes(self.connection.execute(keys).all())

    def _registered_subjects(self) -> pd.DataFrame:
        query = (
            select(
                Subject.code, Subject.id, Site.code.label("site"),
                *(getattr(Subject, name) for name in _SUBJECT_COLUMNS), cast(Subject.attributes, Text),
            )
            .outerjoin(Site, Subject.site_id == Site.id)
            .where(Subject.study_id == self.study.id)
        )  # fmt: skip
        rows = pa.concat_tables(column_parts(self.connection, query, _REGISTERED))
        return rows.to_pandas(date_as_object=False).set_index("subject_id")

    def _add_subjects(self, chunk: pd.DataFrame, sites: dict[str, int]) -> None:
        if chunk.empty:
            return
        site_keys = Codes(sites.items()).keys(chunk["site"])
        columns = {
            "study_id": self.study.id, "code": chunk["subject_id"],
            "site_id": pa.array(site_keys, mask=site_keys < 0),
            **{name: chunk[name] for name in ("sex", "age", "ethnicity", "attributes", "flags")},
            **{name: pa.array(chunk[name]).cast(pa.date32()) for name in ("birth_date", "enrolled_on")},
            "consent": chunk["consent"].fillna("none"),
            "batch_id": self.batch_id, "source_file": chunk["source"], "source_row": chunk["row"],
        }  # fmt: skip
        insert_rows(self.connection, "subject", arrow_table(columns, len(chunk)))

    def _subject_changes(self, old: dict[str, Any], row: dict[str, Any], sites: dict[str, int]) -> dict[str, Any]:
        """What to update, each change noted. A missing value never replaces one that is there."""
        updates: dict[str, Any] = {}
        if row["site"] is not None and row["site"] != old["site"]:
            updates["site_id"] = sites[row["site"]]
            self._note("subjects", row["subject_id"], "site", old["site"], row["site"])
        before = _subject_values(old)
        for name, new in _subject_values(row).items():
            if new is not None and new != before[name]:
                updates[name] = new
                self._note("subjects", row["subject_id"], name, before[name], new)
        kept, given = json.loads(old["attributes"]), json.loads(row["attributes"])
        differing = {name: value for name, value in given.items() if kept.get(name) != value}
        if differing:
            updates["attributes"] = {**kept, **differing}
            for name, value in sorted(differing.items()):
                self._note("subjects", row["subject_id"], name, kept.get(name), value)
        if updates:
            updates |= {"flags": row["flags"], "batch_id": self.batch_id}
            updates |= {"source_file": row["source"], "source_row": row["row"]}
        return updates

    def _note(self, table: str, subject: str, what: str, old: Any, new: Any, place: str = "") -> None:
        old, new = (value if isinstance(value, int | float | str | None) else str(value) for value in (old, new))
        self.changes.append(Change(table, subject, f"{place} {what}".strip(), old, new))
        detail = {
            "field": what,
            "old": old,
            "new": new,
            "batch": self.batch_id,
            "reason": "corrected by a later ingest",
        }
        key = f"{subject}/{place}" if place else subject
        event = audit.Event("change", table.removesuffix("s"), key, detail, self.study.name, subject)
        self.events.append(event)

    # Sites, devices, visits -------------------------------------------------------------------------------------

    def _codes(self, table: type[Site] | type[Device], codes: pd.Series) -> dict[str, int]:
        """The keys of site or device codes, registering those that are new."""
        known = dict(self.connection.execute(select(table.code, table.id).where(table.study_id == self.study.id)).all())
        missing = sorted(set(codes.dropna().unique()) - set(known))
        if missing:
            self.connection.execute(insert(table), [{"study_id": self.study.id, "code": code} for code in missing])
            return self._codes(table, codes)
        return known

    def visits(self, chunks: Iterable[pd.DataFrame]) -> None:
        """Register the visits of all `chunks` (columns subject_id, visit) that are not there yet."""
        self._read_visits()
        self._last_visit_before = self.connection.execute(select(func.coalesce(func.max(Visit.id), 0))).scalar_one()
        missing: dict[int, tuple[int, str]] = {}
        for chunk in chunks:
            subjects = self._subjects.keys(chunk["subject_id"])
            places = self._visits.places(subjects, chunk["visit"])
            _, first = np.unique(places, return_index=True)
            first = np.sort(first[self._visits.keys(places[first]) < 0])
            new = zip(subjects[first].tolist(), chunk["visit"].iloc[first].tolist(), strict=True)
            for place, visit in zip(places[first].tolist(), new, strict=True):
                missing.setdefault(place, visit)
        self._count("visits").new += len(missing)
        if missing:
            subject_keys, labels = zip(*missing.values(), strict=True)
            sequences = {label: visit_sequence(label, self.order) for label in set(labels)}
            columns = {
                "subject_id": list(subject_keys), "label": list(labels),
                "sequence": [sequences[label] for label in labels],
            }  # fmt: skip
            insert_rows(self.connection, "visit", arrow_table(columns, len(missing)))
            self._read_visits()

    def _read_visits(self) -> None:
        rows = self.connection.execute(
            select(Visit.subject_id, Visit.label, Visit.id).join(Subject).where(Subject.study_id == self.study.id)
        )
        self._visits = VisitKeys(rows.all())

    def _visit_keys(self, chunk: pd.DataFrame) -> np.ndarray:
        return self._visits.keys(self._visits.places(self._subjects.keys(chunk["subject_id"]), chunk["visit"]))

    # Readings ---------------------------------------------------------------------------------------------------

    def readings(self, chunk: pd.DataFrame) -> None:
        """Load one chunk of accepted readings, whose visits are registered."""
        visits = self._visit_keys(chunk)
        devices = Codes(self._codes(Device, chunk["device"]).items())
        columns = {
            "visit_id": visits, "measurand": chunk["measurand"], "method": chunk["method"],
            "device_id": devices.keys(chunk["device"]), "replicate": chunk["replicate"], "value": chunk["value"],
            "unit": chunk["unit"], "measured_at": chunk["measured_at"], "reported_value": chunk["reported_value"],
            "reported_unit": chunk["reported_unit"], "flags": chunk["flags"], "source_file": chunk["source"],
            "source_row": chunk["row"],
        }  # fmt: skip
        rows = arrow_table(columns, len(chunk))
        # A visit that this batch has registered holds no reading to compare with.
        fresh = visits > self._last_visit_before
        if fresh.any():
            self._add_readings(rows.filter(pa.array(fresh)))
        if not fresh.all():
            self._compare_readings(rows.filter(pa.array(~fresh)))

    def _add_readings(self, rows: pa.Table) -> None:
        rows = rows.append_column("batch_id", pa.repeat(self.batch_id, rows.num_rows))
        insert_rows(self.connection, "reading", rows)
        self._count("readings").new += rows.num_rows

    def _compare_readings(self, rows: pa.Table) -> None:
        """Load readings of visits that were there before: in the database, as sets."""
        incoming = self._incoming_table()
        insert_rows(self.connection, incoming.name, rows)
        same = and_(
            *(getattr(Reading, name) == incoming.c[name] for name in ("visit_id", "measurand", "method")),
            *(getattr(Reading, name) == incoming.c[name] for name in ("device_id", "replicate")),
        )
        differs = or_(
            Reading.value != incoming.c.value,
            and_(incoming.c.measured_at.is_not(None), Reading.measured_at.is_distinct_from(incoming.c.measured_at)),
        )
        count, total = self._count("readings"), rows.num_rows
        known = self.connection.execute(select(func.count()).select_from(incoming).join(Reading, same)).scalar_one()
        changed = self._change_readings(incoming, same, differs) if known else 0
        if known < total:
            columns = [column.name for column in incoming.columns]
            new = select(*incoming.columns, bindparam("batch", self.batch_id, type_=Integer))
            new = new.outerjoin(Reading, same).where(Reading.id.is_(None))
            self.connection.execute(insert(Reading).from_select([*columns, "batch_id"], new))
        self.connection.execute(incoming.delete())
        count.new += total - known
        count.changed += changed
        count.unchanged += known - changed

    def _change_readings(self, incoming: Table, same: Any, differs: Any) -> int:
        query = (
            select(
                Reading.id, Reading.value, Reading.measured_at, Reading.measurand, Reading.method, Reading.replicate,
                Subject.code.label("subject"), Visit.label.label("visit"),
                *(incoming.c[name].label(f"new_{name}") for name in (
                    "value", "measured_at", "reported_value", "reported_unit", "flags", "source_file", "source_row",
                )),
            )
            .join(incoming, same)
            .join(Visit, Reading.visit_id == Visit.id)
            .join(Subject, Visit.subject_id == Subject.id)
            .where(differs)
            .order_by(Reading.id)
        )  # fmt: skip
        rows = self.connection.execute(query).all()
        for row in rows:
            place = f"{row.visit}/{row.method}/{row.measurand}/{row.replicate}"
            updates: dict[str, Any] = {
                "batch_id": self.batch_id, "source_file": row.new_source_file, "source_row": row.new_source_row,
                "flags": row.new_flags,
            }  # fmt: skip
            if row.new_value != row.value:
                updates |= {"value": row.new_value, "reported_value": row.new_reported_value}
                updates["reported_unit"] = row.new_reported_unit
                self._note("readings", row.subject, "value", row.value, row.new_value, place)
            if row.new_measured_at is not None and row.new_measured_at != row.measured_at:
                updates["measured_at"] = row.new_measured_at
                self._note("readings", row.subject, "measured_at", row.measured_at, row.new_measured_at, place)
            self.connection.execute(update(Reading).where(Reading.id == row.id).values(**updates))
        return len(rows)

    def _incoming_table(self) -> Table:
        if self._incoming is None:
            self._incoming = Table(
                "incoming_reading",
                MetaData(),
                Column("visit_id", Integer), Column("measurand", String), Column("method", String),
                Column("device_id", Integer), Column("replicate", Integer), Column("value", Float),
                Column("unit", String), Column("measured_at", DateTime), Column("reported_value", Float),
                Column("reported_unit", String), Column("flags", String), Column("source_file", Integer),
                Column("source_row", Integer),
                prefixes=["TEMPORARY"],
                **({"postgresql_on_commit": "DROP"} if self.connection.dialect.name == "postgresql" else {}),
            )  # fmt: skip
            self._incoming.create(self.connection, checkfirst=False)
        return self._incoming

    def close(self) -> None:
        """Drop the temporary table (a rollback drops it too)."""
        if self._incoming is not None:
            self._incoming.drop(self.connection)
            self._incoming = None

    # Scans ------------------------------------------------------------------------------------------------------

    def scans(self, chunk: pd.DataFrame) -> None:
        """Load one chunk of accepted scans; column `photos` holds JSON: view -> sha256, media_type, width, ..."""
        count = self._count("scans")
        devices = self._codes(Device, chunk["device"])
        for key, row in zip(self._visit_keys(chunk).tolist(), _records(chunk), strict=True):
            photos = json.loads(row["photos"])
            given = json.loads(row["attributes"])
            source = {"batch_id": self.batch_id, "source_file": row["source"], "source_row": row["row"]}
            old = self.connection.execute(
                select(Scan.id, Scan.captured_at, Device.code.label("device"), Scan.rendered, Scan.attributes)
                .join(Device, Scan.device_id == Device.id)
                .where(Scan.visit_id == key, Scan.code == row["scan_id"])
            ).one_or_none()
            if old is None:
                scan_id = self.connection.execute(
                    insert(Scan)
                    .values(
                        visit_id=key,
                        code=row["scan_id"],
                        captured_at=row["captured_at"],
                        device_id=devices[row["device"]],
                        rendered=row["rendered"] == "yes",
                        attributes=given,
                        flags=row["flags"],
                        **source,
                    )
                    .returning(Scan.id)
                ).scalar_one()
                self._add_photos(scan_id, photos)
                count.new += 1
                self.rendered_scans += row["rendered"] == "yes"
                continue
            before = len(self.changes)
            updates = self._scan_changes(old, row, given, devices)
            self._photo_changes(old.id, row, photos)
            if len(self.changes) > before:
                updates |= {"flags": row["flags"], **source}
                self.connection.execute(update(Scan).where(Scan.id == old.id).values(**updates))
                count.changed += 1
            else:
                count.unchanged += 1

    def _scan_changes(self, old: Any, row: dict[str, Any], given: dict[str, Any], devices: dict) -> dict[str, Any]:
        """What to update of a scan, each change noted. A missing value never replaces one that is there."""
        subject, place = row["subject_id"], f"{row['visit']}/{row['scan_id']}"
        updates: dict[str, Any] = {}
        if row["captured_at"] is not None and row["captured_at"] != old.captured_at:
            updates["captured_at"] = row["captured_at"]
            self._note("scans", subject, "captured_at", old.captured_at, row["captured_at"], place)
        if row["device"] not in ("", old.device):
            updates["device_id"] = devices[row["device"]]
            self._note("scans", subject, "device", old.device, row["device"], place)
        if row["rendered"] is not None and (row["rendered"] == "yes") != old.rendered:
            updates["rendered"] = row["rendered"] == "yes"
            self._note("scans", subject, "rendered", "yes" if old.rendered else "no", row["rendered"], place)
        differing = {name: value for name, value in given.items() if old.attributes.get(name) != value}
        if differing:
            updates["attributes"] = {**old.attributes, **differing}
            for name, value in sorted(differing.items()):
                self._note("scans", subject, name, old.attributes.get(name), value, place)
        return updates

    def _photo_changes(self, scan_id: int, row: dict[str, Any], photos: dict[str, dict[str, Any]]) -> None:
        place = f"{row['visit']}/{row['scan_id']}"
        stored = {
            photo.view: photo
            for photo in self.connection.execute(select(Photo.__table__).where(Photo.scan_id == scan_id))
        }
        for view, photo in photos.items():
            old = stored.get(view)
            if old is not None and old.sha256 == photo["sha256"]:
                if old.deleted_at is None:  # else it was deleted for privacy, and stays so
                    self.photos.add((photo["sha256"], photo["media_type"]))
                continue
            before = None if old is None else old.sha256
            self._note("scans", row["subject_id"], f"photo {view}", before, photo["sha256"], place)
            if old is None:
                self._add_photos(scan_id, {view: photo})
                continue
            self.photos.add((photo["sha256"], photo["media_type"]))
            self.replaced_photos.add((old.sha256, old.media_type))
            self.connection.execute(update(Photo).where(Photo.id == old.id).values(**photo, deleted_at=None))

    def _add_photos(self, scan_id: int, photos: dict[str, dict[str, Any]]) -> None:
        if photos:
            rows = [{"scan_id": scan_id, "view": view, **photo} for view, photo in photos.items()]
            self.connection.execute(insert(Photo), rows)
            self.photos |= {(photo["sha256"], photo["media_type"]) for photo in photos.values()}


def _differing(given: pd.DataFrame, old: pd.DataFrame) -> np.ndarray:
    """The rows in which something is given that is not as it was. Attributes as text may differ and be the same."""
    found = np.zeros(len(given), dtype=bool)
    for name in ("site", *_SUBJECT_COLUMNS, "attributes"):
        values = given[name].reset_index(drop=True)
        found |= (values.notna() & values.ne(old[name].reset_index(drop=True))).to_numpy()
    return found


def _records(chunk: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows as dictionaries of plain Python values, missing as None."""
    columns: dict[str, list[Any]] = {}
    for name in chunk.columns:
        values = chunk[name]
        if pd.api.types.is_datetime64_any_dtype(values.dtype):
            columns[name] = [None if pd.isna(value) else value.to_pydatetime() for value in values]
        else:
            columns[name] = [
                None if missing else value for value, missing in zip(values.tolist(), values.isna(), strict=True)
            ]
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _subject_values(row: dict[str, Any]) -> dict[str, Any]:
    values = {name: row[name] for name in _SUBJECT_COLUMNS}
    for name in ("birth_date", "enrolled_on"):
        values[name] = values[name].date() if values[name] is not None else None
    return values
