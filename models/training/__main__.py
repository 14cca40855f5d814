"""`python -m models.training STEP --work FOLDER`: follow the recipe of the packaged checkpoints, or another one."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from models.errors import ModelFileError

SCANS = ("people", "silhouettes", "photos")
NETWORKS = ("segmenter", "avatar", "avatar_photos", "estimator_shapes", "estimator_labels", "estimator_unlabelled")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.training", description=__doc__)
    parser.add_argument(
        "step",
        choices=[*SCANS, *NETWORKS, "label_efficiency", "package", "all"],
        help="what to do; what it needs is done first",
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for scans, states and curves")
    parser.add_argument("--nhanes", type=Path, help="folder of DEMO.XPT, BMX.XPT and DXX.XPT, for the estimator")
    parser.add_argument("--recipe", type=Path, help="a recipe other than the packaged checkpoints'")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=0, help="of the processor; as many as there are unless given")
    parser.add_argument("--workers", type=int, default=2, help="processes that render")
    parser.add_argument("--out", type=Path, help="folder for the checkpoints; WORK/checkpoints unless given")
    parser.add_argument("--version", type=int, default=1, help="of the checkpoints")
    parser.add_argument("--metrics", type=Path, help="JSON: kind of checkpoint -> list of what was measured of it")
    parser.add_argument("--seeds", type=int, default=3, help="of label_efficiency")
    parser.add_argument("--steps", type=int, default=600, help="of label_efficiency")
    given = parser.parse_args(arguments)
    import torch

    from models.training.label_efficiency import LABELS, label_curve
    from models.training.recipe import PACKAGED, read_recipe
    from models.training.workshop import HELD_OUT, TRAINING, Workshop

    if given.threads:
        torch.set_num_threads(given.threads)
    try:
        recipe = read_recipe(given.recipe or PACKAGED)
    except ModelFileError as error:
        print(error, file=sys.stderr)
        return 2
    started = time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - started:7.0f} s  {text}", flush=True)

    workshop = Workshop(
        given.work, recipe, data=given.nhanes, device=given.device, workers=given.workers, tell=tell
    )  # fmt: skip
    for step in (*SCANS, *NETWORKS, "package") if given.step == "all" else [given.step]:
        if step == "package":
            metrics = json.loads(given.metrics.read_text(encoding="utf-8")) if given.metrics else {}
            for path in workshop.package(given.out or given.work / "checkpoints", given.version, metrics):
                tell(f"{path} ({path.stat().st_size / 1e6:.2f} MB)")
        elif step == "label_efficiency":
            for row in label_curve(workshop, LABELS, seeds=given.seeds, steps=given.steps):
                tell(" · ".join(f"{key} {value}" for key, value in row.items()))
        elif step in SCANS:
            for part in (TRAINING, HELD_OUT):
                getattr(workshop, step)(part)
        else:
            getattr(workshop, step)()
    return 0


if __name__ == "__main__":
    sys.exit(main())
