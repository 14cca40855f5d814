"""A synthetic cohort: subjects, visits and readings of a validation study, like the people of NHANES 1999–2000.

Nobody in it exists: every subject_id begins with "SYN-" and every subject has `synthetic` = "yes". How the people are
drawn is in `studies.synthetic.fit`, and how like they are to the survey in `docs/synthetic-cohort.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from studies.errors import UsageError
from studies.synthetic.population import (
    CALIPER_LIMIT_MM,
    DXA_REPEAT_SD,
    LIMITS,
    SCALE_REPEAT_SD,
    SKINFOLDS,
    Array,
    draw_people,
    population,
    scale_reading,
)
from studies.synthetic.skin_tone import draw_skin_tones

SUBJECT_COLUMNS = [
    "subject_id", "site", "sex", "age", "enrolled_on", "ethnicity", "consent", "monk_skin_tone", "synthetic",
]  # fmt: skip
SCAN_COLUMNS = [
    "subject_id", "scan_id", "visit", "captured_at", "device", "front", "back", "left", "right", "rendered",
]  # fmt: skip
READING_COLUMNS = [
    "subject_id", "visit", "measured_at", "measurand", "method", "device", "value", "unit", "replicate",
]  # fmt: skip

# Fixed dates, so that no clock takes part.
FIRST_ENROLMENT = np.datetime64("2024-01-08")
ENROLMENT_DAYS = 330
BASELINE_WITHIN_DAYS = 14
WEEKS_BETWEEN_VISITS = 12
CONSENT = {"photos": 0.4, "silhouettes": 0.4, "none": 0.2}

# Assumptions of the cohort, without a source: change between two visits, and how often something is missing.
MASS_CHANGE = (-0.01, 0.03)  # mean and SD, as a fraction of mass
FAT_SHARE_OF_CHANGE = 0.75
FAT_CHANGE_SD_KG = 0.6
GIRTH_EXPONENT = 0.7  # girths follow mass to this power, about as they do between people in the survey
REREADING_SD = {"weight_kg": 0.1, "waist_cm": 1.0, "arm_cm": 0.3, "thigh_cm": 0.5}
MISSING = {"stature_cm": 0.005, "weight_kg": 0.005, **dict.fromkeys(SKINFOLDS, 0.0)}  # skinfolds: by the fitted chance
MISSING_OTHER = 0.02
MISSING_ETHNICITY = 0.01

_SKIN_STREAM = 2  # of random numbers: so that skin tones change nothing of the people


@dataclass(frozen=True)
class SyntheticCohort:
    """Tables in the canonical ingest format, and `bodies`: what the people are truly like, a row a subject and visit.

    `bodies` (never written) has subject_id, visit, sex, age, ethnicity, stature_cm, weight_kg, waist_cm, arm_cm,
    thigh_cm, triceps_skinfold_mm, subscapular_skinfold_mm, body_fat_percent (DXA without the error of repeated scans).
    `scans` has its columns and no rows: see `studies.synthetic.scans`, and `studies.rendering` for the photos.
    """

    subjects: pd.DataFrame
    scans: pd.DataFrame
    readings: pd.DataFrame
    bodies: pd.DataFrame


@dataclass(frozen=True)
class Slot:
    """One reading of a visit's protocol: `minute` after the visit's start, with the instrument of the site."""

    measurand: str
    method: str
    instrument: str
    unit: str
    minute: int
    replicate: int = 1


_FAT = "body_fat_percent"
STATURE = Slot("stature_cm", "anthropometry", "stadiometer", "cm", 0)
WEIGHT = Slot("weight_kg", "anthropometry", "balance", "kg", 2)
GIRTHS = [
    Slot("waist_cm", "anthropometry", "tape", "cm", 5),
    Slot("arm_cm", "anthropometry", "tape", "cm", 7),
    Slot("thigh_cm", "anthropometry", "tape", "cm", 9),
]
FOLDS = [Slot(name, "anthropometry", "caliper", "mm", 12 + 2 * i) for i, name in enumerate(SKINFOLDS)]
SCALE = [Slot(_FAT, "scale", "scale", "%", 20 + 2 * i, i + 1) for i in range(2)]
DXA = [Slot(_FAT, "dxa", "dxa", "%", 35 + 12 * i, i + 1) for i in range(2)]
BASELINE = [STATURE, WEIGHT, *GIRTHS, *FOLDS, *SCALE, *DXA]
FOLLOW_UP = [WEIGHT, *GIRTHS, SCALE[0], DXA[0]]


def synthesize(
    subjects: int,
    seed: int,
    *,
    follow_up: float = 0.3,
    duplicates: float = 0.2,
    sites: int = 2,
) -> SyntheticCohort:
    """A synthetic cohort; the same arguments give the same bytes.

    `follow_up` is the share of subjects with a second visit, `week-12`; `duplicates` the share whose BFP is read twice
    at baseline by DXA and by scale; `sites` the number of sites, each with its own instruments. Raises UsageError for
    numbers out of range.
    """
    check_numbers(subjects, sites)
    for name, share in (("follow_up", follow_up), ("duplicates", duplicates)):
        if not 0 <= share <= 1:
            raise UsageError(f"{name} is {share}.", remedy="Give a share between 0 and 1.")
    rng = np.random.default_rng(seed)
    ids = subject_ids(0, subjects)
    people = draw_people(subjects, rng)
    site = rng.integers(sites, size=subjects)
    enrolled = FIRST_ENROLMENT + rng.integers(ENROLMENT_DAYS, size=subjects)
    start = visit_start(enrolled + rng.integers(BASELINE_WITHIN_DAYS + 1, size=subjects), rng)
    consent = rng.random(subjects)
    ethnicity = people["ethnicity"].mask(rng.random(subjects) < MISSING_ETHNICITY)
    tones = skin_tones(people, [seed])
    table = subject_table(ids, people, site_names(sites)[site], enrolled, ethnicity, consent, tones)

    twice = rng.random(subjects) < duplicates
    returns = np.flatnonzero(rng.random(subjects) < follow_up)
    values = read_visit(people, BASELINE, rng)
    present = _present(BASELINE, subjects, rng)
    for j, slot in enumerate(BASELINE):
        if slot.replicate == 2:
            present[:, j] &= twice & present[:, j - 1]  # no second reading without a first
        if slot.measurand in SKINFOLDS:
            present[:, j] &= ~people[f"unreadable_{slot.measurand}"].to_numpy()
    baseline = Visit("baseline", BASELINE, np.arange(subjects), start, values, present)

    later = changed(people.iloc[returns], rng)
    days = 7 * WEEKS_BETWEEN_VISITS + rng.integers(-7, 8, size=len(returns))
    second = Visit(
        f"week-{WEEKS_BETWEEN_VISITS}",
        FOLLOW_UP,
        returns,
        visit_start(start[returns].astype("datetime64[D]") + days, rng),
        read_visit(later, FOLLOW_UP, rng, again=True),
        _present(FOLLOW_UP, len(returns), rng),
    )
    readings = readings_of(ids, site, sites, [baseline, second])
    bodies = pd.concat([_bodies(people, ids, "baseline"), _bodies(later, ids[returns], f"week-{WEEKS_BETWEEN_VISITS}")])
    bodies = bodies.sort_values("subject_id", kind="stable", ignore_index=True)
    return SyntheticCohort(table, empty_scans(), readings, bodies)


def subject_table(
    ids: NDArray[np.object_],
    people: pd.DataFrame,
    site: NDArray[np.object_],
    enrolled: NDArray[np.datetime64],
    ethnicity: pd.Series,
    consent: Array,
    tones: NDArray[np.int64],
) -> pd.DataFrame:
    """The table of subjects; `consent` holds uniform numbers, one a subject, that choose between the levels."""
    levels = np.searchsorted(np.cumsum(list(CONSENT.values()))[:-1], consent, side="right")
    return pd.DataFrame(
        {
            "subject_id": pd.array(ids, dtype="str"),
            "site": pd.array(site, dtype="str"),
            "sex": people["sex"].astype("str"),
            "age": people["age"].astype("int64"),
            "enrolled_on": pd.array(np.datetime_as_string(enrolled, unit="D"), dtype="str"),
            "ethnicity": ethnicity.astype("str"),
            "consent": pd.array(list(CONSENT), dtype="str").take(levels),
            "monk_skin_tone": tones,
            "synthetic": pd.array(["yes"], dtype="str").take(np.zeros(len(ids), dtype=np.int64)),
        }
    )


def skin_tones(people: pd.DataFrame, seed: list[int]) -> NDArray[np.int64]:
    """Steps of the Monk scale for drawn people, as a cohort's `seed` and nothing else gives them."""
    return draw_skin_tones(
        people["ethnicity"], np.random.default_rng([*seed, _SKIN_STREAM]).standard_normal(len(people))
    )


