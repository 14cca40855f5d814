"""Measuring bodies, and fitting bodies to measurements: speed on one core, and what becomes of real people.

    python benchmarks/measuring_bodies.py                     measuring, beside trimesh; fitting, as the table grows
    python benchmarks/measuring_bodies.py --people FOLDER     besides: how many adults of NHANES 1999-2000 and people of
                                                              ANSUR II fit (FOLDER has nhanes_1999_2000/ and ansur2/)
    python benchmarks/measuring_bodies.py --skinfolds FOLDER  besides: how much of what skinfolds say is in the bodies

Girths are first checked to be those of trimesh. Seconds are of the processor, so that other work counts little; each
figure is the median of the repeats and their range. DXA is read for the last table alone, to be compared with.
"""

from __future__ import annotations

import argparse
import os

# One core is measured: before anything that starts threads is imported.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import re  # noqa: E402
import time  # noqa: E402
from collections import Counter  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pyreadstat  # noqa: E402
import trimesh  # noqa: E402
from measuring import print_machine, print_rows, spread  # noqa: E402
from scipy.spatial import ConvexHull  # noqa: E402

from models.body.data import BodyData  # noqa: E402
from models.body.files import open_body  # noqa: E402
from models.fit import FittedBodies, fit_bodies  # noqa: E402
from models.fit.build_prior import ADULT, ANSUR, NHANES  # noqa: E402
from models.measure import GIRTHS, ShapeGauge, find_landmarks, measure, tape  # noqa: E402
from models.training.split import part_of  # noqa: E402

SEED = 1


def milliseconds(work: Callable[[], object], times: int, repeats: int) -> list[float]:
    """Processor milliseconds of one call."""
    work()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        for _ in range(times):
            work()
        found.append((time.process_time() - start) / times * 1000)
    return found


def some_people(n: int) -> pd.DataFrame:
    """People with plausible measurements, drawn with a fixed seed."""
    rng = np.random.default_rng(SEED)
    sex = np.where(np.arange(n) % 2 == 0, "F", "M")
    stature = np.where(sex == "F", 162, 176) + rng.normal(0, 7, n)
    bmi = 27 * np.exp(rng.normal(0, 0.18, n))
    waist = 0.9 * stature * (bmi / 27) * 0.6
    return pd.DataFrame(
        {
            "subject": np.arange(n),
            "sex": sex,
            "age": rng.uniform(20, 80, n),
            "stature_cm": stature,
            "weight_kg": bmi * (stature / 100) ** 2,
            "waist_cm": waist,
        }
    )


