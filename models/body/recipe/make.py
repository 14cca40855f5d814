"""Makes the open body from the assets, measures it on people that it was not made from, and writes file and card."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from models.body.recipe.assets import REQUIREMENT, Assets
from models.body.recipe.basis import Basis, importance, principal
from models.body.recipe.people import People, corners, draw
from models.body.recipe.regressor import joint_regressor
from models.body.recipe.shapes import Shaper
from models.body.recipe.tpose import TPose, skinning_weights
from models.body.skeleton import JOINTS, MIRRORED, PARENTS, scan_pose

N_BETAS = 40
N_PEOPLE, N_HELD_OUT, N_FOR_JOINTS = 3000, 500, 1000
SEED = 20_001
STEP_M = (
    2.0**-17
)  # to which the directions are rounded: 8 µm, less than a fit can tell, and the file becomes a third smaller
_SPAN_MARGIN = 0.25
_BATCH = 250
NOTICE = (
    "Made from assets of MakeHuman, which their holders (Data Collection AB, Joel Palmius, Jonas Hauquier and others) "
    "released under CC0 1.0 in 2020. This file is released under CC0 1.0 as well: to the extent possible under law, "
    "all copyright and related rights to it are waived."
)


@dataclass(frozen=True)
class Made:
    """arrays: the content of the file; card: what is known of it; people and betas: those that the basis was learned
    from.
    """

    arrays: dict[str, np.ndarray]
    card: dict
    people: People
    betas: np.ndarray


def make(assets: Assets) -> Made:
    """Takes about three minutes and 3 GB of memory."""
    shaper = Shaper(assets)
    people = draw(shaper, N_PEOPLE + N_HELD_OUT, np.random.default_rng(SEED))
    names, extremes = corners(shaper)
    weights = skinning_weights(assets, shaper)
    usual = shaper.stand({name: values[:_BATCH] for name, values in people.items()}).joints.mean(axis=0)
    to_tpose = TPose.of((usual + usual[list(MIRRORED)] * [-1, 1, 1]) / 2, weights)
    bodies, joints = _in_tpose(people, shaper, to_tpose)
    ends, _ = _in_tpose(extremes, shaper, to_tpose)
    known, unseen = slice(None, N_PEOPLE), slice(N_PEOPLE, None)

    what_counts = importance(bodies[:_BATCH].mean(axis=0, dtype=float), shaper.faces, weights)
    exact = principal(bodies[known], N_BETAS, what_counts, shaper.mirror, shaper.faces)
    directions = (np.round(exact.directions / STEP_M) * STEP_M).astype(np.float16)
    basis = Basis(exact.mean.astype(np.float32).astype(float), directions.astype(float), what_counts)
    few = slice(None, N_FOR_JOINTS)
    regressor = joint_regressor(bodies[few].astype(float), joints[few], shaper.mirror).astype(np.float32)
    betas = basis.betas(bodies[known])
    span = _span(betas)

    arrays = {
        "v_template": basis.mean.astype(np.float32),
        "shapedirs": directions,
        "J_regressor": regressor,
        "weights": weights,
        "f": shaper.faces.astype(np.uint32),
        "kintree_table": np.array([PARENTS, range(len(PARENTS))]),
        "scan_pose": scan_pose().astype(np.float32),
        "span": span.astype(np.float32),
        "example_betas": basis.betas(ends).astype(np.float32),
    }
    figures = {
        "held_out_reconstruction_mm": _distances(basis.bodies(basis.betas(bodies[unseen])), bodies[unseen]),
        "joints_held_out_mm": _joint_errors(regressor, bodies[unseen], joints[unseen]),
        "people": {"learned_from": N_PEOPLE, "held_out": N_HELD_OUT, "joints_learned_from": N_FOR_JOINTS},
        "drawn": _drawn(people),
    }
    card = {
        "name": "Calliper open body",
        "licence": "CC0-1.0",
        "notice": NOTICE,
        "made_by": "python -m models.body.recipe --wheel WHEEL --out open_body.npz",
        "source": REQUIREMENT,
        "vertices": len(weights),
        "betas": N_BETAS,
        "seed": SEED,
        "figures": figures,
        "examples": names,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("numpy", "scipy")},
        "sources": assets.sources,
        "licence_text": assets.licence,
    }
    return Made(arrays, card, {name: values[known] for name, values in people.items()}, betas)


def write(made: Made, out: Path) -> Path:
    """Writes the file, and beside it the card as JSON, which names the file's SHA-256. Returns the card's path."""
    short = {name: made.card[name] for name in ("name", "licence", "notice", "made_by", "source", "examples")}
    np.savez_compressed(out, **made.arrays, card=np.array(json.dumps(short)))
    card = made.card | {"sha256": hashlib.sha256(out.read_bytes()).hexdigest(), "bytes": out.stat().st_size}
    path = out.with_suffix(".json")
    path.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return path


def write_samples(made: Made, out: Path) -> None:
    """Writes the betas (N,K) of the people that the basis was learned from, with one array for each phenotype."""
    np.savez_compressed(out, betas=made.betas.astype(np.float32), **made.people)


def _in_tpose(people: People, shaper: Shaper, to_tpose: TPose) -> tuple[np.ndarray, np.ndarray]:
    n = len(people["bmi"])
    parts = [
        to_tpose.apply(shaper.stand({name: values[start : start + _BATCH] for name, values in people.items()}))
        for start in range(0, n, _BATCH)
    ]
    return np.concatenate([part[0].astype(np.float32) for part in parts]), np.concatenate([part[1] for part in parts])


def _span(betas: np.ndarray) -> np.ndarray:
    """(2,K): what the people drawn have, and a quarter more."""
    low, high = betas.min(axis=0), betas.max(axis=0)
    margin = _SPAN_MARGIN * (high - low) / 2
    return np.stack([low - margin, high + margin])


def _distances(made: np.ndarray, wanted: np.ndarray) -> dict[str, float]:
    distances = 1000 * np.linalg.norm(made - wanted, axis=2)
    bodies = distances.mean(axis=1)
    return {
        "mean": round(float(distances.mean()), 3),
        "95 % of bodies": round(float(np.percentile(bodies, 95)), 3),
        "worst body": round(float(bodies.max()), 3),
        "95 % of vertices": round(float(np.percentile(distances, 95)), 3),
    }


def _joint_errors(regressor: np.ndarray, bodies: np.ndarray, joints: np.ndarray) -> dict[str, dict[str, float]]:
    distances = 1000 * np.linalg.norm(np.einsum("jv,nvi->nji", regressor, bodies, optimize=True) - joints, axis=2)
    return {
        name: {"mean": round(float(distances[:, j].mean()), 2), "worst": round(float(distances[:, j].max()), 2)}
        for j, name in enumerate(JOINTS)
    }


def _drawn(people: People) -> dict[str, dict[str, list[float]]]:
    """Least, median and greatest of stature and BMI by sex."""
    found = {}
    for sex, of_sex in (("F", people["gender"] > 0.5), ("M", people["gender"] < 0.5)):
        found[sex] = {
            name: [round(float(value), 3) for value in np.percentile(people[name][of_sex], [0, 50, 100])]
            for name in ("stature_m", "bmi")
        }
    return found
