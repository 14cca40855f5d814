"""How well the models do: the whole road from rendered photos through the packaged checkpoints, on people held out.

    python benchmarks/model_accuracy.py shapes                  segmenter and avatar, synthetic people
    python benchmarks/model_accuracy.py quality                 bad captures, how many are recognised
    python benchmarks/model_accuracy.py tape --ansur FOLDER     girths of ANSUR II people against the tape
    python benchmarks/model_accuracy.py body-fat --nhanes FOLDER            BFP against DXA, people kept to choose by
    python benchmarks/model_accuracy.py body-fat --nhanes FOLDER --final    ... and those kept for the final table
    python benchmarks/model_accuracy.py retest --nhanes FOLDER              two scans each of the same people
    python benchmarks/model_accuracy.py poses --nhanes FOLDER               BFP of people who did not stand as asked
    python benchmarks/model_accuracy.py poses --nhanes FOLDER --narrow      ... in photos of 360 × 640 pixels

The photos are rendered, 480 × 640 pixels, and go through the pipeline as a run would send them. Bodies and captures are
drawn from seeds that no training uses, rooms for `shapes` from the families of background that no training shows.
--checkpoints FOLDER takes other checkpoints than the packaged ones; --json FILE writes what the cards say.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measuring import print_machine, print_rows

SIZE, NARROW = (640, 480), (640, 360)
SEED = 20_000  # of bodies and captures here
GIRTHS = ("chest_cm", "waist_cm", "hip_cm", "thigh_cm", "arm_cm", "calf_cm", "neck_cm")
ALL_VIEWS = ("front", "back", "left", "right")
VIEW_SETS = {"4": ALL_VIEWS, "3": ("front", "back", "left"), "2": ("front", "left"), "1": ("front",)}


@dataclass(frozen=True)
class Person:
    """Whoever is rendered. profile: what the pipeline may be told (sex, age, stature_cm, weight_kg). spoilt: the views
    of a capture with a fault that have it; those of another capture in the same room do for the rest."""

    number: int
    betas: np.ndarray
    sex: str
    age: float
    profile: dict[str, Any]
    families: tuple[str, ...] | None = None
    fault: str | None = None
    spoilt: tuple[str, ...] = ALL_VIEWS
    seed: int = SEED


@dataclass
class Seen:
    """What the pipeline made of a person's photos. outcomes: by name of what it was told and shown."""

    number: int
    tone: int
    iou: list[float] = field(default_factory=list)
    outcomes: dict[str, Any] = field(default_factory=dict)
    poses: dict[str, np.ndarray] = field(default_factory=dict)


