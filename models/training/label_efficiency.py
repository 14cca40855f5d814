"""What stages 1 and 3 of the estimator are worth: its error by number of labels, with and without them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from models.training import bodyfat
from models.training.loop import Schedule, learnt, train
from models.training.nhanes import REFERENCE
from models.training.split import Part
from models.training.workshop import ESTIMATOR, LEARNT_FROM, Measured, Workshop

LABELS = (50, 100, 200, 400, None)
VARIANTS = {"neither": (False, False), "stage 1": (True, False), "stage 3": (False, True), "both": (True, True)}


def label_curve(
    workshop: Workshop, labels: Sequence[int | None], *, seeds: int, steps: int, batch: int = 16, rate: float = 6e-4
) -> Iterator[dict[str, object]]:
    """Train an estimator for each number of labelled people (None: all), variant and seed, and tell its errors on the
    people kept to choose by. What has been done is taken from the workshop's folder.

    Without stage 1 the encoder begins at random. Stage 3 goes on from the same labels without it, half as many steps,
    and learns from everybody.
    """
    measured = workshop.measured(LEARNT_FROM, rendered="measured")
    labelled = _of_part(measured, "training", labelled=True)
    schedule = Schedule(1, batch, rate, average=0.99)
    for seed, count, variant in itertools.product(range(seeds), labels, VARIANTS):
        order = np.random.default_rng([workshop.recipe.seed, 51, seed]).permutation(labelled)
        chosen = order[:count]
        done = _folder(workshop, variant, chosen, seed) / "errors.json"
        if not done.exists():
            trained = _trained_on(workshop, measured, chosen, variant, schedule, steps, seed)
            held_out = measured.scans(_of_part(measured, "choice", labelled=True), segmented=True)
            figures = bodyfat.errors(trained, measured.store, measured.labels, held_out)
            done.write_text(json.dumps(figures), encoding="utf-8")
        yield {"labels": len(chosen), "variant": variant, "seed": seed, **json.loads(done.read_text(encoding="utf-8"))}


def _trained_on(
    workshop: Workshop,
    measured: Measured,
    chosen: np.ndarray,
    variant: str,
    schedule: Schedule,
    steps: int,
    seed: int,
) -> nn.Module:
    """An estimator that knows the labels of the `chosen` people alone."""
    shapes, unlabelled = VARIANTS[variant]
    folder = _folder(workshop, variant, chosen, seed)
    network = workshop.network(ESTIMATOR, seed=seed)
    if (done := learnt(folder, network)) is not None:
        return done
    told = np.isin(measured.person, chosen)
    known = replace(measured.labels, bfp=np.where(told, measured.labels.bfp, np.nan))
    if unlabelled:
        before = "stage 1" if shapes else "neither"
        network.load_state_dict(_trained_on(workshop, measured, chosen, before, schedule, steps, seed).state_dict())
        steps = max(1, steps // 2)
    elif shapes:
        network.load_state_dict(workshop.estimator_shapes().state_dict())
    else:
        bodyfat.set_scales(network, measured.labels)
    if shapes:
        schedule = replace(schedule, slow={"encoder.": 0.2})
    samples = measured.scans(_of_part(measured, "training") if unlabelled else chosen)
    loss = bodyfat.BodyFatLoss(bodyfat.ShapeScale.of(measured.store))
    return train(
        network, _drawn(samples, measured.scans(chosen), steps * schedule.batch, seed),
        bodyfat.ScanBatches(measured.store, known, twice=unlabelled), loss, schedule, folder,
        seed=seed, device=workshop.device, teacher=loss.follow if unlabelled else None,
    )  # fmt: skip


def _folder(workshop: Workshop, variant: str, chosen: np.ndarray, seed: int) -> Path:
    return workshop.folder / "label_efficiency" / f"{variant.replace(' ', '-')}-{len(chosen)}-{seed}"


def _of_part(measured: Measured, part: Part, *, labelled: bool = False) -> np.ndarray:
    """The rows of the people of a part; `labelled`: of those with a DXA reading."""
    people = measured.people
    return np.flatnonzero(people["part"].eq(part) & (people[REFERENCE].notna() | (not labelled)))


def _drawn(samples: np.ndarray, labelled: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` scans to learn from, repeated as needed; half of them labelled, however few these are."""
    rng = np.random.default_rng([seed, 52])
    return np.concatenate([rng.choice(labelled, count // 2), rng.choice(samples, count - count // 2)])