def check_numbers(subjects: int, sites: int) -> None:
    """Raise UsageError unless there are subjects and 1 to 26 sites (their scales are named by letters)."""
    if subjects < 1:
        raise UsageError(f"A cohort of {subjects} subjects was asked for.", remedy="Ask for at least one subject.")
    if not 1 <= sites <= 26:
        raise UsageError(f"A cohort with {sites} sites was asked for.", remedy="Ask for 1 to 26 sites.")


def subject_ids(first: int, count: int) -> NDArray[np.object_]:
    """Identifiers of `count` subjects from number `first` + 1 on: "SYN-000001" and so forth."""
    return np.array([f"SYN-{number:06d}" for number in range(first + 1, first + count + 1)], dtype=object)


def site_names(sites: int) -> NDArray[np.object_]:
    """ "site-1", "site-2" and so forth."""
    return np.array([f"site-{i + 1}" for i in range(sites)], dtype=object)


def empty_scans() -> pd.DataFrame:
    """The table of scans without a scan."""
    return pd.DataFrame({column: pd.Series(dtype="str") for column in SCAN_COLUMNS})


def visit_start(day: NDArray[np.datetime64], rng: np.random.Generator) -> NDArray[np.datetime64]:
    """Starts of visits on `day`, between 8:00 and 15:50, to ten minutes."""
    return day.astype("datetime64[m]") + 8 * 60 + 10 * rng.integers(48, size=len(day))


