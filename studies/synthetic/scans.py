"""Which scans a synthetic cohort has: when, on which phone, in which views, and what went wrong with a few.

Only the table is drawn here; `studies.rendering` renders the photos. Some captures go wrong, as they do when people
photograph themselves. The truth, which no ingest reads, says which: a study has to find out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from studies.errors import UsageError
from studies.synthetic.cohort import SCAN_COLUMNS, SyntheticCohort

VIEWS = ("front", "back", "left", "right")
PHONES = ("phone-a", "phone-b", "phone-c", "phone-d")
PHONES_OF_A_SITE = 2

# Choices of the cohort, without a source.
REPLICATES = 0.25  # visits with a second scan
NO_SCAN = 0.03  # visits without a scan
VIEW_MISSING = 0.05  # scans in which one of the views is missing
FAULTY = 0.06  # scans with one photo that is no good
FAULTS = {
    "cropped": 0.25, "blurred": 0.2, "wrong_pose": 0.2, "two_persons": 0.1, "wrong_view": 0.1, "too_dark": 0.1,
    "no_person": 0.05,
}  # fmt: skip
MINUTES_AFTER_ARRIVAL = 70
MINUTES_BETWEEN_REPEATS = 5

_STREAM = 1  # of random numbers: the scans of a seed do not change its people


@dataclass(frozen=True)
class SyntheticScans:
    """`table`: the canonical scans, with the paths of photos that are not yet there. `truth`: a row a photo.

    `truth` has subject_id, visit, scan_id, view, photo (the path), phone and fault (missing where the photo is good).
    """

    table: pd.DataFrame
    truth: pd.DataFrame


def draw_scans(
    cohort: SyntheticCohort, seed: int, *, replicates: float = REPLICATES, faulty: float = FAULTY
) -> SyntheticScans:
    """The scans of a cohort; the same arguments give the same scans.

    `replicates` is the share of visits with a second scan some minutes after the first, on the same phone; `faulty` the
    share of scans with a photo that is no good. Raises UsageError for shares that are none.
    """
    for name, share in (("replicates", replicates), ("faulty", faulty)):
        if not 0 <= share <= 1:
            raise UsageError(f"{name} is {share}.", remedy="Give a share between 0 and 1.")
    rng = np.random.default_rng([seed, _STREAM])
    visits = cohort.bodies[["subject_id", "visit"]].merge(cohort.subjects[["subject_id", "site"]], on="subject_id")
    arrival = pd.to_datetime(cohort.readings.groupby(["subject_id", "visit"])["measured_at"].min())
    visits = visits.join(arrival.rename("arrival"), on=["subject_id", "visit"])
    n = len(visits)
    place = visits["site"].str.removeprefix("site-").astype("int64").to_numpy() - 1
    visits["device"] = np.array(PHONES)[(place + rng.integers(PHONES_OF_A_SITE, size=n)) % len(PHONES)]
    scanned, again = rng.random(n) >= NO_SCAN, rng.random(n) < replicates
    rows = [_scans(visits[scanned], 1), _scans(visits[scanned & again], 2)]
    scans = pd.concat(rows, ignore_index=True)
    scans = scans.sort_values(["subject_id", "visit", "scan_id"], kind="stable", ignore_index=True)
    return _with_photos(scans, rng, faulty)


def _scans(visits: pd.DataFrame, number: int) -> pd.DataFrame:
    minutes = MINUTES_AFTER_ARRIVAL + MINUTES_BETWEEN_REPEATS * (number - 1)
    captured = (visits["arrival"] + pd.Timedelta(minutes=minutes)).dt.strftime("%Y-%m-%dT%H:%M")
    return visits.assign(scan_id=f"scan-{number}", captured_at=captured.astype("str"), rendered="yes")


def _with_photos(scans: pd.DataFrame, rng: np.random.Generator, faulty: float) -> SyntheticScans:
    n = len(scans)
    # The front is the one that people forget least.
    missing = np.where(rng.random(n) < VIEW_MISSING, rng.choice(len(VIEWS), n, p=[0.1, 0.3, 0.3, 0.3]), -1)
    bad = np.where(rng.random(n) < faulty, rng.integers(len(VIEWS), size=n), -1)
    fault = np.array(list(FAULTS))[rng.choice(len(FAULTS), n, p=list(FAULTS.values()))]
    stem = "photos/" + scans["subject_id"] + "-" + scans["visit"] + "-" + scans["scan_id"] + "-"
    truth = []
    for number, view in enumerate(VIEWS):
        scans[view] = (stem + view + ".jpg").mask(missing == number).astype("str")
        part = scans[["subject_id", "visit", "scan_id"]].assign(view=view, photo=scans[view], phone=scans["device"])
        part["fault"] = pd.Series(fault, index=part.index, dtype="str").where(bad == number)
        truth.append(part[part["photo"].notna()])
    table = pd.concat(truth).sort_values(["subject_id", "visit", "scan_id"], kind="stable", ignore_index=True)
    return SyntheticScans(scans[SCAN_COLUMNS], table)


def without(cohort: SyntheticCohort, scans: SyntheticScans, missing: set[tuple[str, str]]) -> SyntheticCohort:
    """The cohort with `scans`, but for those of the visits (subject_id, visit) of which there can be none."""
    visits = zip(scans.table["subject_id"], scans.table["visit"], strict=True)
    keep = np.array([visit not in missing for visit in visits], dtype=bool)  # a list without a row would be no mask
    return replace(cohort, scans=scans.table[keep].reset_index(drop=True))