def see(
    people: Sequence[Person],
    checkpoints: dict[str, str],
    told: dict[str, Any],
    workers: int = 2,
    size: tuple[int, int] = SIZE,
) -> Iterator[Seen]:
    """Render every person and process the photos. told: name -> (views, names of the profile that are told)."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ[name] = "1"
    chunks = [people[first : first + 10] for first in range(0, len(people), 10)]
    work = functools.partial(_see, checkpoints=checkpoints, told=told, size=size)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for found in pool.map(work, chunks):
            yield from found


@functools.lru_cache(maxsize=1)
def _pipeline(checkpoints: tuple[tuple[str, str], ...]) -> Any:
    import cv2
    import torch

    from models.inference import Pipeline

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    return Pipeline.load({kind: Path(path) for kind, path in checkpoints})


def _see(
    people: Sequence[Person], *, checkpoints: dict[str, str], told: dict[str, Any], size: tuple[int, int]
) -> list[Seen]:
    from models.body import open_body
    from models.inference import ScanInput
    from models.render.capture import draw_capture, encode_jpeg, render_scan
    from models.training.scans import from_the_front

    pipeline, body = _pipeline(tuple(sorted(checkpoints.items()))), open_body()
    found = []
    for person in people:
        chosen = {} if person.families is None else {"families": person.families}
        draw = functools.partial(draw_capture, sex=person.sex, age=person.age, **chosen)
        capture = draw(np.random.default_rng([person.seed, person.number]), fault=person.fault)
        photos = render_scan(body, person.betas, capture, size=size)
        if set(person.spoilt) != set(photos):
            good = render_scan(body, person.betas, draw(np.random.default_rng([person.seed, person.number])), size=size)
            photos = {view: photos[view] if view in person.spoilt else good[view] for view in photos}
        files = {view: encode_jpeg(photo) for view, photo in photos.items()}
        seen = Seen(person.number, capture.appearance.tone)
        kept: dict[str, bytes] = {}
        for name, (views, facts) in told.items():
            profile = {fact: person.profile[fact] for fact in facts}
            if kept:  # silhouettes that were kept give the same numbers as the photos
                scan = ScanInput(name, silhouettes={view: kept[view] for view in views if view in kept}, **profile)
            else:
                scan = ScanInput(name, photos={view: files[view] for view in views}, **profile)
            outcome = pipeline.process([scan])[0]
            kept = kept or dict(outcome.silhouettes)
            seen.outcomes[name] = outcome
        if person.fault is None:
            seen.iou = _overlaps(pipeline, photos)
        seen.poses = {view: from_the_front(capture.pose(view), view) for view in photos}
        found.append(seen)
    return found


def _overlaps(pipeline: Any, photos: dict[str, Any]) -> list[float]:
    """IoU of every photo, whatever the quality control thinks of it."""
    import cv2
    import torch

    from models.inference.images import decode_photo, letterbox
    from models.render.capture import encode_jpeg

    pictures = [letterbox(decode_photo(encode_jpeg(photo))) for photo in photos.values()]
    with torch.inference_mode():
        batch = torch.from_numpy(np.stack(pictures).astype(np.float32)).permute(0, 3, 1, 2)
        masks = (pipeline.segmenter.module(batch).mask > 0).numpy()
    truths = [letterbox(cv2.cvtColor(photo.silhouette, cv2.COLOR_GRAY2RGB))[..., 0] >= 128 for photo in photos.values()]
    return [float((a & b).sum() / max(1, (a | b).sum())) for a, b in zip(masks, truths, strict=True)]


def synthetic_people(count: int, families: tuple[str, ...]) -> list[Person]:
    from models.body import open_body
    from models.training.people import bodies_of, draw_people

    people, betas = bodies_of(draw_people(round(1.1 * count) + 20, SEED, open_body()), open_body(), SEED)
    return [
        Person(i, betas[i], str(row.sex), float(row.age), _profile(row._asdict()), families)
        for i, row in enumerate(people[:count].itertuples(index=False))
    ]


def _profile(row: dict[str, Any]) -> dict[str, Any]:
    values = {name: row[name] for name in ("sex", "age", "stature_cm", "weight_kg")}
    return {name: value if isinstance(value, str) else float(value) for name, value in values.items()}


# Segmenter and avatar -------------------------------------------------------------------------------------------------


def shapes(given: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    from models.training.recipe import read_recipe

    families = read_recipe().photos.held_out_families
    people = synthetic_people(given.people, families)
    told = {name: (views, ("stature_cm",)) for name, views in VIEW_SETS.items()}
    seen = list(see(people, checkpoints_of(given), told))
    iou = np.concatenate([one.iou for one in seen])
    tones = np.concatenate([[one.tone] * len(one.iou) for one in seen])
    parts = {"Monk 1–3": (1, 2, 3), "Monk 4–7": (4, 5, 6, 7), "Monk 8–10": (8, 9, 10)}
    groups = {name: iou[np.isin(tones, part)].mean() for name, part in parts.items()}
    gap = max(groups.values()) - min(groups.values())
    rows = [("photos", f"{len(iou):,}"), ("mean IoU", f"{iou.mean():.4f}")]
    rows += [("5th percentile", f"{np.quantile(iou, 0.05):.4f}")]
    rows += [(name, f"{value:.4f}") for name, value in groups.items()]
    tell("Silhouettes of rendered photos in front of kinds of background that were not learnt from", rows)
    used = "rendered photos of synthetic people, held-out kinds of background"
    metrics = {
        "segmenter": [
            metric("mean IoU", iou.mean(), None, used, len(iou)),
            metric("5th percentile of IoU", np.quantile(iou, 0.05), None, used, len(iou)),
            metric("largest gap of mean IoU between three groups of skin tones", gap, None, used, len(iou)),
        ],
        "avatar": [],
    }  # fmt: skip
    for name in VIEW_SETS:
        rows = shape_errors(people, seen, name)
        errors = [(name, f"{rows[name].mean():.2f} (95 % below {rows[name].quantile(0.95):.2f})") for name in rows]
        tell(f"Avatar from {name} view(s) and the stature: mean errors of {len(rows):,} people", errors)
        if name == "4":
            metrics["avatar"] = [
                metric(f"mean error: {column}", rows[column].mean(), unit, used + ", four views", len(rows))
                for column, unit in UNITS.items()
            ]
    return metrics


UNITS = {
    "vertices, T-pose": "mm", "vertices, T-pose, scale-corrected": "mm", "volume": "%", "chest": "cm", "waist": "cm",
    "hip": "cm", "thigh": "cm", "joint angles": "degrees",
}  # fmt: skip


def shape_errors(people: Sequence[Person], seen: Sequence[Seen], name: str) -> pd.DataFrame:
    """A row a person with an avatar, a column each of UNITS."""
    from scipy.spatial.transform import Rotation

    from models.body import open_body
    from models.measure import measure

    body = open_body()
    rows = []
    for person, one in zip(people, seen, strict=True):
        outcome = one.outcomes[name]
        if outcome.betas is None:
            continue
        truth, found = body.shaped(np.array([person.betas, outcome.betas], np.float64))
        truth, found = truth - truth.mean(0), found - found.mean(0)
        scaled = found * np.sqrt((truth**2).sum() / (found**2).sum())  # as PVE-T-SC is usually computed
        taped = measure(body.shaped(np.array([person.betas, outcome.betas], np.float64)), body)
        angles = []
        for view, pose in (outcome.pose or {}).items():
            turn = Rotation.from_rotvec(one.poses[view]) * Rotation.from_rotvec(np.array(pose)).inv()
            angles.append(np.degrees(turn.magnitude()).mean())
        rows.append({
            "vertices, T-pose": 1000 * np.linalg.norm(found - truth, axis=1).mean(),
            "vertices, T-pose, scale-corrected": 1000 * np.linalg.norm(scaled - truth, axis=1).mean(),
            "volume": 100 * abs(taped["volume_l"][1] / taped["volume_l"][0] - 1),
            **{girth.removesuffix("_cm"): abs(np.diff(taped[girth])[0]) for girth in GIRTHS},
            "joint angles": float(np.mean(angles)),
        })  # fmt: skip
    return pd.DataFrame(rows)


# Quality control ------------------------------------------------------------------------------------------------------

REASON = {
    "cropped": "cut off", "blurred": "blurred", "two_persons": "several people", "wrong_pose": "pose",
    "wrong_view": "wrong view", "no_person": "no person", "too_dark": "too dark",
}  # fmt: skip


def quality(given: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Of captures with a fault, how many are recognised; of good ones, how many are refused."""
    import dataclasses

    from models.training.recipe import read_recipe

    people = synthetic_people(given.people, read_recipe().photos.held_out_families)
    faults = [None, None, None, *REASON]
    faulty = [dataclasses.replace(person, fault=faults[person.number % len(faults)]) for person in people]
    seen = list(see(faulty, checkpoints_of(given), {"4": (ALL_VIEWS, ("stature_cm",))}))
    rows, metrics = [], []
    used = "rendered photos of synthetic people, held-out kinds of background"
    for fault, reason in {None: None, **REASON}.items():
        found = [one.outcomes["4"].quality for person, one in zip(faulty, seen, strict=True) if person.fault == fault]
        if fault is None:
            wrong = sum(any(finding.view for finding in findings) for findings in found)
            rows.append(("good captures", f"{wrong} of {len(found)} with a finding"))
            metrics.append(metric("good scans with a finding", 100 * wrong / len(found), "%", used, len(found)))
            continue
        right = sum(any(finding.reason == reason for finding in findings) for findings in found)
        some = sum(bool(findings) for findings in found)
        photos = [any(finding.view == view for finding in findings) for findings in found for view in ALL_VIEWS]
        name, told = fault.replace("_", " "), f"{sum(photos)} of {len(photos)} photos by themselves"
        rows.append((name, f"{right} of {len(found)} for this reason, {some} for some reason, {told}"))
        metrics.append(metric(f"found: {name}", 100 * right / len(found), "%", used, len(found)))
        metrics.append(metric(f"found: {name}, single photos", 100 * np.mean(photos), "%", used, len(photos)))
    tell("Quality control", rows)
    return {"segmenter": metrics}


