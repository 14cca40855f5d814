"""How fast bodies are drawn: silhouettes, normals and photos, on one core, by resolution and batch.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/rendering.py [--repeats 7] [--torch]
        [--prototype FOLDER]

--prototype: a folder with another `rasterizer.py` (functions project, sil, vnormals, raster), which is then timed on
the same bodies, in turn with ours. --torch: the tensor rasteriser too, on CUDA if there is one. Rates are of processor
time on one thread, the best of the repeats: on a busy machine wall-clock time measures the neighbours.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from measuring import print_machine, print_rows

from models.body.files import open_body
from models.render import raster
from models.render.camera import Camera, phone_camera
from models.render.capture import draw_capture, render_photo, render_scan, render_silhouettes
from models.render.pose import VIEWS, draw_pose, stand

SMALL = (256, 192)
SEED = 1


def best_rate(work: Callable[[], object], many: int, repeats: int) -> float:
    """How many of `many` pieces of work are done a second of processor time, in the best of several runs."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return many / min(seconds)


def people(count: int) -> tuple[np.ndarray, np.ndarray, list[Camera]]:
    """Bodies (count, V, 3) standing in all views, their faces, and a camera for each that they nearly fill."""
    body = open_body()
    rng = np.random.default_rng(SEED)
    low, high = body.span
    meshes, cameras = [], []
    for n in range(count):
        betas = np.clip(rng.normal(0, 0.8, body.n_betas), 0.5 * low, 0.5 * high)
        pose = stand(body, betas, draw_pose(rng, VIEWS[n % 4]))
        vertices = body.posed(betas[None], pose[None])[0][0]
        vertices[:, 1] -= vertices[:, 1].min()
        meshes.append(vertices)
        cameras.append(phone_camera(SMALL, height=float(np.ptp(vertices[:, 1])) / 2, distance=1.6))
    return np.array(meshes), body.faces, cameras


def beside_the_prototype(folder: Path, repeats: int) -> list[tuple[str, ...]]:
    """The prototype and ours on the same bodies, filling as much of the picture, in turn."""
    sys.path.insert(0, str(folder))
    import rasterizer as prototype

    meshes, faces, cameras = people(24)
    height, width = SMALL
    focal = cameras[0].focal
    normals = np.empty_like(meshes[0])

    def placed(n: int) -> np.ndarray:
        return prototype.project(meshes[n], 0.0, height, width, dist=1.6, f=focal, cy=cameras[n].position[1])

    def their_silhouettes() -> np.ndarray:
        out = np.zeros((len(meshes), height, width), np.uint8)
        for n in range(len(meshes)):
            prototype.sil(placed(n), faces, height, width, out[n])
        return out

    def their_normals() -> np.ndarray:
        out = np.zeros((len(meshes), height, width, 3))
        for n in range(len(meshes)):
            prototype.vnormals(meshes[n], faces, normals)
            prototype.raster(placed(n), faces, normals, height, width, np.full((height, width), 1e9), out[n])
        return out

    both = {
        "silhouettes": (their_silhouettes, lambda: raster.silhouettes(meshes, faces, cameras)),
        "normal maps": (their_normals, lambda: raster.normal_maps(meshes, faces, cameras)),
    }
    rows = []
    for what, (theirs, ours) in both.items():
        there, here = np.asarray(theirs()).reshape(len(meshes), height, width, -1).any(3), None
        here = np.asarray(ours()).reshape(len(meshes), height, width, -1).any(3)
        if (there != here).mean() > 1e-3:
            raise SystemExit(f"The prototype's {what} differ from ours in {(there != here).mean():.2%} of the pixels.")
        rates = [(best_rate(theirs, len(meshes), 1), best_rate(ours, len(meshes), 1)) for _ in range(repeats)]
        first, second = (max(column) for column in zip(*rates, strict=True))
        rows.append((what, f"{first:,.0f}", f"{second:,.0f}"))
    return rows