def measuring(body: BodyData, repeats: int) -> None:
    rng = np.random.default_rng(SEED)
    betas = np.clip(rng.normal(0, 1, (20, body.n_betas)), -2, 2)
    bodies = body.shaped(betas)
    marks = find_landmarks(body)
    waist = GIRTHS.index("waist_cm")
    plane = int(np.flatnonzero(marks.girth_of == waist)[0])
    trunk = np.asarray(body.weights)[:, 16:].sum(axis=1) < 0.5
    faces = body.faces[trunk[body.faces].all(axis=1)]

    def by_trimesh(vertices: np.ndarray) -> float:
        origin, normal = tape.plane_of(marks.points @ vertices, marks.planes[plane], marks.fractions[plane], True)
        section = trimesh.Trimesh(vertices, faces, process=False).section(normal, origin)
        return ConvexHull(np.asarray(section.vertices)[:, [0, 2]]).area * 100

    measured = measure(bodies, body)
    off = max(abs(by_trimesh(v) - w) for v, w in zip(bodies, measured["waist_cm"], strict=True))
    print(f"Waist girths of {len(bodies)} bodies are those of trimesh within {off * 10:.4f} mm.\n")

    gauge = ShapeGauge(body)
    single = bodies[0]
    points = marks.points @ single
    rows = [
        (
            f"all {len(GIRTHS)} girths of one body ({len(marks.planes)} sections)",
            lambda: tape.girths(
                single, points, marks.edges, marks.offsets, marks.planes, marks.fractions, marks.upright
            ),
        ),
        ("everything of one body: landmarks, girths, area, volume", lambda: measure(single, body)),
        ("everything, straight from betas, with derivatives by all betas", lambda: gauge.values_and_jacobian(betas[0])),
        ("one girth by `trimesh.section` and its hull", lambda: by_trimesh(single)),
    ]
    print_rows(["measuring", "ms a body"], [[what, spread(milliseconds(work, 50, repeats), 3)] for what, work in rows])
    print()
    rows = []
    for n in (1, 10, 100):
        batch = np.repeat(bodies[:1], n, axis=0) if n < 20 else np.concatenate([bodies] * (n // 20))
        found = milliseconds(lambda batch=batch: measure(batch, body), max(1, 100 // n), repeats)
        rows.append([str(n), spread([len(batch) / ms * 1000 for ms in found], 0)])
    print_rows(["bodies in a batch", "measured a second"], rows)


def fitting(body: BodyData, repeats: int) -> None:
    people = some_people(1000)
    rows = []
    for n in (1, 10, 100, 1000):
        found = milliseconds(
            lambda n=n: fit_bodies(people.iloc[:n], body, seed=SEED), max(1, 20 // n), repeats if n < 1000 else 1
        )
        rows.append([f"{n:,}", spread([n / ms * 1000 for ms in found], 0)])
    print()
    print_rows(["people in a table", "fitted a second"], rows)


def adults(folder: Path) -> pd.DataFrame:
    """Adults of NHANES 1999-2000 with DXA (`reference`), stature and mass."""
    demo, measured, dxa = (
        pyreadstat.read_xport(str(folder / "nhanes_1999_2000" / f"{name}.XPT"))[0] for name in ("DEMO", "BMX", "DXX")
    )
    dxa = dxa[(dxa["_MULT_"] == 1) & dxa.DXDTOPF.notna()]
    people = demo.merge(measured, on="SEQN").merge(dxa[["SEQN", "DXDTOPF"]], on="SEQN")
    people = people[(people.RIDAGEYR >= ADULT) & people.BMXHT.notna() & people.BMXWT.notna()]
    sex = np.where(people.RIAGENDR == 1, "M", "F")
    given = {name: people[code] for name, code in NHANES.items()}
    table = {"subject": people.SEQN.astype(int), "sex": sex, "age": people.RIDAGEYR, **given}
    return pd.DataFrame({**table, "reference": people.DXDTOPF}).reset_index(drop=True)


def soldiers(folder: Path) -> pd.DataFrame:
    girths = {name: code for name, code in ANSUR.items() if name not in ("leg_length_cm", "shoulder_breadth_cm")}
    girths = {"waist_omphalion_cm": girths.pop("waist_cm"), "upper_thigh_cm": "thighcircumference", **girths}
    frames = []
    for sex, file in (("M", "ANSUR_II_MALE_Public.csv"), ("F", "ANSUR_II_FEMALE_Public.csv")):
        people = pd.read_csv(folder / "ansur2" / file, encoding="latin-1")
        measured = {name: people[code] / 10 for name, code in girths.items()}
        frames.append(pd.DataFrame({"subject": people.iloc[:, 0], "sex": sex, "age": people.Age, **measured}))
    return pd.concat(frames, ignore_index=True)


def real_people(folder: Path, body: BodyData) -> None:
    rows, reasons = [], []
    for name, people in (("NHANES 1999-2000, adults with DXA", adults(folder)), ("ANSUR II", soldiers(folder))):
        start = time.process_time()
        fitted = fit_bodies(people, body, seed=SEED)
        seconds = time.process_time() - start
        right = fitted.within_tolerance
        counts = (right, right & ~fitted.flagged, fitted.flagged, fitted.refused)
        shares = [f"{c.sum():,} ({100 * c.mean():.2f} %)" for c in counts]
        rows.append([name, f"{len(people):,}", *shares, f"{len(people) / seconds:.0f}"])
        kinds = Counter(re.sub(r"[-+]?\d[\d.,]*", "#", problem) for problem in fitted.problems if problem)
        reasons += [(name, reason, n) for reason, n in kinds.most_common()]
        print(f"\n{name}: distance from usual bodies, quantiles 5, 50, 95, 99 %: ", end="")
        print(", ".join(f"{q:.1f}" for q in np.nanquantile(fitted.distance, [0.05, 0.5, 0.95, 0.99])), "SD")
    print()
    print_rows(
        ["people", "n", "within tolerance", "of these not flagged", "flagged", "refused", "a second"],
        rows,
    )
    print()
    for name, reason, n in reasons:
        print(f"- {name}, {n}: {reason}")


def silhouette_measures(body: BodyData, betas: np.ndarray) -> np.ndarray:
    """(N, 2 L): breadth and depth of the trunk and legs at heights that a silhouette shows, by stature."""
    trunk = np.flatnonzero(np.asarray(body.weights)[:, 16:].sum(axis=1) < 0.5)
    out = []
    for one in betas:
        vertices = body.shaped(one[None])[0]
        height = (vertices[trunk, 1] - vertices[:, 1].min()) / np.ptp(vertices[:, 1])
        row = []
        for level in np.arange(0.16, 0.86, 0.04):
            near = trunk[np.abs(height - level) < 0.02]
            row += [np.ptp(vertices[near, 0]), np.ptp(vertices[near, 2])]
        out.append(row)
    return np.array(out)


def skinfolds(folder: Path, body: BodyData) -> None:
    """Linear models of half of the people, judged on the others: of muscularity, and of the reference."""
    people = adults(folder).dropna()
    # Whoever is kept for the final table of the estimator is kept out of this one as well.
    people = people[[part_of("nhanes-1999", str(name)) != "test" for name in people.subject]].reset_index(drop=True)
    fitted: FittedBodies = fit_bodies(people.drop(columns="reference"), body, seed=SEED)
    rows = []
    for sex in "FM":
        own = np.flatnonzero((people.sex == sex).to_numpy() & ~fitted.refused)
        np.random.default_rng(SEED).shuffle(own)
        basic = people.loc[own, ["age", "stature_cm", "weight_kg"]].to_numpy()
        girths = people.loc[own, ["waist_cm", "arm_cm", "thigh_cm"]].to_numpy()
        folds = np.log(people.loc[own, ["triceps_skinfold_mm", "subscapular_skinfold_mm"]].to_numpy())
        betas = fitted.betas[own].astype(float)
        seen = silhouette_measures(body, betas)
        for what, known in (
            ("age, stature, mass", basic),
            ("and waist, arm, thigh", np.hstack([basic, girths])),
            ("and skinfolds", np.hstack([basic, girths, folds])),
            ("silhouette alone", seen),
            ("silhouette, age, stature, mass", np.hstack([seen, basic])),
            ("betas alone", betas),
        ):
            explained, _ = judged(known, fitted.muscularity[own])
            _, error = judged(known, people.reference.to_numpy()[own])
            rows.append([f"{sex}: {what}", str(len(own)), f"{explained:.2f}", f"{error:.2f}"])
    print()
    print_rows(["known (linear and square)", "n", "R² of muscularity", "MAE of BFP by DXA"], rows)


def judged(known: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """R² and mean absolute error on the second half, of a ridge model fitted on the first."""
    half = len(target) // 2
    scaled = (known - known[:half].mean(axis=0)) / known[:half].std(axis=0)
    design = np.column_stack([np.ones(len(target)), scaled, scaled**2])
    penalty = 3.0 * np.eye(design.shape[1])
    penalty[0, 0] = 0
    model = np.linalg.solve(design[:half].T @ design[:half] + penalty, design[:half].T @ target[:half])
    off = target[half:] - design[half:] @ model
    return 1 - off.var() / target[half:].var(), float(np.abs(off).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--people", type=Path)
    parser.add_argument("--skinfolds", type=Path)
    chosen = parser.parse_args()
    body = open_body()
    measuring(body, chosen.repeats)
    fitting(body, chosen.repeats)
    if chosen.people:
        real_people(chosen.people, body)
    if chosen.skinfolds:
        skinfolds(chosen.skinfolds, body)
    print_machine(chosen.repeats)


if __name__ == "__main__":
    main()
