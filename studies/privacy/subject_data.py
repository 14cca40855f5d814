"""Everything held on one person, for the person: machine- and human-readable (GDPR, Art. 15 and 20)."""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from studies.errors import StorageError, UsageError
from studies.photos import PhotoStore
from studies.privacy.links import LinkTable
from studies.privacy.people import Person, find_person, held_rows
from studies.registry import audit
from studies.registry.catalogue import current_plan, find_study
from studies.registry.workspace import Registry
from studies.version import VERSION

FORMAT = 1
_SUFFIX = {"image/jpeg": ".jpg", "image/png": ".png"}
PARTS = {
    "subject": "Who you are to the study",
    "visits": "Your visits",
    "readings": "What was measured",
    "scans": "Your scans",
    "photos": "Your photos",
    "silhouettes": "Silhouettes made of your photos",
    "outcomes": "What was computed of your scans",
    "predictions": "What was predicted from your scans",
    "refused_rows": "Rows about you that did not fit and were set aside",
    "trail": "Who changed, saw or exported something about you",
}
"""The parts of the data and their headings, in the order in which they are shown."""


def collect_subject(
    registry: Registry, code: str, *, study: str | None = None, links: LinkTable | None = None
) -> dict[str, Any]:
    """Everything held on a person, as plain data. Raises UsageError where nothing is.

    With `links`, the site's own identifier is among it.
    """
    with registry.reading() as connection:
        person = find_person(connection, code, study)
        rows = held_rows(connection, person)
        record = find_study(connection, person.study)
        privacy = current_plan(connection, person.study_id).plan.privacy
    identifier = links.identifier_of(person.study, person.code) if links else None
    return {
        "calliper_subject": FORMAT,
        "version": VERSION,
        "study": {"name": person.study, "title": record.title},
        "subject_id": person.code,
        "identifier_at_the_site": identifier,
        "retention_days": privacy.retention.model_dump(exclude_none=True) if privacy and privacy.retention else {},
        **{name: rows[name] for name in PARTS},
    }


def write_subject_data(
    registry: Registry,
    code: str,
    folder: Path,
    *,
    study: str | None = None,
    links: LinkTable | None = None,
    reason: str | None = None,
    page: Callable[[dict[str, Any]], bytes] | None = None,
) -> dict[str, Any]:
    """Write everything held on a person into a new folder: subject.json, a CSV for each part, photos and silhouettes.

    page: makes subject.html of the data (`reports.subject_page.render_subject`). Returns the data. The export is
    audited, with the reason. Raises UsageError where the folder is there already.
    """
    if folder.exists():
        raise UsageError(f"{folder} is there already.", remedy="Name a new folder, so that nothing is mixed up.")
    data = collect_subject(registry, code, study=study, links=links)
    person = Person(0, data["study"]["name"], data["subject_id"], None)
    making = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}.partial")
    try:
        making.mkdir(parents=True)
        _write_images(registry.photos, data, making)
        text = json.dumps(data, indent=2, ensure_ascii=False, default=str)
        (making / "subject.json").write_text(text + "\n", encoding="utf-8")
        if page is not None:
            (making / "subject.html").write_bytes(page(data))
        for name in PARTS:
            _write_csv(making / f"{name}.csv", data[name])
        # Told before the folder has its name: what is not in the trail has not left the registry.
        audit.record_export(
            registry, "subject", person.code, study=person.study, subject=person.code, reason=reason,
            counts={name: len(data[name]) for name in PARTS},
        )  # fmt: skip
        os.replace(making, folder)
    except OSError as error:
        raise StorageError(
            f"The data cannot be written: {error.strerror or error}.", where=str(folder),
            remedy="Free some space, or name a folder that can be written.",
        ) from error  # fmt: skip
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return data


def _write_images(store: PhotoStore, data: dict[str, Any], folder: Path) -> None:
    """The files that are still kept, plain; each row says which `file` is its own."""
    for part in ("photos", "silhouettes"):
        for row in data[part]:
            row["file"] = None
            if row["deleted_at"] is not None:
                continue
            try:
                content = store.read(row["sha256"], row["media_type"])
            except FileNotFoundError:
                continue
            (folder / part).mkdir(exist_ok=True)
            name = f"{part}/{row['sha256'][:16]}-{row['view']}{_SUFFIX[row['media_type']]}"
            (folder / name).write_bytes(content)
            row["file"] = name


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    from studies.readers.formulas import guard

    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        columns = list(rows[0]) if rows else []
        writer.writerow(columns)
        writer.writerows([guard(_cell(row[name])) for name in columns] for row in rows)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else str(value)
