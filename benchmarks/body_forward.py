"""Bodies a second of the forward pass on one core, in NumPy and torch, as the batch grows; beside smplx, same body.

    python benchmarks/body_forward.py [--batches 1 8 32 128] [--repeats 5] [--cuda]

All give the same vertices, which is checked first. Each figure is the median of the repeats and their range.
"""

from __future__ import annotations

import argparse
import os

# One core is measured: before anything that starts threads is imported.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import platform  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from measuring import print_rows, spread  # noqa: E402

from models.body.data import BodyData  # noqa: E402
from models.body.files import open_body, save_for_smplx  # noqa: E402
from models.body.model import BodyModel  # noqa: E402

Inputs = tuple[np.ndarray, np.ndarray, np.ndarray]


def inputs(body: BodyData, n: int) -> Inputs:
    rng = np.random.default_rng(1)
    return rng.normal(0, 0.7, (n, body.n_betas)), rng.normal(0, 0.2, (n, 24, 3)), rng.normal(0, 1, (n, 3))


def rate(work: Callable[[], object], n: int, repeats: int) -> list[float]:
    """Bodies a second, once for each repeat; each runs long enough to be measured."""
    work()
    begun = time.perf_counter()
    work()
    times = max(1, round(0.3 / (time.perf_counter() - begun)))
    rates = []
    for _ in range(repeats):
        begun = time.perf_counter()
        for _ in range(times):
            work()
        rates.append(n * times / (time.perf_counter() - begun))
    return rates


def in_torch(body: BodyData, given: Inputs, device: str = "cpu") -> Callable[[], torch.Tensor]:
    model = BodyModel(body).to(device)
    tensors = [torch.tensor(part, dtype=torch.float32, device=device) for part in given]

    def work() -> torch.Tensor:
        with torch.no_grad():
            vertices = model(*tensors).vertices
        if device != "cpu":
            torch.cuda.synchronize()
        return vertices

    return work


def with_gradients(body: BodyData, given: Inputs) -> Callable[[], object]:
    model = BodyModel(body)
    betas, pose, translation = (torch.tensor(part, dtype=torch.float32, requires_grad=True) for part in given)
    return lambda: torch.autograd.grad(model(betas, pose, translation).vertices.sum(), (betas, pose, translation))


def in_smplx(path: Path, body: BodyData, given: Inputs) -> Callable[[], torch.Tensor]:
    import smplx

    model = smplx.SMPL(str(path), num_betas=body.n_betas, batch_size=len(given[0]))
    betas, pose, translation = (torch.tensor(part, dtype=torch.float32) for part in given)

    def work() -> torch.Tensor:
        with torch.no_grad():
            posed = model(betas=betas, global_orient=pose[:, 0], body_pose=pose[:, 1:].flatten(1), transl=translation)
        return posed.vertices

    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 128])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cuda", action="store_true", help="also measure on the graphics card")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    body = open_body()
    columns = ["T-pose, NumPy", "posed, NumPy", "posed, torch", "with gradients, torch", "posed, smplx"]
    columns += ["posed, torch on CUDA"] if arguments.cuda else []
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "open_body.pkl"
        save_for_smplx(body, path)
        for n in arguments.batches:
            given = inputs(body, n)
            works = [
                lambda given=given: body.shaped(given[0]),
                lambda given=given: body.posed(*given),
                in_torch(body, given),
                with_gradients(body, given),
                in_smplx(path, body, given),
            ]
            works += [in_torch(body, given, "cuda")] if arguments.cuda else []
            expected = works[1]()[0]
            for other in (works[2], works[4], *works[5:]):
                assert abs(other().cpu().numpy() - expected).max() < 1e-5
            rows.append([str(n), *(spread(rate(work, n, arguments.repeats), 0) for work in works)])
    print_rows(["bodies in a batch", *columns], rows)
    print(
        f"\nBodies a second on one core; {body.n_vertices:,} vertices, {body.n_betas} betas, float32; "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"numpy {np.__version__}, torch {torch.__version__}; {arguments.repeats} repeats."
    )


if __name__ == "__main__":
    main()
