"""Write a synthetic cohort as the CSV files that a study would bring, whole or in bounded memory."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from studies.errors import StorageError, UsageError
from studies.synthetic.cohort import (
    BASELINE,
    DXA,
    ENROLMENT_DAYS,
    FIRST_ENROLMENT,
    FOLDS,
    GIRTHS,
    SCALE,
    STATURE,
    WEEKS_BETWEEN_VISITS,
    WEIGHT,
    Slot,
    SyntheticCohort,
    Visit,
    changed,
    check_numbers,
    read_visit,
    readings_of,
    site_names,
    skin_tones,
    subject_ids,
    subject_table,
    visit_start,
)
from studies.synthetic.planted import PlantedError
from studies.synthetic.population import draw_people

README = """\
Synthetic people
================
Nobody in these files exists. Every subject_id begins with "SYN-" and every subject has synthetic = "yes".
The people were drawn from regressions fitted to the National Health and Nutrition Examination Survey 1999-2000
(National Center for Health Statistics, USA). Nothing that is found in these files is evidence about a product.

subjects.csv  one row a subject
readings.csv  one row a reading
scans.csv     one row a scan, where there are scans (paths of photos are relative to this folder)
"""

RENDERED = """\

Rendered photos
===============
No one was photographed: the photos were rendered from body models, and every scan has rendered = "yes".
The folder truth/, which no ingest reads, says what the people truly are (bodies.csv) and what went wrong with
a photo (photos.csv).
"""

DAMAGED = """\

Damaged on purpose
==================
These rows were damaged as real exports are, to show what an ingest does with them (file, row, column, value, kind):

"""


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """A UTF-8 text file that takes the place of `path` when it is complete, or leaves `path` as it was."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as problem:
        raise StorageError(
            f"{path} cannot be written: {problem.strerror}.", remedy="Choose another folder."
        ) from problem
    try:
        with open(handle, "w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp gives 0600, which others of the group could not read
        os.replace(name, path)
    except BaseException as problem:
        Path(name).unlink(missing_ok=True)
        if isinstance(problem, OSError):
            raise StorageError(
                f"{path} cannot be written: {problem.strerror}.", remedy="Check the space on the disk."
            ) from problem
        raise


def _write_table(frame: pd.DataFrame, stream: IO[str], *, header: bool = True) -> None:
    frame.to_csv(stream, index=False, header=header, lineterminator="\n")


def write_cohort(cohort: SyntheticCohort, folder: Path | str, *, errors: Sequence[PlantedError] | None = None) -> None:
    """Write `subjects.csv`, `scans.csv`, `readings.csv` and `README.txt` into `folder`, each whole or not at all.

    A cohort without scans has no `scans.csv` (an ingest takes a table with a header and no rows for a failed export);
    one that is there from before is removed.

    `errors` is what `plant_errors` returned beside the damaged cohort: README.txt lists it. Raises StorageError.
    """
    folder = Path(folder)
    for name in ("subjects", "scans", "readings"):
        table: pd.DataFrame = getattr(cohort, name)
        if name == "scans" and table.empty:
            (folder / "scans.csv").unlink(missing_ok=True)
            continue
        with _replacing(folder / f"{name}.csv") as stream:
            _write_table(table, stream)
    with _replacing(folder / "README.txt") as stream:
        stream.write(README)
        if not cohort.scans.empty:
            stream.write(RENDERED)
        if errors:
            stream.write(DAMAGED)
            stream.writelines(f"{e.file}, row {e.row}, {e.column}: {e.value!r} ({e.kind})\n" for e in errors)


def _protocol(readings_per_subject: int) -> list[tuple[str, list[Slot]]]:
    """Visits that together have that many readings: the needful first, then the rest, then more visits."""
    order = [STATURE, WEIGHT, DXA[0], SCALE[0], GIRTHS[0], DXA[1], SCALE[1], *GIRTHS[1:], *FOLDS]
    assert set(order) == set(BASELINE)
    visits = []
    for number, first in enumerate(range(0, readings_per_subject, len(order))):
        name = f"week-{number * WEEKS_BETWEEN_VISITS}" if number else "baseline"
        visits.append((name, order[: readings_per_subject - first]))
    return visits


def write_large(
    folder: Path | str,
    subjects: int,
    readings_per_subject: int = 10,
    seed: int = 0,
    *,
    sites: int = 2,
    chunk: int = 20_000,
) -> None:
    """Write a cohort of exactly `subjects` subjects and `subjects * readings_per_subject` readings, for benchmarks.

    Memory is bounded by `chunk` subjects, however many there are. Nothing is missing: skinfolds too thick for the
    caliper read its limit. Subjects have as many visits, twelve weeks apart, as the readings need. The same arguments
    give the same bytes. Raises UsageError for numbers out of range, StorageError.
    """
    check_numbers(subjects, sites)
    if readings_per_subject < 1 or chunk < 1:
        raise UsageError(
            f"{readings_per_subject} readings a subject in chunks of {chunk} subjects were asked for.",
            remedy="Ask for at least one of each.",
        )
    folder = Path(folder)
    protocol = _protocol(readings_per_subject)
    with ExitStack() as stack:
        files = {name: stack.enter_context(_replacing(folder / f"{name}.csv")) for name in ("subjects", "readings")}
        for first in range(0, subjects, chunk):
            count = min(chunk, subjects - first)
            rng = np.random.default_rng([seed, first])
            ids = subject_ids(first, count)
            people = draw_people(count, rng)
            site = rng.integers(sites, size=count)
            enrolled = FIRST_ENROLMENT + rng.integers(ENROLMENT_DAYS, size=count)
            consent = rng.random(count)
            tones = skin_tones(people, [seed, first])
            table = subject_table(ids, people, site_names(sites)[site], enrolled, people["ethnicity"], consent, tones)
            visits, now = [], people
            for number, (name, slots) in enumerate(protocol):
                now = changed(now, rng) if number else now
                start = visit_start(enrolled + 7 * WEEKS_BETWEEN_VISITS * number, rng)
                values = read_visit(now, slots, rng, again=number > 0)
                visits.append(Visit(name, slots, np.arange(count), start, values, np.ones(values.shape, dtype=bool)))
            _write_table(table, files["subjects"], header=first == 0)
            _write_table(readings_of(ids, site, sites, visits), files["readings"], header=first == 0)
    with _replacing(folder / "README.txt") as stream:
        stream.write(README)