# Tape -----------------------------------------------------------------------------------------------------------------


def tape(given: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    from models.body import open_body
    from models.fit import fit_bodies
    from studies.ingest.mapping import load_mapping
    from studies.rendering.people import FACTS, USED, people_of
    from studies.rendering.table import read_people_table

    table = read_people_table(given.ansur, load_mapping("ansur2"))
    known = people_of(table.subjects, table.readings, reference="none").table
    known = known.sample(given.people, random_state=SEED).reset_index(drop=True)
    asked = known[[*(set(FACTS) - {"monk_skin_tone"}), *USED]].assign(subject=known["subject_id"])
    fitted = fit_bodies(asked, open_body(), seed=SEED)
    people = [
        Person(i, fitted.betas[i], str(row["sex"]), float(row["age"]), _profile(row.to_dict()))
        for i, (_, row) in enumerate(known.iterrows()) if not fitted.refused[i]
    ]  # fmt: skip
    seen = list(see(people, checkpoints_of(given), {"4": (ALL_VIEWS, ("stature_cm",))}))
    rows, metrics = [], []
    for girth in ("chest_cm", "waist_omphalion_cm", "hip_cm", "upper_thigh_cm", "thigh_cm", "calf_cm", "neck_cm"):
        pairs = [
            (one.outcomes["4"].predictions[girth].value, known[girth][one.number])
            for one in seen if girth in one.outcomes["4"].predictions and np.isfinite(known[girth][one.number])
        ]  # fmt: skip
        if not pairs:
            continue
        difference = np.subtract(*np.array(pairs).T)
        name = girth.removesuffix("_cm").replace("_", " ")
        spread = f"bias {difference.mean():+.2f}, SD {difference.std(ddof=1):.2f}, n {len(pairs)}"
        rows.append((name, f"MAE {np.abs(difference).mean():.2f} cm, {spread}"))
        used = "rendered photos of people of ANSUR II, against the tape"
        metrics.append(metric(f"MAE of the {name} girth", np.abs(difference).mean(), "cm", used, len(pairs)))
    tell("Girths of the avatar against the tape, people of ANSUR II in rendered photos", rows)
    return {"avatar": metrics}


# Body fat -------------------------------------------------------------------------------------------------------------

FACTS_TOLD = {
    "photos and profile": ("sex", "age", "stature_cm", "weight_kg"),
    "photos and stature": ("stature_cm",),
    "photos alone": (),
}  # fmt: skip


def adults_of(folder: Path, part: str) -> tuple[pd.DataFrame, list[Person], pd.DataFrame]:
    """The adults with DXA of a part of NHANES and their bodies, as persons; and those to learn lines from."""
    from models.body import open_body
    from models.fit import fit_bodies
    from models.training.nhanes import DATASET, REFERENCE, read_adults
    from models.training.split import part_of

    adults = read_adults(folder)
    adults["part"] = [part_of(DATASET, subject) for subject in adults["subject"]]
    adults = adults[adults[REFERENCE].notna()]
    known = adults[adults["part"].eq(part)].reset_index(drop=True)
    fitted = fit_bodies(known.drop(columns=[REFERENCE, "part"]), open_body(), seed=SEED)
    people = [
        Person(i, fitted.betas[i], str(row["sex"]), float(row["age"]), _profile(row.to_dict()))
        for i, (_, row) in enumerate(known.iterrows()) if not fitted.refused[i]
    ]  # fmt: skip
    return known, people, adults[adults["part"].eq("training")]


def retest(given: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Two scans of each person: other clothes, room, light, phone and pose, the same body."""
    import dataclasses

    from validation import repeatability

    _, people, _ = adults_of(given.nhanes, "choice")
    people = people[: given.people]
    told = {name: (ALL_VIEWS, facts) for name, facts in FACTS_TOLD.items()}
    again = [dataclasses.replace(person, seed=SEED + 1) for person in people]
    both = [list(see(part, checkpoints_of(given), told)) for part in (people, again)]
    rows, metrics = [], []
    for name in FACTS_TOLD:
        pairs = [
            [one.outcomes[name].predictions.get("body_fat_percent") for one in pair] for pair in zip(*both, strict=True)
        ]
        found = [[one.value for one in pair if one is not None] for pair in pairs if None not in pair]
        precise = repeatability(np.ravel(found), np.repeat(np.arange(len(found)), 2))
        sd, change = precise.rms_sd, precise.lsc
        rows.append((name, f"RMS-SD {shown(sd)}, least significant change {shown(change)}, {len(found):,} people"))
        used = "two scans each of NHANES adults, rendered photos"
        metrics.append(metric(f"RMS-SD of repeated scans, {name}", sd.estimate, "%", used, len(found), sd))
    tell("Repeated scans of the same person", rows)
    return {"estimator": metrics}


def body_fat(given: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    from models.training.nhanes import REFERENCE
    from studies.derived import EQUATIONS
    from validation import compare_errors

    known, people, learnt_from = adults_of(given.nhanes, "test" if given.final else "choice")
    told = {name: (ALL_VIEWS, facts) for name, facts in FACTS_TOLD.items()}
    seen = list(see(people, checkpoints_of(given), told))
    seen_there = [one for one in seen if "body_fat_percent" in one.outcomes["photos and profile"].predictions]
    rows = known.loc[[one.number for one in seen_there]].reset_index(drop=True)
    truth = rows[REFERENCE].to_numpy()
    print(f"{len(known):,} adults with DXA, {len(people):,} with a body, {len(seen_there):,} with a prediction")
    metrics = []
    which = "untouched fifth" if given.final else "part kept to choose by"
    used = f"NHANES adults, rendered photos, against DXA: {which}"
    for name in FACTS_TOLD:
        predicted = [one.outcomes[name].predictions["body_fat_percent"] for one in seen_there]
        metrics += told_of(name, np.array([[p.value, p.low, p.high] for p in predicted]), truth, rows, used)

    def by_photos(name: str) -> np.ndarray:
        return np.array([one.outcomes[name].predictions["body_fat_percent"].value for one in seen_there])

    for name, columns in LINEAR.items():
        by_line = linear(learnt_from, rows, columns, REFERENCE)
        told_of(name, alone(by_line), truth, rows, used)
        names = ("photos and profile", name)
        against = compare_errors(by_photos(names[0]), by_line, truth, names=names, metrics=("mae",))[0]
        print(f"\nMAE of photos and profile less that: {shown(against.difference)}, p {against.p_value:.3f}")
    deurenberg = EQUATIONS["deurenberg"]
    bmi = rows["weight_kg"] / (rows["stature_cm"] / 100) ** 2
    by_bmi = deurenberg(*(np.asarray(part, float) for part in (bmi, rows["age"], rows["sex"].eq("M"))))
    told_of("equation of BMI, age and sex (Deurenberg)", alone(by_bmi), truth, rows, used)
    bia = bioimpedance(given.nhanes, rows["subject"])
    there = np.isfinite(bia)
    same = rows[there].reset_index(drop=True)
    told_of("bioimpedance", alone(bia[there]), truth[there], same, f"{used}, those with bioimpedance")
    for name in FACTS_TOLD:
        found = by_photos(name)[there]
        told_of(f"{name}, people with bioimpedance", alone(found), truth[there], same, used)
    return {"estimator": metrics}


def alone(values: np.ndarray) -> np.ndarray:
    """Estimates without an interval, as `told_of` takes them."""
    return np.column_stack([values, np.full((len(values), 2), np.nan)])


def bioimpedance(folder: Path, subjects: pd.Series) -> np.ndarray:
    """BFP by bioimpedance of these subjects; NaN where it was not measured (over 49 years it never was)."""
    from studies.ingest.mapping import load_mapping
    from studies.rendering.table import read_people_table

    readings = read_people_table(folder, load_mapping("nhanes-1999")).readings
    chosen = readings[readings["measurand"].eq("body_fat_percent") & readings["method"].eq("bia")]
    by_subject = chosen.drop_duplicates("subject_id").set_index("subject_id")["value"]
    return by_subject.reindex(subjects.to_numpy()).to_numpy(np.float64, na_value=np.nan)


LINEAR = {
    "linear: sex, age, stature, mass": ("stature_cm", "weight_kg"),
    "linear: sex, age, stature, mass, waist": ("stature_cm", "weight_kg", "waist_cm"),
    "linear: these, girths and skinfolds": (
        "stature_cm", "weight_kg", "waist_cm", "arm_cm", "thigh_cm", "triceps_skinfold_mm", "subscapular_skinfold_mm",
    ),
}  # fmt: skip


def linear(learnt_from: pd.DataFrame, rows: pd.DataFrame, columns: Sequence[str], target: str) -> np.ndarray:
    """Least squares of each sex; what is missing of a person is the mean of their sex in the training part."""
    found = np.full(len(rows), np.nan)
    names = ["age", *columns]
    for sex in ("F", "M"):
        own, here = learnt_from[learnt_from["sex"].eq(sex)], rows["sex"].eq(sex).to_numpy()
        means = own[names].mean()
        design = np.column_stack([np.ones(len(own)), own[names].fillna(means)])
        weights = np.linalg.lstsq(design, own[target].to_numpy(), rcond=None)[0]
        found[here] = np.column_stack([np.ones(here.sum()), rows.loc[here, names].fillna(means)]) @ weights
    return found


def told_of(name: str, found: np.ndarray, truth: np.ndarray, rows: pd.DataFrame, used: str) -> list[dict[str, Any]]:
    """Print the errors of one estimate, (N,3) with the bounds of its interval, and return them for the card."""
    from validation import bland_altman, ccc, error_measures

    mean, low, high = found.T
    measures = error_measures(mean, truth)
    agreement, concordance = bland_altman(mean, truth), ccc(mean, truth)
    slope = np.polyfit(truth, mean - truth, 1)[0]
    inside = (truth >= low) & (truth <= high)
    lines = [("MAE", shown(measures.mae)), ("RMSE", shown(measures.rmse)), ("bias", shown(agreement.bias)),
             ("CCC", shown(concordance, 3)), ("slope of the error on DXA", f"{slope:.3f}")]  # fmt: skip
    groups = {"women": rows["sex"].eq("F"), "men": rows["sex"].eq("M"), "18 to 39": rows["age"].lt(40),
              "40 to 59": rows["age"].between(40, 59), "60 and over": rows["age"].ge(60)}  # fmt: skip
    groups |= {str(e).replace("_", " "): rows["ethnicity"].eq(e) for e in sorted(rows["ethnicity"].unique())}
    with_interval = np.isfinite(low).all()
    if with_interval:
        lines.append(("holds the truth, of 90 %", f"{100 * inside.mean():.1f} %"))
    for group, member in groups.items():
        of, error = member.to_numpy(), mean - truth
        if not of.any():
            continue
        held = f", interval holds {100 * inside[of].mean():.1f} %" if with_interval else ""
        lines.append((group, f"MAE {np.abs(error[of]).mean():.2f}, bias {error[of].mean():+.2f}{held}, n {of.sum()}"))
    tell(f"{name}: {len(truth):,} people", lines)
    out = [
        metric(f"MAE, {name}", measures.mae.estimate, "%", used, len(truth), measures.mae),
        metric(f"CCC, {name}", concordance.estimate, None, used, len(truth), concordance),
        metric(f"slope of the error on DXA, {name}", slope, None, used, len(truth)),
    ]
    if with_interval:
        held = 100 * inside.mean()
        out.append(metric(f"share of intervals that hold the truth, {name}", held, "%", used, len(truth)))
    return out


def tell(title: str, rows: Sequence[tuple[str, str]]) -> None:
    print(f"\n{title}\n")
    print_rows(("", ""), rows)


def shown(estimate: Any, digits: int = 2) -> str:
    return f"{estimate.estimate:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"


def metric(name: str, value: float, unit: str | None, data: str, n: int, interval: Any = None) -> dict[str, Any]:
    found = {"name": name, "value": round(float(value), 5), "unit": unit, "data": data, "n": int(n)}
    if interval is not None:
        found |= {"low": round(float(interval.low), 5), "high": round(float(interval.high), 5)}
    return found


def poses(given: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """BFP against DXA of the same people: standing as asked, otherwise in one photo, otherwise in all."""
    import dataclasses

    from models.training.nhanes import REFERENCE

    known, people, _ = adults_of(given.nhanes, "choice")
    people = [dataclasses.replace(person, seed=SEED + 2) for person in people[: given.people]]
    posed = [dataclasses.replace(person, fault="wrong_pose") for person in people]
    one = [dataclasses.replace(person, spoilt=(ALL_VIEWS[person.number % 4],)) for person in posed]
    rows = []
    for name, asked in {"as asked": people, "otherwise in one photo": one, "otherwise in all photos": posed}.items():
        told = {"4": (ALL_VIEWS, FACTS_TOLD["photos and profile"])}
        seen = list(see(asked, checkpoints_of(given), told, size=NARROW if given.narrow else SIZE))
        found = {one.number: one.outcomes["4"].predictions.get("body_fat_percent") for one in seen}
        errors = [abs(fat.value - known[REFERENCE][number]) for number, fat in found.items() if fat is not None]
        spread = f"95 % below {np.quantile(errors, 0.95):.1f}, all below {max(errors):.1f}"
        rows.append((name, f"{len(errors)} of {len(asked)} with a figure, MAE {np.mean(errors):.2f}, {spread}"))
    tell("Body fat by how people stand, photos and profile", rows)
    return {}


def checkpoints_of(given: argparse.Namespace) -> dict[str, str]:
    from models.checkpoints import packaged_checkpoints, read_card

    paths = sorted(given.checkpoints.glob("*.safetensors")) if given.checkpoints else packaged_checkpoints()
    return {read_card(path).kind: str(path) for path in paths}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("shapes", "quality", "tape", "body-fat", "retest", "poses"))
    parser.add_argument("--people", type=int, default=500, help="for all but body-fat")
    parser.add_argument("--ansur", type=Path)
    parser.add_argument("--nhanes", type=Path)
    parser.add_argument("--final", action="store_true", help="the fifth that no training and no choice has seen")
    parser.add_argument("--narrow", action="store_true", help="for poses: photos of 9:16 instead of 3:4")
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print_machine(repeats=1)
    measures = {
        "shapes": shapes,
        "quality": quality,
        "tape": tape,
        "body-fat": body_fat,
        "retest": retest,
        "poses": poses,
    }
    metrics = measures[given.what](given)
    if given.json:
        before = json.loads(given.json.read_text(encoding="utf-8")) if given.json.exists() else {}
        for kind, found in metrics.items():
            anew = {(one["name"], one["data"]) for one in found}
            before[kind] = [one for one in before.get(kind, []) if (one["name"], one["data"]) not in anew] + found
        given.json.write_text(json.dumps(before, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