def read_visit(people: pd.DataFrame, slots: list[Slot], rng: np.random.Generator, *, again: bool = False) -> Array:
    """Values (people, slots) read at a visit, to one decimal; with `again` anthropometry has its error of rereading."""
    values = np.empty((len(people), len(slots)))
    for j, slot in enumerate(slots):
        noise = rng.standard_normal(len(people))
        if slot.method == "dxa":
            value = people[_FAT].to_numpy() + DXA_REPEAT_SD * noise
        elif slot.method == "scale":
            value = people["scale_body_fat_percent"].to_numpy() + SCALE_REPEAT_SD * noise
            value = np.maximum(value, LIMITS["scale_body_fat_percent"][0])
        else:
            value = people[slot.measurand].to_numpy() + again * REREADING_SD.get(slot.measurand, 0.0) * noise
        if slot.measurand in SKINFOLDS:
            value = np.minimum(value, CALIPER_LIMIT_MM)
        values[:, j] = np.round(value, 1)
    return values


def _present(slots: list[Slot], n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    chance = np.array([MISSING.get(slot.measurand, MISSING_OTHER) for slot in slots])
    return rng.random((n, len(slots))) >= chance


def changed(people: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The same people some weeks later: mass, BFP, girths and skinfolds have changed, stature and age have not.

    Three quarters of a change in mass are fat, give or take; the scale reads each person with the deviate that it
    always has for them.
    """
    later = people.copy()
    n = len(people)
    mean, sd = MASS_CHANGE
    ratio = 1 + np.clip(mean + sd * rng.standard_normal(n), -0.1, 0.1)
    mass = people["weight_kg"].to_numpy()
    fat = mass * people[_FAT].to_numpy() / 100
    new_fat = fat + FAT_SHARE_OF_CHANGE * mass * (ratio - 1) + FAT_CHANGE_SD_KG * rng.standard_normal(n)
    percent = np.clip(100 * new_fat / (mass * ratio), *LIMITS[_FAT])
    later["weight_kg"] = mass * ratio
    later["bmi"] = people["bmi"].to_numpy() * ratio
    later[_FAT] = percent
    for column in ("waist_cm", "arm_cm", "thigh_cm"):
        later[column] = people[column].to_numpy() * ratio**GIRTH_EXPONENT
    fat_ratio = mass * ratio * percent / 100 / fat
    for column in SKINFOLDS:
        later[column] = people[column].to_numpy() * fat_ratio
    deviate = people["scale_deviate"].to_numpy()
    reading = np.empty(n)
    for sex, part in population().sexes.items():
        here = np.flatnonzero(people["sex"].to_numpy() == sex)
        data = {column: later[column].to_numpy()[here] for column in _SCALE_INPUTS}
        reading[here] = scale_reading(part, data, deviate[here])
    later["scale_body_fat_percent"] = reading
    return later


_SCALE_INPUTS = ("age", "ethnicity", "stature_cm", "bmi", "waist_cm", "arm_cm", "thigh_cm", _FAT)
_BODY_COLUMNS = [
    "sex", "age", "ethnicity", "stature_cm", "weight_kg", "waist_cm", "arm_cm", "thigh_cm", *SKINFOLDS, _FAT,
]  # fmt: skip


def _bodies(people: pd.DataFrame, ids: NDArray[np.object_], visit: str) -> pd.DataFrame:
    frame = people[_BODY_COLUMNS].reset_index(drop=True)
    frame.insert(0, "subject_id", ids)
    frame.insert(1, "visit", visit)
    return frame.astype({"subject_id": "str", "visit": "str", "sex": "str", "ethnicity": "str"})


@dataclass(frozen=True)
class Visit:
    """The readings of one visit: `who` (n,) positions of subjects, `start` (n,), `values` and `present` (n, slots)."""

    name: str
    slots: list[Slot]
    who: NDArray[np.int64]
    start: NDArray[np.datetime64]
    values: Array
    present: NDArray[np.bool_]


def readings_of(ids: NDArray[np.object_], site: NDArray[np.int64], sites: int, visits: list[Visit]) -> pd.DataFrame:
    """The table of readings of `visits`, by subject, visit and time."""
    protocol = list(dict.fromkeys(slot for visit in visits for slot in visit.slots))
    number = {slot: i for i, slot in enumerate(protocol)}
    parts = []
    for v, visit in enumerate(visits):
        row, column = np.nonzero(visit.present)
        slot = np.array([number[slot] for slot in visit.slots])[column]
        minute = np.array([slot.minute for slot in visit.slots])[column]
        at = visit.start[row] + minute
        parts.append((visit.who[row], np.full(len(row), v), slot, at, visit.values[row, column]))
    who, v, slot, at, value = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((v, who))
    who, v, slot, at, value = (array[order] for array in (who, v, slot, at, value))

    def text(values: list[str], codes: NDArray[np.int64]) -> pd.api.extensions.ExtensionArray:
        return pd.array(values, dtype="str").take(codes)

    devices = [device_name(slot.instrument, s) for s in range(sites) for slot in protocol]
    return pd.DataFrame(
        {
            "subject_id": text(ids.tolist(), who),
            "visit": text([visit.name for visit in visits], v),
            "measured_at": pd.array(np.datetime_as_string(at, unit="m"), dtype="str"),
            "measurand": text([s.measurand for s in protocol], slot),
            "method": text([s.method for s in protocol], slot),
            "device": text(devices, site[who] * len(protocol) + slot),
            "value": value,
            "unit": text([s.unit for s in protocol], slot),
            "replicate": np.array([s.replicate for s in protocol], dtype="int64")[slot],
        }
    )


def device_name(instrument: str, site: int) -> str:
    """The name of a site's instrument, "dxa-1" or "scale-a": invented, no one's product."""
    return f"{instrument}-{chr(ord('a') + site)}" if instrument == "scale" else f"{instrument}-{site + 1}"
