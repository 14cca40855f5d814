"""Cohorts on disk with rendered photos: synthetic people, or the people of a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from studies.canonical import TABLES
from studies.ingest.mapping import Mapping
from studies.progress import NoProgress, Progress, Stage
from studies.rendering.blocks import PEOPLE_IN_A_BLOCK, VIEWS, Block, Recipe, RenderedBlock, Shot, Sitting
from studies.rendering.folder import whole_folder
from studies.rendering.people import FACTS, USED, Refusal, people_of
from studies.rendering.phones import phone_of
from studies.rendering.photos import render_block
from studies.rendering.table import read_people_table
from studies.rendering.workers import in_order
from studies.synthetic.cohort import SyntheticCohort, synthesize
from studies.synthetic.files import write_cohort
from studies.synthetic.planted import PlantedError, plant_errors
from studies.synthetic.scans import FAULTY, REPLICATES, SyntheticScans, draw_scans, without

SCAN_ID = "scan-1"
TRUTH = "truth"  # the sub-folder that no ingest reads

README_OF_A_TABLE = """\
Rendered photos
===============
The people and readings in these files are those of {file}. No one was photographed: the photos were rendered from body
models that have the measurements of that table, and every scan has rendered = "yes". Skin tones, hair, clothes,
surroundings and whatever else a camera sees that was not measured are invented. Nothing that is found in the photos is
evidence about a product.

subjects.csv  one row a subject
readings.csv  one row a reading
scans.csv     one row a scan (paths of photos are relative to this folder)
"""


@dataclass
class CohortFolder:
    """What was written. refused: of whom there is no scan; flagged: whose body is in doubt; planted: damaged cells."""

    folder: Path
    subjects: int
    readings: int
    scans: int = 0
    photos: int = 0
    refused: list[Refusal] = field(default_factory=list)
    flagged: list[Refusal] = field(default_factory=list)
    planted: list[PlantedError] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder), "subjects": self.subjects, "readings": self.readings, "scans": self.scans,
            "photos": self.photos, "refused": [one.as_dict() for one in self.refused],
            "flagged": [one.as_dict() for one in self.flagged],
        }  # fmt: skip


def synthesize_cohort(
    out: Path,
    subjects: int,
    recipe: Recipe,
    *,
    photos: bool = True,
    errors: bool = False,
    follow_up: float = 0.3,
    duplicates: float = 0.2,
    replicates: float = REPLICATES,
    faulty: float = FAULTY,
    sites: int = 2,
    workers: int | None = None,
    progress: Progress | None = None,
) -> CohortFolder:
    """Write a synthetic cohort into the new folder `out`, with photos rendered of its people.

    Shares: `follow_up` of the subjects come to a second visit, `duplicates` are read twice by DXA and by scale,
    `replicates` of the visits have a second scan, `faulty` of the scans have a photo that is no good. `errors` damages
    some rows, as real exports are. What the people truly are and what went wrong with a photo is in the sub-folder
    `truth`. The same arguments give the same bytes. Raises UsageError for numbers out of range, StorageError.
    """
    progress = progress or NoProgress()
    with progress.stage("Drawing people"):
        cohort = synthesize(subjects, recipe.seed, follow_up=follow_up, duplicates=duplicates, sites=sites)
        scans = draw_scans(cohort, recipe.seed, replicates=replicates, faulty=faulty) if photos else None
    with whole_folder(out) as folder:
        done = CohortFolder(out, len(cohort.subjects), len(cohort.readings))
        if scans is not None:
            with progress.stage("Rendering", len(cohort.bodies)) as stage:
                blocks = _blocks_of_cohort(cohort, scans, folder, recipe)
                rendered = list(_done(blocks, workers, stage))
            _tell(done, rendered)
            cohort = without(cohort, scans, {(one.subject_id, str(one.visit)) for one in done.refused})
            done.scans = len(cohort.scans)
            _write_truth(cohort, scans, rendered, folder / TRUTH)
        if errors:
            cohort, done.planted = plant_errors(cohort, recipe.seed)
        write_cohort(cohort, folder, errors=done.planted)
    return done


def render_table(
    path: Path,
    out: Path,
    recipe: Recipe,
    *,
    mapping: Mapping | None = None,
    reference: str = "dxa",
    workers: int | None = None,
    progress: Progress | None = None,
) -> CohortFolder:
    """Write the people of a table into the new folder `out`, each with a scan rendered from their measurements.

    Readings by the method `reference` go into the folder and never into a body. Raises DataError where the table cannot
    be used, UsageError and StorageError for the folder.
    """
    progress = progress or NoProgress()
    with progress.stage("Reading"):
        table = read_people_table(path, mapping)
    spoilt = {one.subject_id for one in table.unreadable}
    known = table.subjects[~table.subjects["subject_id"].isin(spoilt)]
    people = people_of(known, table.readings[~table.readings["subject_id"].isin(spoilt)], reference=reference)
    with whole_folder(out) as folder:
        done = CohortFolder(out, len(table.subjects), len(table.readings), refused=[*table.unreadable, *people.refused])
        with progress.stage("Rendering", len(people.table)) as stage:
            rendered = list(_done(_blocks_of_people(people.table, folder, recipe), workers, stage))
        _tell(done, rendered)
        rows = [_scan(sitting, person) for block in rendered for sitting, person in block.done()]
        done.scans = len(rows)
        tables = {"subjects": table.subjects, "readings": table.readings}
        if rows:
            tables["scans"] = pd.DataFrame(rows).reindex(columns=[item.name for item in TABLES["scans"]])
        for name, frame in tables.items():
            frame.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n")
        (folder / "README.txt").write_text(README_OF_A_TABLE.format(file=path.name), encoding="utf-8")
    return done


def _blocks_of_cohort(cohort: SyntheticCohort, scans: SyntheticScans, folder: Path, recipe: Recipe) -> Iterator[Block]:
    """The cohort's people as a camera could see them: without their body composition."""
    facts = cohort.subjects[["subject_id", "monk_skin_tone"]]
    people = cohort.bodies.merge(facts, on="subject_id").reindex(columns=["subject_id", "visit", *FACTS, *USED])
    of_visit: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for (subject, visit, _), part in scans.truth.groupby(["subject_id", "visit", "scan_id"], sort=True):
        of_visit.setdefault((subject, visit), []).append(part)
    for part in _parts(people):
        sittings = []
        for row, key in enumerate(zip(part["subject_id"], part["visit"], strict=True)):
            for photos in of_visit.get(key, ()):
                columns = zip(photos["view"], photos["photo"], photos["fault"], strict=True)
                shots = tuple(Shot(view, path, None if pd.isna(fault) else fault) for view, path, fault in columns)
                sittings.append(Sitting(row, photos["scan_id"].iloc[0], photos["phone"].iloc[0], shots))
        yield Block(part, tuple(sittings), folder, recipe)


