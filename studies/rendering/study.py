"""Scans for the subjects of a registered study, rendered from their own measurements and ingested like any others."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import Connection, select

from studies.errors import UsageError
from studies.ingest.ingest import IngestResult, ingest
from studies.ingest.mapping import load_mapping
from studies.progress import NoProgress, Progress
from studies.registry import audit
from studies.registry.catalogue import current_plan, find_study
from studies.registry.frames import study_frames
from studies.registry.schema import Scan, Subject, Visit
from studies.registry.workspace import Registry
from studies.rendering.among import Among
from studies.rendering.blocks import PEOPLE_IN_A_BLOCK, VIEWS, Block, Recipe, RenderedBlock, Shot, Sitting
from studies.rendering.people import Refusal, people_of
from studies.rendering.phones import phone_of
from studies.rendering.photos import render_block
from studies.rendering.workers import in_order

SCAN_ID = "rendered-1"
BLOCKS_IN_A_BATCH = 50  # are ingested in one transaction


@dataclass
class StudyRendering:
    """What a call did. `refused`: of whom there can be no scan; `flagged`: whose body is in doubt; with the reasons."""

    study: str
    rendered: set[str] = field(default_factory=set)
    before: set[str] = field(default_factory=set)
    scans: int = 0
    photos: int = 0
    refused: list[Refusal] = field(default_factory=list)
    flagged: list[Refusal] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)

    def counts(self) -> dict[str, Any]:
        return {
            "study": self.study, "subjects_rendered": len(self.rendered), "subjects_rendered_before": len(self.before),
            "subjects_not_rendered": len({refusal.subject_id for refusal in self.refused}), "scans": self.scans,
            "photos": self.photos, "flagged": len(self.flagged), "batches": self.batches,
        }  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        told = {name: [one.as_dict() for one in getattr(self, name)] for name in ("refused", "flagged")}
        return {**self.counts(), "flagged_scans": told["flagged"], "refused": told["refused"]}


def render_study(
    registry: Registry,
    name: str,
    recipe: Recipe,
    *,
    among: Among | None = None,
    subjects: int | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    on_batch: Callable[[IngestResult], None] = lambda result: None,
) -> StudyRendering:
    """Give `subjects` people of a study (by default all) a rendered scan at every visit where they were measured.

    The seed chooses the people, those of `among` where it is given; asking for more of them later adds to the same
    ones. Visits that have a rendered scan are passed over, so that a second call goes on where one was interrupted.
    Each batch of scans is ingested in one transaction, and told to `on_batch`. What the reference method of the study's
    plan measured is never used. Raises UsageError for an unknown study, a number of people below one, or if nobody is
    asked for.
    """
    if subjects is not None and subjects < 1:
        raise UsageError(f"{subjects} subjects were asked for.", remedy="Ask for at least one.")
    progress = progress or NoProgress()
    with registry.reading() as connection:
        study = find_study(connection, name)
        plan = current_plan(connection, study.id).plan
        frames = study_frames(connection, study.id, progress=progress)
        present = _rendered_visits(connection, study.id)
    people = people_of(frames.subjects, frames.measurements, reference=plan.reference)
    if among is not None:
        people = among.people(registry, name, people, frames, plan)
    done = StudyRendering(name, refused=list(people.refused))
    wanted = people.table[_chosen(people.table["subject_id"], recipe.seed, subjects)]
    there = pd.MultiIndex.from_frame(wanted[["subject_id", "visit"]]).isin(present)
    done.before = set(wanted["subject_id"][there])
    missing = wanted[~there].reset_index(drop=True)
    if len(missing):
        work = _Work(registry, done, recipe, workers, on_batch)
        work.render(missing, progress)
        with registry.writing() as connection:
            detail = {**recipe.as_dict(), **done.counts()}
            audit.append(connection, [audit.Event("render", "study", name, detail, name)])
    return done


def _rendered_visits(connection: Connection, study_id: int) -> list[tuple[str, str]]:
    query = (
        select(Subject.code, Visit.label)
        .join_from(Scan, Visit, Scan.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .where(Subject.study_id == study_id, Scan.rendered)
    )
    return [(subject, visit) for subject, visit in connection.execute(query).all()]


def _chosen(subject_ids: pd.Series, seed: int, wanted: int | None) -> pd.Series:
    """Which rows belong to the first `wanted` people, in an order that depends on the seed and on nothing else."""
    if wanted is None:
        return pd.Series(True, index=subject_ids.index)
    places = {name: hashlib.sha256(f"{seed}\0{name}".encode()).digest() for name in subject_ids.unique()}
    first = sorted(places, key=places.__getitem__)[:wanted]
    return subject_ids.isin(first)


@dataclass
class _Work:
    """One rendering at work."""

    registry: Registry
    done: StudyRendering
    recipe: Recipe
    workers: int | None
    on_batch: Callable[[IngestResult], None]

    def render(self, people: pd.DataFrame, progress: Progress) -> None:
        with self.registry.scratch() as scratch, progress.stage("Rendering", len(people)) as stage:
            waiting: list[RenderedBlock] = []
            blocks = _blocks(people, scratch, self.recipe)
            # Closed before the folder that the workers write into is removed, whatever happens here.
            with closing(in_order(render_block, blocks, workers=self.workers)) as rendered:
                for number, block in enumerate(rendered, start=1):
                    waiting.append(block)
                    stage.advance(len(block.block.people))
                    if number % BLOCKS_IN_A_BATCH == 0:
                        self._ingest(waiting)
                        waiting = []
            self._ingest(waiting)

    def _ingest(self, blocks: list[RenderedBlock]) -> None:
        rows = []
        for block in blocks:
            self.done.refused += block.told(block.refused)
            self.done.flagged += block.told(block.flagged)
            rows += [self._row(block, sitting, person) for sitting, person in block.done()]
        if rows:
            folder = blocks[0].block.folder
            pd.DataFrame(rows).to_csv(folder / "scans.csv", index=False)
            result = ingest(self.registry, self.done.study, [folder], load_mapping("calliper"))
            self._count(rows, result)
            self.on_batch(result)
        for block in blocks:
            shutil.rmtree(block.block.folder, ignore_errors=True)

    def _count(self, rows: list[dict[str, Any]], result: IngestResult) -> None:
        number, new = result.report["batch"], result.report["tables"]["scans"]["new"]
        self.done.batches.append(number)
        self.done.scans += new
        self.done.photos += new * len(VIEWS)
        with self.registry.reading() as connection:
            there = set(_rendered_visits(connection, find_study(connection, self.done.study).id))
        for row in rows:
            if (row["subject_id"], row["visit"]) in there:
                self.done.rendered.add(row["subject_id"])
            else:
                reason = f"the ingest refused the scan: see the report of ingest {number}"
                self.done.refused.append(Refusal(row["subject_id"], row["visit"], reason))

    def _row(self, block: RenderedBlock, sitting: Sitting, person: pd.Series) -> dict[str, Any]:
        """A row of the canonical table of scans; what is no column of it is kept as an attribute of the scan."""
        captured = person["captured_at"]
        return {
            "subject_id": person["subject_id"], "scan_id": sitting.scan_id, "visit": person["visit"],
            "captured_at": None if pd.isna(captured) else captured.isoformat(), "device": sitting.phone,
            **{shot.view: shot.path for shot in sitting.shots}, "rendered": "yes",
            "render_seed": self.recipe.seed, "render_software": self.recipe.as_dict()["software"],
            "rendered_skin_tone": block.tones[sitting.person],
        }  # fmt: skip


def _blocks(people: pd.DataFrame, scratch: Path, recipe: Recipe) -> Iterator[Block]:
    """The people in blocks; those of one batch share a folder, which the first makes."""
    size = PEOPLE_IN_A_BLOCK
    for number, first in enumerate(range(0, len(people), size)):
        part = people.iloc[first : first + size].reset_index(drop=True)
        folder = scratch / f"batch-{number // BLOCKS_IN_A_BATCH}"
        sittings = []
        for row, subject in enumerate(part["subject_id"]):
            shots = tuple(Shot(view, f"photos/{first + row}-{view}.jpg") for view in VIEWS)
            sittings.append(Sitting(row, SCAN_ID, phone_of(subject, recipe.seed), shots))
        yield Block(part, tuple(sittings), folder, recipe)
