"""What stages 1 and 3 of the estimator are worth: its error by number of labels, with and without them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from models.training import bodyfat
from models.training.loop import Schedule, train
from models.training.nhanes import REFERENCE
from models.training.workshop import ESTIMATOR, LEARNT_FROM, Workshop

LABELS = (50, 100, 200, 400, None)
VARIANTS = {"neither": (False, False), "stage 1": (True, False), "stage 3": (False, True), "both": (True, True)}


def label_curve(
    workshop: Workshop, labels: Sequence[int | None], *, seeds: int, steps: int, batch: int = 16, rate: float = 6e-4
) -> Iterator[dict[str, object]]:
    """Train an estimator for each number of labelled people (None: all), variant and seed, with the same number of
    steps, and tell its errors on the people kept to choose by. What has been done is taken from the workshop's folder.

    Without stage 1 the encoder begins at random; without stage 3 nothing but the labelled people is learnt from.
    """
    measured = workshop.measured(LEARNT_FROM, rendered="measured")
    people = measured.people
    labelled = np.flatnonzero(people["part"].eq("training") & people[REFERENCE].notna())
    everyone = np.flatnonzero(people["part"].eq("training"))
    held_out = measured.scans(np.flatnonzero(people["part"].eq("choice") & people[REFERENCE].notna()))
    scale = bodyfat.ShapeScale.of(measured.store)
    for seed in range(seeds):
        order = np.random.default_rng([workshop.recipe.seed, 51, seed]).permutation(labelled)
        for count in labels:
            chosen = order[:count]
            for variant, (shapes, unlabelled) in VARIANTS.items():
                folder = workshop.folder / "label_efficiency" / f"{variant.replace(' ', '-')}-{len(chosen)}-{seed}"
                done = folder / "errors.json"
                if not done.exists():
                    told = np.isin(measured.person, chosen)
                    known = replace(measured.labels, bfp=np.where(told, measured.labels.bfp, np.nan))
                    network = workshop.network(ESTIMATOR, seed=seed)
                    if shapes:
                        network.load_state_dict(workshop.estimator_shapes().state_dict())
                    else:
                        bodyfat.set_scales(network, measured.labels)
                    samples = measured.scans(everyone if unlabelled else chosen)
                    loss = bodyfat.BodyFatLoss(scale)
                    schedule = Schedule(1, batch, rate, slow={"encoder.": 0.2} if shapes else {}, average=0.99)
                    trained = train(
                        network, _drawn(samples, measured.scans(chosen), steps * batch, seed),
                        bodyfat.ScanBatches(measured.store, known, twice=unlabelled), loss, schedule, folder,
                        seed=seed, device=workshop.device, teacher=loss.follow if unlabelled else None,
                    )  # fmt: skip
                    errors = bodyfat.errors(trained, measured.store, measured.labels, held_out)
                    done.write_text(json.dumps(errors), encoding="utf-8")
                    (folder / "state.pt").unlink()
                figures = json.loads(done.read_text(encoding="utf-8"))
                yield {"labels": len(chosen), "variant": variant, "seed": seed, **figures}


def _drawn(samples: np.ndarray, labelled: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` scans to learn from, repeated as needed; half of them labelled, however few these are."""
    rng = np.random.default_rng([seed, 52])
    return np.concatenate([rng.choice(labelled, count // 2), rng.choice(samples, count - count // 2)])
