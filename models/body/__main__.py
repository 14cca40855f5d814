"""`python -m models.body --for-smplx PATH.pkl`: the open body as a file that the package smplx reads."""

from __future__ import annotations

import argparse
from pathlib import Path

from models.body.files import open_body, save_for_smplx


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m models.body", description="Write the open body in other forms.")
    parser.add_argument(
        "--for-smplx", type=Path, required=True, metavar="PATH", help="a .pkl for smplx.SMPL, about 80 MB"
    )
    arguments = parser.parse_args()
    body = open_body()
    save_for_smplx(body, arguments.for_smplx)
    print(f"{arguments.for_smplx}: smplx.SMPL({str(arguments.for_smplx)!r}, num_betas={body.n_betas})")


if __name__ == "__main__":
    main()