def by_resolution(repeats: int) -> list[tuple[str, ...]]:
    meshes, faces, cameras = people(12)
    rows = []
    for height in (128, 256, 512, 768, 1024):
        size = (height, height * 3 // 4)
        some = [camera.resized(size) for camera in cameras]
        rows.append(
            (
                f"{size[0]} x {size[1]}",
                f"{best_rate(lambda c=some: raster.silhouettes(meshes, faces, c), len(meshes), repeats):,.0f}",
                f"{best_rate(lambda c=some: raster.silhouettes(meshes, faces, c, supersample=2), 12, repeats):,.0f}",
                f"{best_rate(lambda c=some: [raster.depth(m, faces, k) for m, k in zip(meshes, c, strict=True)], 12, repeats):,.0f}",  # noqa: E501
                f"{best_rate(lambda c=some: raster.normal_maps(meshes, faces, c), len(meshes), repeats):,.0f}",
            )
        )
    return rows


def photos(repeats: int) -> list[tuple[str, ...]]:
    """Captures of all kinds, from betas to JPEG: posing, drawing, shading and the phone's pipeline."""
    body = open_body()
    rng = np.random.default_rng(SEED)
    low, high = body.span
    captures = [draw_capture(rng) for _ in range(16)]
    betas = [np.clip(rng.normal(0, 0.8, body.n_betas), 0.5 * low, 0.5 * high) for _ in captures]
    rows = []
    for height in (256, 512, 768, 1024):
        size = (height, height * 3 // 4)

        def each(size: tuple[int, int] = size) -> None:
            for n, capture in enumerate(captures):
                render_photo(body, betas[n], capture, VIEWS[n % 4], size=size)

        def scans(size: tuple[int, int] = size) -> None:
            for n, capture in enumerate(captures[:4]):
                render_scan(body, betas[n], capture, size=size)

        def outlines(size: tuple[int, int] = size) -> None:
            for n, capture in enumerate(captures[:4]):
                render_silhouettes(body, betas[n], capture, size=size)

        rows.append(
            (
                f"{size[0]} x {size[1]}",
                f"{best_rate(each, len(captures), repeats):.1f}",
                f"{best_rate(scans, 16, repeats):.1f}",
                f"{best_rate(outlines, 16, repeats):.0f}",
            )
        )
    return rows


def on_tensors(repeats: int) -> list[tuple[str, ...]]:
    import torch

    from models.render import torch_raster

    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    meshes, faces, cameras = people(32)
    tensors, corners = torch.from_numpy(meshes).to(device), torch.from_numpy(faces).to(device)
    rows = []
    for batch in (1, 4, 16, 32):

        def draw(batch: int = batch) -> None:
            torch_raster.silhouettes(tensors[:batch], corners, cameras[:batch])
            if device == "cuda":
                torch.cuda.synchronize()

        draw()
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter() if device == "cuda" else time.process_time()
            draw()
            seconds.append((time.perf_counter() if device == "cuda" else time.process_time()) - start)
        rows.append((device, str(batch), f"{batch / min(seconds):,.0f}"))
    return rows


def by_batch(repeats: int) -> list[tuple[str, ...]]:
    meshes, faces, cameras = people(64)
    return [
        (str(n), f"{best_rate(lambda n=n: raster.silhouettes(meshes[:n], faces, cameras[:n]), n, repeats):,.0f}")
        for n in (1, 4, 16, 64)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--prototype", type=Path)
    parser.add_argument("--torch", action="store_true")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{open_body().n_vertices:,} vertices; best of {arguments.repeats}, by processor time of one thread\n")
    if arguments.prototype:
        print_rows(
            ("256 x 192, a second", "prototype", "ours"), beside_the_prototype(arguments.prototype, arguments.repeats)
        )
        print()
    head = ("a second", "silhouettes", "anti-aliased (2 x 2)", "depth", "normals")
    print_rows(head, by_resolution(arguments.repeats))
    print()
    print_rows(("bodies in a batch", "silhouettes a second"), by_batch(arguments.repeats))
    print()
    print_rows(("a second", "photos", "photos of whole scans", "silhouettes of scans"), photos(arguments.repeats))
    if arguments.torch:
        print()
        print_rows(("tensors on", "batch", "silhouettes a second"), on_tensors(arguments.repeats))
    print_machine(arguments.repeats)


if __name__ == "__main__":
    main()
