"""Load checked canonical rows into the registry: new rows in, changed values audited, unchanged rows left alone.

Everything happens inside the caller's single transaction. Readings are compared as sets, in the database: the rows of
a chunk go into a temporary table, which is joined with what is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from studies.canonical import SCAN_FIELDS
from studies.registry import audit
from studies.registry.catalogue import StudyRecord
from studies.registry.schema import Device, Photo, Reading, Scan, Site, Subject, Visit
from studies.visits import visit_sequence

VIEWS = tuple(item.name for item in SCAN_FIELDS if item.name in ("front", "back", "left", "right"))
_SUBJECT_COLUMNS = ("sex", "age", "birth_date", "enrolled_on", "ethnicity", "consent")
_MANY = 10_000


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
    """Loads one batch. `order` is the mapping's order of visits."""

    connection: Connection
    study: StudyRecord
    batch_id: int
    order: Sequence[str] = ()
    counts: dict[str, Counts] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    events: list[audit.Event] = field(default_factory=list)
    _subjects: dict[str, int] = field(default_factory=dict)
    _visits: pd.DataFrame = field(default_factory=pd.DataFrame)
    _incoming: Table | None = None

    def _count(self, table: str) -> Counts:
        return self.counts.setdefault(table, Counts())

    # Subjects ---------------------------------------------------------------------------------------------------

    def subjects(self, chunks: Iterable[pd.DataFrame]) -> None:
        present = {
            row.code: row
            for row in self.connection.execute(
                select(
                    Subject.id, Subject.code, Site.code.label("site"), Subject.attributes, Subject.flags,
                    *(getattr(Subject, name) for name in _SUBJECT_COLUMNS),
                )
                .outerjoin(Site, Subject.site_id == Site.id)
                .where(Subject.study_id == self.study.id)
            )
        }  # fmt: skip
        count = self._count("subjects")
        for chunk in chunks:
            sites = self._codes(Site, chunk["site"])
            added, changed = [], []
            for row in _records(chunk):
                values = _subject_values(row)
                old = present.get(row["subject_id"])
                if old is None:
                    added.append(
                        {
                            "study_id": self.study.id, "code": row["subject_id"], "site_id": sites.get(row["site"]),
                            "batch_id": self.batch_id, "source_file": row["source"], "source_row": row["row"],
                            "attributes": json.loads(row["attributes"]), "flags": row["flags"], **values,
                            "consent": values["consent"] or "none",
                        }
                    )  # fmt: skip
                elif update_of := self._subject_changes(old, row, values, sites):
                    changed.append({"key": old.id, **update_of})
                else:
                    count.unchanged += 1
            count.new += len(added)
            count.changed += len(changed)
            for start in range(0, len(added), _MANY):
                self.connection.execute(insert(Subject), added[start : start + _MANY])
            for one in changed:
                key = one.pop("key")
                self.connection.execute(update(Subject).where(Subject.id == key).values(**one))
        self._subjects = dict(
            self.connection.execute(select(Subject.code, Subject.id).where(Subject.study_id == self.study.id)).all()
        )

    def _subject_changes(self, old: Any, row: dict[str, Any], values: dict[str, Any], sites: dict) -> dict[str, Any]:
        """What to update, each change noted. A missing value never replaces one that is there."""
        updates: dict[str, Any] = {}
        if row["site"] is not None and row["site"] != old.site:
            updates["site_id"] = sites[row["site"]]
            self._note("subjects", row["subject_id"], "site", old.site, row["site"])
        for name, new in values.items():
            before = getattr(old, name)
            if new is not None and new != before:
                updates[name] = new
                self._note("subjects", row["subject_id"], name, before, new)
        given = json.loads(row["attributes"])
        differing = {name: value for name, value in given.items() if old.attributes.get(name) != value}
        if differing:
            updates["attributes"] = {**old.attributes, **differing}
            for name, value in sorted(differing.items()):
                self._note("subjects", row["subject_id"], name, old.attributes.get(name), value)
        if updates:
            updates |= {"flags": row["flags"], "batch_id": self.batch_id}
            updates |= {"source_file": row["source"], "source_row": row["row"]}
        return updates

    def _note(self, table: str, subject: str, what: str, old: Any, new: Any, place: str = "") -> None:
        old, new = (value if isinstance(value, int | float | str | None) else str(value) for value in (old, new))
        self.changes.append(Change(table, subject, f"{place} {what}".strip(), old, new))
        detail = {"field": what, "old": old, "new": new, "batch": self.batch_id, "reason": "corrected by a later ingest"}
        key = f"{subject}/{place}" if place else subject
        self.events.append(audit.Event("change", table.removesuffix("s"), key, detail, self.study.name))

    # Sites, devices, visits -------------------------------------------------------------------------------------

    def _codes(self, table: type[Site] | type[Device], codes: pd.Series) -> dict[str, int]:
        """The keys of site or device codes, registering those that are new."""
        known = dict(
            self.connection.execute(select(table.code, table.id).where(table.study_id == self.study.id)).all()
        )
        missing = sorted(set(codes.dropna().unique()) - set(known))
        if missing:
            self.connection.execute(insert(table), [{"study_id": self.study.id, "code": code} for code in missing])
            return self._codes(table, codes)
        return known

    def visits(self, chunks: Iterable[pd.DataFrame]) -> None:
        """Register the visits of all `chunks` (columns subject_id, visit) that are not there yet."""
        parts = [chunk[["subject_id", "visit"]].drop_duplicates() for chunk in chunks]
        wanted = pd.concat(parts, ignore_index=True).drop_duplicates() if parts else pd.DataFrame()
        self._read_visits()
        count = self._count("visits")
        if wanted.empty:
            return
        wanted = wanted.assign(subject_key=wanted["subject_id"].map(self._subjects))
        wanted = wanted.merge(self._visits, how="left", on=["subject_key", "visit"])
        missing = wanted[wanted["visit_id"].isna()]
        rows = [
            {"subject_id": int(row.subject_key), "label": row.visit, "sequence": visit_sequence(row.visit, self.order)}
            for row in missing.itertuples()
        ]
        for start in range(0, len(rows), _MANY):
            self.connection.execute(insert(Visit), rows[start : start + _MANY])
        count.new += len(rows)
        if rows:
            self._read_visits()

    def _read_visits(self) -> None:
        rows = self.connection.execute(
            select(Visit.subject_id, Visit.label, Visit.id).join(Subject).where(Subject.study_id == self.study.id)
        ).all()
        self._visits = pd.DataFrame(rows, columns=["subject_key", "visit", "visit_id"]).astype(
            {"subject_key": "int64", "visit": "str", "visit_id": "int64"}
        )

    def _visit_keys(self, chunk: pd.DataFrame) -> pd.Series:
        keys = pd.DataFrame({"subject_key": chunk["subject_id"].map(self._subjects), "visit": chunk["visit"]})
        return keys.merge(self._visits, how="left", on=["subject_key", "visit"])["visit_id"].astype("int64")

    # Readings ---------------------------------------------------------------------------------------------------

    def readings(self, chunk: pd.DataFrame) -> None:
        """Load one chunk of accepted readings, whose visits are registered."""
        incoming = self._incoming_table()
        devices = self._codes(Device, chunk["device"])
        frame = pd.DataFrame(
            {
                "visit_id": self._visit_keys(chunk).to_numpy(),
                "measurand": chunk["measurand"].to_numpy(object),
                "method": chunk["method"].to_numpy(object),
                "device_id": chunk["device"].map(devices).to_numpy("int64"),
                "replicate": chunk["replicate"].to_numpy("int64"),
                "value": chunk["value"].to_numpy("float64"),
                "unit": chunk["unit"].to_numpy(object),
                "measured_at": timestamps(chunk["measured_at"]),
                "reported_value": _optional(chunk["reported_value"]),
                "reported_unit": _optional(chunk["reported_unit"]),
                "flags": _optional(chunk["flags"]),
                "source_file": chunk["source"].to_numpy("int64"),
                "source_row": chunk["row"].to_numpy("int64"),
            }
        )
        self._fill(incoming, frame)
        same = and_(
            *(getattr(Reading, name) == incoming.c[name] for name in ("visit_id", "measurand", "method")),
            *(getattr(Reading, name) == incoming.c[name] for name in ("device_id", "replicate")),
        )
        differs = or_(
            Reading.value != incoming.c.value,
            and_(incoming.c.measured_at.is_not(None), Reading.measured_at.is_distinct_from(incoming.c.measured_at)),
        )
        count = self._count("readings")
        total = len(frame)
        known = self.connection.execute(select(func.count()).select_from(incoming).join(Reading, same)).scalar_one()
        changed = self._change_readings(incoming, same, differs) if known else 0
        columns = [column.name for column in incoming.columns]
        fresh = select(*incoming.columns, bindparam("batch", self.batch_id, type_=Integer))
        if known:
            fresh = fresh.outerjoin(Reading, same).where(Reading.id.is_(None))
        self.connection.execute(insert(Reading).from_select([*columns, "batch_id"], fresh))
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

    def _fill(self, table: Table, frame: pd.DataFrame) -> None:
        """Rows into a table by the fastest way the database has."""
        names = list(frame.columns)
        rows = zip(*(frame[name].tolist() for name in names), strict=True)
        if self.connection.dialect.name == "postgresql":
            with (
                self.connection.connection.cursor() as cursor,
                cursor.copy(f"COPY {table.name} ({', '.join(names)}) FROM STDIN") as copy,
            ):
                for row in rows:
                    copy.write_row(row)
            return
        places = ", ".join("?" * len(names))
        self.connection.exec_driver_sql(f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({places})", list(rows))

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
        keys = self._visit_keys(chunk).to_numpy()
        for key, row in zip(keys, _records(chunk), strict=True):
            photos = json.loads(row["photos"])
            values = {
                "captured_at": row["captured_at"], "device_id": devices[row["device"]],
                "attributes": json.loads(row["attributes"]), "flags": row["flags"],
            }  # fmt: skip
            source = {"batch_id": self.batch_id, "source_file": row["source"], "source_row": row["row"]}
            old = self.connection.execute(
                select(Scan.id, Scan.captured_at, Scan.device_id, Scan.attributes).where(
                    Scan.visit_id == int(key), Scan.code == row["scan_id"]
                )
            ).one_or_none()
            if old is None:
                scan_id = self.connection.execute(
                    insert(Scan)
                    .values(visit_id=int(key), code=row["scan_id"], **values, **source)
                    .returning(Scan.id)
                ).scalar_one()
                self._add_photos(scan_id, photos)
                count.new += 1
                continue
            place = f"{row['visit']}/{row['scan_id']}"
            before = len(self.changes)
            for name in ("captured_at", "device_id"):
                new = values[name]
                if new is not None and new != getattr(old, name):
                    self._note("scans", row["subject_id"], name, getattr(old, name), new, place)
            if values["attributes"] != old.attributes and values["attributes"]:
                self._note("scans", row["subject_id"], "attributes", json.dumps(old.attributes), row["attributes"], place)
            stored = dict(
                self.connection.execute(select(Photo.view, Photo.sha256).where(Photo.scan_id == old.id)).all()
            )
            for view, photo in photos.items():
                if stored.get(view) != photo["sha256"]:
                    self._note("scans", row["subject_id"], f"photo {view}", stored.get(view), photo["sha256"], place)
                    self._replace_photo(old.id, view, photo, present=view in stored)
            if len(self.changes) > before:
                values = {name: value for name, value in values.items() if value is not None}
                self.connection.execute(update(Scan).where(Scan.id == old.id).values(**values, **source))
                count.changed += 1
            else:
                count.unchanged += 1

    def _add_photos(self, scan_id: int, photos: dict[str, dict[str, Any]]) -> None:
        if photos:
            rows = [{"scan_id": scan_id, "view": view, **photo} for view, photo in photos.items()]
            self.connection.execute(insert(Photo), rows)

    def _replace_photo(self, scan_id: int, view: str, photo: dict[str, Any], *, present: bool) -> None:
        if not present:
            self._add_photos(scan_id, {view: photo})
            return
        self.connection.execute(
            update(Photo).where(Photo.scan_id == scan_id, Photo.view == view).values(**photo, deleted_at=None)
        )


def timestamps(moments: pd.Series) -> pd.Series:
    """Moments as the text that SQLite stores and PostgreSQL reads; missing as None."""
    array = pa.array(moments.to_numpy("datetime64[us]"))
    text = pc.strftime(array, format="%Y-%m-%d %H:%M:%S").to_pandas().astype(object)
    return text.where(moments.notna().to_numpy(), None)


def _optional(values: pd.Series) -> pd.Series:
    """Values with None where missing, as the database drivers want it."""
    plain = values.astype(object).reset_index(drop=True)
    return plain.where(values.notna().to_numpy(), None)


def _records(chunk: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows as dictionaries of plain Python values, missing as None."""
    columns: dict[str, list[Any]] = {}
    for name in chunk.columns:
        values = chunk[name]
        if pd.api.types.is_datetime64_any_dtype(values.dtype):
            columns[name] = [None if pd.isna(value) else value.to_pydatetime() for value in values]
        else:
            columns[name] = [None if missing else value for value, missing in zip(values.tolist(), values.isna(), strict=True)]
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _subject_values(row: dict[str, Any]) -> dict[str, Any]:
    values = {name: row[name] for name in _SUBJECT_COLUMNS}
    for name in ("birth_date", "enrolled_on"):
        values[name] = values[name].date() if values[name] is not None else None
    return values