def _blocks_of_people(people: pd.DataFrame, folder: Path, recipe: Recipe) -> Iterator[Block]:
    number = 0
    for part in _parts(people):
        sittings = []
        for row, subject in enumerate(part["subject_id"]):
            number += 1
            shots = tuple(Shot(view, f"photos/{number:06d}-{view}.jpg") for view in VIEWS)
            sittings.append(Sitting(row, SCAN_ID, phone_of(subject, recipe.seed), shots))
        yield Block(part, tuple(sittings), folder, recipe)


def _parts(people: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for first in range(0, len(people), PEOPLE_IN_A_BLOCK):
        yield people.iloc[first : first + PEOPLE_IN_A_BLOCK].reset_index(drop=True)


def _done(blocks: Iterable[Block], workers: int | None, stage: Stage) -> Iterator[RenderedBlock]:
    # Closed before the folder that the workers write into is removed, whatever happens here.
    with closing(in_order(render_block, blocks, workers=workers)) as rendered:
        for block in rendered:
            stage.advance(len(block.block.people))
            yield block


def _tell(done: CohortFolder, rendered: list[RenderedBlock]) -> None:
    for block in rendered:
        done.refused += block.told(block.refused)
        done.flagged += block.told(block.flagged)
        done.photos += sum(len(sitting.shots) for sitting, _ in block.done())


def _scan(sitting: Sitting, person: pd.Series) -> dict[str, Any]:
    captured = person["captured_at"]
    return {
        "subject_id": person["subject_id"], "scan_id": sitting.scan_id, "visit": person["visit"],
        "captured_at": None if pd.isna(captured) else captured.isoformat(), "device": sitting.phone,
        **{shot.view: shot.path for shot in sitting.shots}, "rendered": "yes",
    }  # fmt: skip


def _write_truth(cohort: SyntheticCohort, scans: SyntheticScans, rendered: list[RenderedBlock], folder: Path) -> None:
    """bodies.csv: a row a subject and visit, with the betas of the body. photos.csv: a row a photo."""
    folder.mkdir()
    betas = np.concatenate([block.betas for block in rendered])
    shape = pd.DataFrame(betas, columns=[f"beta_{number:02d}" for number in range(1, betas.shape[1] + 1)])
    told = {
        "refused": [reason for block in rendered for reason in block.refused],
        "flagged": [reason for block in rendered for reason in block.flagged],
    }
    bodies = pd.concat([cohort.bodies, pd.DataFrame(told), shape], axis=1)
    bodies.to_csv(folder / "bodies.csv", index=False, float_format="%.7g", lineterminator="\n")
    keys = pd.MultiIndex.from_frame(scans.truth[["subject_id", "visit", "scan_id"]])
    there = keys.isin(pd.MultiIndex.from_frame(cohort.scans[["subject_id", "visit", "scan_id"]]))
    scans.truth[there].to_csv(folder / "photos.csv", index=False, lineterminator="\n")
