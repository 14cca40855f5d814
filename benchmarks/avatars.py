"""How long an avatar takes: a step of a morph, the mesh files, the picture; and what a morph keeps and changes.

    python benchmarks/avatars.py [--people 150] [--repeats 5]

People are drawn as measurements of adults go together; none of them exists. Each time is processor time, the median of
the repeats and their range.
"""

from __future__ import annotations

import argparse
import os

# One core is measured: before anything that starts threads is imported.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import time  # noqa: E402
from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402
from measuring import print_rows, spread  # noqa: E402
from scipy.spatial.distance import pdist  # noqa: E402

from models.avatar import About, Morpher, draw_avatar, glb, obj, png, standing  # noqa: E402
from models.avatar.direction import fat_direction  # noqa: E402
from models.body import BodyData, open_body  # noqa: E402
from models.fit import expected_body_fat, fit_bodies  # noqa: E402
from models.training.people import bodies_of, draw_people  # noqa: E402

LOW, HIGH, POINTS = 5.0, 55.0, 10.0


def milliseconds(work: Callable[[], object], repeats: int, *, prepare: bool = True) -> list[float]:
    """Processor milliseconds of `work`, once for each repeat; each runs long enough to be measured."""
    if prepare:
        work()
    begun = time.process_time()
    work()
    times = max(1, round(0.1 / max(time.process_time() - begun, 1e-6)))
    taken = []
    for _ in range(repeats):
        begun = time.process_time()
        for _ in range(times):
            work()
        taken.append(1000 * (time.process_time() - begun) / times)
    return taken


def speed(body: BodyData, repeats: int) -> None:
    betas, about = np.zeros(body.n_betas), About(body.name)

    def start() -> Morpher:
        return Morpher(betas, body_fat_percent=25.0, sex="F", body=body)

    begun = time.process_time()
    morpher = start()
    first = 1000 * (time.process_time() - begun)
    vertices = standing(betas, body)
    steps = iter(np.tile(np.linspace(10, 45, 1001), 10_000))
    image = draw_avatar(betas, body)
    rows = [
        ("first morph of a process (finds the direction)", f"{first:.0f}"),
        *(
            (name, spread(milliseconds(work, repeats), 3))
            for name, work in (
                ("start of a further person", start),
                ("one step of a slider: betas, mass, volume", lambda: morpher.at(next(steps))),
                ("one step of a slider: vertices", lambda: morpher.vertices(next(steps))),
                ("one step of a slider: all measurements", lambda: morpher.measured(next(steps))),
                ("GLB", lambda: glb(vertices, body.faces, about)),
                ("OBJ", lambda: obj(vertices, body.faces, about)),
                ("picture, 1,000 pixels high", lambda: draw_avatar(betas, body)),
                ("the same as PNG", lambda: png(image)),
            )
        ),
    ]
    print_rows(("what", "ms"), rows)


def kept(body: BodyData, count: int) -> None:
    """What moves that should not, over all that can be shown from 5 to 55 %, and how far people can be taken."""
    table, betas = bodies_of(draw_people(count, 5, body), body, 5)
    bmi = (table.weight_kg / (table.stature_cm / 100) ** 2).to_numpy()
    fat = expected_body_fat(table.sex.to_numpy(), table.age.to_numpy(), bmi)
    fat = np.clip(fat + np.random.default_rng(0).normal(0, 4, len(table)), 6, 52)
    stature, joints, near, ranges = [], [], [], []
    for who, own, percent in zip(table.itertuples(), betas.astype(np.float64), fat, strict=True):
        morpher = Morpher(own, body_fat_percent=float(percent), weight_kg=who.weight_kg, sex=who.sex, body=body)
        low, high = max(LOW, morpher.range[0]), min(HIGH, morpher.range[1])
        here = pdist(body.joints(body.shaped(own[None]))[0])
        tall = morpher.measured(float(percent))["stature_cm"]
        for end, moved in (
            (low, joints), (high, joints), (max(low, percent - POINTS), near), (min(high, percent + POINTS), near),
        ):  # fmt: skip
            there = pdist(body.joints(body.shaped(morpher.at(end).betas[None]))[0])
            moved.append(1000 * np.abs(there - here).max())
            stature.append(10 * abs(morpher.measured(end)["stature_cm"] - tall))
        ranges.append(morpher.range)
    low, high = np.array(ranges).T
    rows = [
        ("stature, mm: largest change", f"{max(stature):.2f}"),
        ("distance of two joints, mm: largest change, 5 to 55 %", f"{max(joints):.1f}"),
        ("the same, half of the people", f"{np.median(joints):.1f}"),
        ("the same within 10 points: largest; half of the people", f"{max(near):.1f}; {np.median(near):.1f}"),
        (
            "people who can be shown 10 points leaner (or at 5 %)",
            f"{(low <= np.maximum(LOW, fat - POINTS)).mean():.1%}",
        ),
        ("people who can be shown 10 points fatter", f"{(high >= fat + POINTS).mean():.1%}"),
        ("people who can be shown at 5 %; at 55 %", f"{(low <= LOW).mean():.1%}; {(high >= HIGH).mean():.1%}"),
    ]
    print_rows((f"of {len(table)} people", ""), rows)


def examples(body: BodyData) -> None:
    """A woman and a man of 40 years and average measurements, leaner and fatter."""
    people = {
        "sex": ["F", "M"], "age": [40.0, 40.0], "stature_cm": [162.0, 176.0], "weight_kg": [70.0, 84.0],
        "subject": ["woman", "man"],
    }  # fmt: skip
    fitted = fit_bodies(people, body, seed=7)
    rows = []
    for n, percent in ((0, 33.0), (1, 25.0)):
        morpher = Morpher(
            fitted.betas[n].astype(np.float64), body_fat_percent=percent, weight_kg=people["weight_kg"][n],
            sex=people["sex"][n], body=body,
        )  # fmt: skip
        for step in (-15, -10, -5, 0, 5, 10, 15):
            there, measured = morpher.at(percent + step), morpher.measured(percent + step)
            figures = (measured[name] for name in ("stature_cm", "chest_cm", "waist_cm", "hip_cm", "thigh_cm"))
            rows.append((people["subject"][n], f"{percent + step:.0f}", f"{there.weight_kg:.1f}",
                         f"{there.volume_l:.1f}", *(f"{figure:.1f}" for figure in figures)))  # fmt: skip
    print_rows(("", "BFP", "mass, kg", "volume, l", "stature", "chest", "waist", "hip", "mid-thigh"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    body = open_body()
    fat_direction.cache_clear()
    speed(body, chosen.repeats)
    print()
    kept(body, chosen.people)
    print()
    examples(body)


if __name__ == "__main__":
    main()
