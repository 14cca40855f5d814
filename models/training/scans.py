"""Rendered scans of bodies, kept on disk: what the networks are shown, and the truth beside it.

A store is a folder of parts, each a file of so many people; a part is written whole or not at all, so that work that
was broken off goes on where it was. Everything about a person follows from the store's seed and the person's number.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.body import open_body
from models.inference.images import encode_silhouette
from models.measure import measure
from models.networks.blocks import HEIGHT, VIEWS, WIDTH
from models.render.capture import FAULTS, Capture, draw_capture, render_scan, render_silhouettes
from models.render.pose import YAW

PEOPLE_A_PART = 100
SIZE = (HEIGHT, WIDTH)
GIRTHS = ("chest_cm", "waist_cm", "hip_cm", "thigh_cm", "arm_cm", "calf_cm", "neck_cm")
TRUTH = ("betas", "pose", "measured")  # of a body and its pose: what every store has
MEASURED = ("stature_cm", "volume_l", *GIRTHS)


@dataclass(frozen=True)
class Scan:
    """One scan as it is kept: PNG or JPEG bytes by view, and numbers by name."""

    pictures: dict[str, bytes]
    numbers: dict[str, np.ndarray]


def silhouettes_of(betas: np.ndarray, rng: np.random.Generator, *, sex: str, age: float) -> Scan:
    """A scan's true silhouettes, at the networks' size."""
    body = open_body()
    capture = draw_capture(rng, sex=sex, age=age)
    seen = render_silhouettes(body, betas, capture, size=SIZE)
    return Scan({view: encode_silhouette(seen[view]) for view in VIEWS}, _truth(betas, capture))


def photos_of(
    betas: np.ndarray,
    rng: np.random.Generator,
    *,
    sex: str,
    age: float,
    families: tuple[str, ...] | None = None,
    fault: str | None = None,
) -> Scan:
    """A scan's photos at the networks' size, as PNG of four channels: the photo and, last, the true silhouette."""
    body = open_body()
    chosen = {} if families is None else {"families": families}
    capture = draw_capture(rng, sex=sex, age=age, fault=fault, **chosen)
    seen = render_scan(body, betas, capture, size=SIZE)
    pictures = {}
    for view, photo in seen.items():
        layers = np.dstack([photo.image[..., ::-1], photo.silhouette])
        pictures[view] = cv2.imencode(".png", layers, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()
    shown = np.array([VIEWS.index(dict(capture.shown)[view]) for view in VIEWS], np.int8)
    what = {
        "tone": np.array(capture.appearance.tone, np.int8),
        "shown": shown,
        "fault": np.array(fault_number(fault), np.int8),
    }
    return Scan(pictures, _truth(betas, capture) | what)


def fault_number(fault: str | None) -> int:
    """0 for a good capture, else 1 + the place in `models.render.capture.FAULTS`."""
    return 0 if fault is None else 1 + FAULTS.index(fault)


def _truth(betas: np.ndarray, capture: Capture) -> dict[str, np.ndarray]:
    poses = np.array([from_the_front(capture.pose(view), view) for view in VIEWS])
    body = open_body()
    taped = measure(body.shaped(betas[None].astype(np.float64)), body)
    return {
        "betas": betas.astype(np.float32),
        "pose": poses.astype(np.float32),
        "measured": np.array([float(taped[name][0]) for name in MEASURED], np.float32),
    }


def from_the_front(pose: np.ndarray, view: str) -> np.ndarray:
    """The pose (24,3) of a view without the turn that shows this view to the camera."""
    from scipy.spatial.transform import Rotation

    turned = pose.copy()
    turned[0] = (Rotation.from_rotvec([0.0, -YAW[view], 0.0]) * Rotation.from_rotvec(pose[0])).as_rotvec()
    return turned


Maker = Callable[[int], Scan]


def write_store(folder: Path, count: int, maker: Maker, *, about: dict[str, Any], workers: int = 2) -> Iterator[int]:
    """Fill a store with the scans 0 to `count` - 1, in parallel; yields how many are there, part by part.

    about: what the store is made of; a folder that holds a store of something else is refused with a ValueError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "about.json"
    text = json.dumps(about, indent=2, sort_keys=True, default=str)
    if note.exists() and note.read_text(encoding="utf-8") != text:
        raise ValueError(f"{folder} holds scans of another making; choose another folder or empty it.")
    note.write_text(text, encoding="utf-8")
    parts = [range(first, min(first + PEOPLE_A_PART, count)) for first in range(0, count, PEOPLE_A_PART)]
    open_parts = [part for part in parts if not _part_path(folder, part).exists()]
    done = count - sum(map(len, open_parts))
    yield done
    write = functools.partial(_write_part, folder, maker)
    if workers == 1:
        for part in open_parts:
            done += write(part)
            yield done
        return
    with _one_thread_each(), ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_alone) as pool:
        for written in pool.map(write, open_parts):
            done += written
            yield done


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Workers that are started meanwhile have libraries that keep to one thread: each is one of several."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _alone() -> None:
    cv2.setNumThreads(1)


def _part_path(folder: Path, part: range) -> Path:
    return folder / f"part-{part.start:07d}-{len(part)}.npz"


def _write_part(folder: Path, maker: Maker, part: range) -> int:
    return write_scans(_part_path(folder, part), [maker(number) for number in part])


def write_scans(path: Path, scans: Sequence[Scan]) -> int:
    """One part of a store: all of these scans or, if that fails, none. Returns how many they are."""
    blobs = [scan.pictures[view] for scan in scans for view in VIEWS]
    ends = np.cumsum([len(blob) for blob in blobs])
    numbers = {name: np.stack([scan.numbers[name] for scan in scans]) for name in scans[0].numbers}
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        np.savez(file, pictures=np.frombuffer(b"".join(blobs), np.uint8), ends=ends, **numbers)
    os.replace(partial, path)
    return len(scans)


class Store:
    """The scans of folders, or of single parts, in memory, their pictures still encoded. numbers: name -> array over
    all scans, those that every part has. segmented (N,) bool: those of the folder `segmented`, which are
    what the segmenter saw in photos; they come last."""

    def __init__(self, *folders: Path, segmented: Path | None = None):
        everything = [*folders, *([] if segmented is None else [segmented])]
        parts = [[folder] if folder.is_file() else sorted(folder.glob("part-*.npz")) for folder in everything]
        for folder, found in zip(everything, parts, strict=True):
            if not found:
                raise ValueError(f"{folder} holds no scans.")
        paths = [path for found in parts for path in found]
        self._pictures: list[bytes] = []
        columns: dict[str, list[np.ndarray]] = {}
        marks: list[np.ndarray] = []
        for path in paths:
            with np.load(path, allow_pickle=False) as part:
                content, ends = part["pictures"].tobytes(), part["ends"]
                self._pictures += [content[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
                marks.append(np.full(len(ends) // len(VIEWS), segmented is not None and path in parts[-1]))
                for name in part.files:
                    if name not in ("pictures", "ends"):
                        columns.setdefault(name, []).append(part[name])
        self.numbers = {name: np.concatenate(found) for name, found in columns.items() if len(found) == len(paths)}
        self.segmented = np.concatenate(marks)

    def __len__(self) -> int:
        return len(self._pictures) // len(VIEWS)

    def picture(self, scan: int, view: int) -> np.ndarray:
        """(H,W) or (H,W,4) uint8, as it was put in."""
        content = self._pictures[scan * len(VIEWS) + view]
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
