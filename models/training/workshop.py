"""A folder in which a recipe is followed, step by step: people, scans, networks, checkpoints."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from models.body import open_body
from models.fit import fit_bodies
from models.networks import build
from models.render.background import BACKGROUND_FAMILIES
from models.render.capture import FAULTS
from models.training import avatar, bodyfat, segmenter
from models.training.loop import Tell, learnt, train
from models.training.nhanes import DATASET, REFERENCE, read_adults
from models.training.package import describe, write_packaged
from models.training.people import bodies_of, draw_people
from models.training.recipe import Recipe
from models.training.scans import MEASURED, Scan, Store, photos_of, silhouettes_of, write_store
from models.training.split import Part, part_of

Told = Callable[[str], None]
TRAINING, HELD_OUT = "training", "held-out"
LEARNT_FROM: tuple[Part, ...] = ("training", "choice")  # and never "test"
SEGMENTER, AVATAR, ESTIMATOR = "unet-1", "silhouette-avatar-1", "body-fat-1"


@dataclass(frozen=True)
class Bodies:
    """People with their betas, in a file. seed: of whatever is drawn of their scans."""

    path: Path
    seed: int

    def load(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """betas (N,K) float32, sex (N,) of "F" and "M", age (N,) in years."""
        return _loaded(self.path)

    def __len__(self) -> int:
        return len(self.load()[0])


@functools.lru_cache(maxsize=4)
def _loaded(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return file["betas"], file["sex"], file["age"]


@dataclass(frozen=True)
class SilhouettesOf:
    """Scan n is one of body n, seen without a photo; after the last body comes another scan of each."""

    bodies: Bodies

    def __call__(self, number: int) -> Scan:
        betas, sex, age = self.bodies.load()
        rng, body = np.random.default_rng([self.bodies.seed, 11, number]), number % len(betas)
        return silhouettes_of(betas[body], rng, sex=str(sex[body]), age=float(age[body]))


@dataclass(frozen=True)
class PhotosOf:
    """Scan n is one of body `first` + n, in photos; `faulty` of them have a bad capture."""

    bodies: Bodies
    families: tuple[str, ...] = BACKGROUND_FAMILIES
    faulty: float = 0.0
    first: int = 0

    def __call__(self, number: int) -> Scan:
        betas, sex, age = self.bodies.load()
        number += self.first
        rng = np.random.default_rng([self.bodies.seed, 12, number])
        fault = str(rng.choice(FAULTS)) if rng.random() < self.faulty else None
        return photos_of(
            betas[number], rng, sex=str(sex[number]), age=float(age[number]), families=self.families, fault=fault
        )


@dataclass(frozen=True)
class Measured:
    """Scans of measured people, true silhouettes and such as the segmenter saw in photos, with what is known of them.

    person (N,): the row of `people` that a scan shows.
    """

    store: Store
    labels: bodyfat.Labels
    person: np.ndarray
    people: pd.DataFrame

    def scans(self, people: np.ndarray, *, segmented: bool = False) -> np.ndarray:
        """The numbers of the scans of the people whose rows are given; `segmented`: of those that the segmenter saw."""
        return np.flatnonzero(np.isin(self.person, people) & (self.store.segmented | (not segmented)))


class Workshop:
    """The steps. Each does what it needs first, and goes on where it was broken off.

    data: folder of the NHANES files, which only the estimator's labels need.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Recipe,
        *,
        data: Path | None = None,
        device: str = "cpu",
        workers: int = 2,
        tell: Told = print,
    ):
        self.folder, self.recipe, self.data = folder, recipe, data
        self.device, self.workers, self.tell = device, workers, tell

    # People and scans

    def people(self, part: str) -> Bodies:
        """Synthetic people, drawn and given bodies."""
        held_out = part == HELD_OUT
        seed = 2 * self.recipe.seed + held_out
        wanted = self.recipe.people.held_out if held_out else self.recipe.people.learnt_from
        path = self.folder / "people" / f"{part}-{seed}-{wanted}.npz"
        if not path.exists():
            self.tell(f"{wanted:,} people and their bodies ({part})")
            body = open_body()
            people, betas = bodies_of(draw_people(round(1.1 * wanted) + 20, seed, body), body, seed)
            _write_bodies(path, betas[:wanted], people[:wanted])
        return Bodies(path, seed)

    def silhouettes(self, part: str) -> Store:
        """True silhouettes: of those to learn from several scans each."""
        bodies = self.people(part)
        count = len(bodies) * (self.recipe.people.scans if part == TRAINING else 1)
        return Store(self._written("silhouettes", part, count, SilhouettesOf(bodies), bodies))

    def photos(self, part: str) -> Store:
        """Photos for the segmenter: to learn from, and of other people in front of other kinds of background."""
        bodies, photos = self.people(part), self.recipe.photos
        families = self._families(part)
        maker = PhotosOf(bodies, families, photos.faulty)
        return Store(self._written("photos", part, min(photos.scans, len(bodies)), maker, bodies, families))

    def segmented(self, part: str) -> Store:
        """Silhouettes that the segmenter saw in photos without a fault, of people whom it was not trained on."""
        bodies, families = self.people(part), self._families(part)
        first = self.recipe.photos.scans if part == TRAINING else 0
        maker = PhotosOf(bodies, families, first=first)
        count = min(self.recipe.photos.segmented, len(bodies) - first)
        photos = self._written("captures", part, count, maker, bodies, families)
        return Store(segmented=self._segmented(photos, part))

    def measured(self, parts: tuple[Part, ...], *, rendered: str) -> Measured:
        """The NHANES adults of these parts, each with several bodies and scans."""
        people = self._adults()
        people = people[people["part"].isin(parts)].reset_index(drop=True)
        variants = self.recipe.measured.variants
        path = self.folder / "people" / f"{rendered}-{self.recipe.seed}-{variants}.npz"
        if not path.exists():
            self.tell(f"bodies of {len(people):,} measured people, {variants} each")
            self._fit_measured(path, people, variants)
        bodies = Bodies(path, 1000 + self.recipe.seed)
        with np.load(path, allow_pickle=False) as file:
            person = file["person"]
        true = self._written("silhouettes", rendered, len(bodies), SilhouettesOf(bodies), bodies)
        shown = len(bodies) // variants * min(variants, self.recipe.measured.photographed)
        photos = self._written("captures", rendered, shown, PhotosOf(bodies), bodies, BACKGROUND_FAMILIES)
        store = Store(true, segmented=self._segmented(photos, rendered))
        person = np.concatenate([person, person[:shown]])
        profile = people[["sex", "age", "stature_cm", "weight_kg"]].assign(
            sex=people["sex"].eq("M").astype(float), stature_cm=people["stature_cm"] / 100
        )
        labels = bodyfat.Labels(profile.to_numpy(np.float32), people[REFERENCE].to_numpy(np.float32))
        return Measured(store, labels.of(person), person, people)

    def _adults(self) -> pd.DataFrame:
        if self.data is None:
            raise ValueError("The estimator learns from NHANES: name the folder of its files with --nhanes.")
        people = read_adults(self.data)
        return people.assign(part=[part_of(DATASET, subject) for subject in people["subject"]])

    def _fit_measured(self, path: Path, people: pd.DataFrame, variants: int) -> None:
        """What was not measured of a person differs between their bodies; the first variants of all come first."""
        asked = people.drop(columns=[REFERENCE, "part"])  # no body knows what is to be found out
        fits = [fit_bodies(asked, open_body(), seed=self.recipe.seed + variant) for variant in range(variants)]
        there = ~np.any([fitted.refused for fitted in fits], axis=0)
        rows = np.tile(np.flatnonzero(there), variants)
        betas = np.concatenate([fitted.betas[there] for fitted in fits])
        _write_bodies(path, betas, people.iloc[rows], person=rows)

    def _families(self, part: str) -> tuple[str, ...]:
        held_out = self.recipe.photos.held_out_families
        return tuple(family for family in BACKGROUND_FAMILIES if (family in held_out) == (part == HELD_OUT))

    def _written(
        self, kind: str, part: str, count: int, maker: Any, bodies: Bodies, families: tuple[str, ...] = ()
    ) -> Path:
        folder = self.folder / kind / part
        about = {"kind": kind, "bodies": bodies.path.name}
        if families:
            about |= {"families": families, "faulty": maker.faulty, "first": maker.first}
        for done in write_store(folder, count, maker, about=about, workers=self.workers):
            self.tell(f"{kind} ({part}): {done:,} of {count:,} scans")
        return folder

    def _segmented(self, photos: Path, part: str) -> Path:
        folder = self.folder / "segmented" / part
        for done in segmenter.write_segmented(self.segmenter(), photos, folder, device=self.device):
            self.tell(f"segmented ({part}): {done:,} files")
        return folder

    # Networks

    def segmenter(self) -> nn.Module:
        """Photo -> silhouette."""
        stage, network = self.recipe.segmenter.schedule(), self.network(SEGMENTER)
        if (done := learnt(self.folder / "segmenter", network)) is not None:
            return done
        photos, held_out = self.photos(TRAINING), self.photos(HELD_OUT)
        return train(
            network, np.arange(4 * len(photos)), segmenter.PhotoBatches(photos), segmenter.segmenter_loss,
            stage, self.folder / "segmenter", seed=self.recipe.seed, device=self.device,
            validate=lambda trained: segmenter.evaluate(trained, held_out), tell=self._progress("segmenter"),
        )  # fmt: skip

    def avatar(self) -> nn.Module:
        """Silhouettes -> betas and pose, from silhouettes as they are."""
        return self._avatar("avatar", self.silhouettes, None)

    def avatar_photos(self) -> nn.Module:
        """The avatar, gone on with the silhouettes that the segmenter sees as well."""

        def both(part: str) -> Store:
            if part == HELD_OUT:
                return self.segmented(part)
            self.segmented(part)
            return Store(self.folder / "silhouettes" / part, segmented=self.folder / "segmented" / part)

        return self._avatar("avatar_photos", both, self.avatar())

    def _avatar(self, name: str, scans: Callable[[str], Store], before: nn.Module | None) -> nn.Module:
        body = open_body()
        network = self.network(AVATAR, n_betas=body.n_betas)
        if (done := learnt(self.folder / name, network)) is not None:
            return done
        known, held_out = scans(TRAINING), scans(HELD_OUT)
        metric = avatar.ShapeMetric.of(body)
        tape = avatar.QuadraticTape.fit(known.numbers["betas"], known.numbers["measured"])
        if before is None:
            avatar.begin(network, avatar.SilhouetteBatches(known, drop_views=False))
        else:
            network.load_state_dict(before.state_dict())
        batches = avatar.SilhouetteBatches(known, self._synthetic(len(known), TRAINING))
        return train(
            network, self._shown(known, np.arange(len(known))), batches, avatar.AvatarLoss(metric, tape),
            getattr(self.recipe, name).schedule(), self.folder / name, seed=self.recipe.seed, device=self.device,
            validate=lambda trained: avatar.evaluate(trained, held_out, metric, tape), tell=self._progress(name),
        )  # fmt: skip

    def _shown(self, store: Store, scans: np.ndarray) -> np.ndarray:
        """The numbered scans, those that the segmenter saw repeated: such is what the networks will be given."""
        return np.repeat(scans, np.where(store.segmented[scans], self.recipe.photos.repeated, 1))

    def _synthetic(self, count: int, part: str) -> np.ndarray:
        """The numbers of the people of `count` scans: all true silhouettes, then those that the segmenter saw."""
        people = len(self.people(part))
        true = people * (self.recipe.people.scans if part == TRAINING else 1)
        first = self.recipe.photos.scans if part == TRAINING else 0
        rows = np.arange(count)
        return np.where(rows < true, rows % people, first + rows - true)

    def estimator_shapes(self) -> nn.Module:
        """Stage 1: volume and girths, beginning with the avatar's encoder."""
        network = self.network(ESTIMATOR)
        if (done := learnt(self.folder / "estimator_shapes", network)) is not None:
            return done
        bodyfat.take_encoder(network, self.avatar_photos())
        parts = {part: self._shapes(part) for part in (TRAINING, HELD_OUT)}
        known = parts[TRAINING].store
        scale = bodyfat.ShapeScale.of(known)
        bodyfat.set_scales(network, self.measured(LEARNT_FROM, rendered="measured").labels)
        held_out = parts[HELD_OUT]
        return train(
            network, self._shown(known, np.arange(len(known))), parts[TRAINING], bodyfat.ShapeLoss(scale),
            self.recipe.estimator_shapes.schedule(), self.folder / "estimator_shapes", seed=self.recipe.seed,
            device=self.device, tell=self._progress("estimator_shapes"),
            validate=lambda trained: bodyfat.shape_errors(trained, held_out.store, held_out.labels, scale),
        )  # fmt: skip

    def _shapes(self, part: str) -> bodyfat.ScanBatches:
        """Scans of synthetic people, whose mass and BFP are nobody's."""
        self.segmented(part)
        store = Store(self.folder / "silhouettes" / part, segmented=self.folder / "segmented" / part)
        _, sex, age = self.people(part).load()
        rows = self._synthetic(len(store), part)
        stature = store.numbers["measured"][:, MEASURED.index("stature_cm")] / 100
        nothing = np.full(len(store), np.nan, np.float32)
        profile = np.column_stack([sex[rows] == "M", age[rows], stature, nothing]).astype(np.float32)
        return bodyfat.ScanBatches(store, bodyfat.Labels(profile, nothing))

    def estimator_labels(self) -> nn.Module:
        """Stage 2: people with a DXA reading."""
        return self._estimator("estimator_labels", self.estimator_shapes, labelled_only=True)

    def estimator_unlabelled(self) -> nn.Module:
        """Stage 3: people without one as well."""
        return self._estimator("estimator_unlabelled", self.estimator_labels, labelled_only=False)

    def calibrated(self) -> nn.Module:
        """The estimator on the line and with the SDs that hold for the people who were kept to choose by, in whole
        scans as the segmenter saw them, with the profile."""
        network = self.estimator_unlabelled()
        measured = self.measured(LEARNT_FROM, rendered="measured")
        choice = np.flatnonzero(measured.people["part"].eq("choice") & measured.people[REFERENCE].notna())
        scans = measured.scans(choice, segmented=True)
        mean, sd = bodyfat.predict(network, measured.store, measured.labels, scans)
        fit = bodyfat.calibrate(network, measured.labels.bfp[scans], mean, sd)
        self.tell(f"calibrated: BFP times {fit.slope:.3f} plus {fit.intercept:.2f}; SDs times {fit.factor:.3f}")
        return network

    def package(self, folder: Path, version: int, metrics: Mapping[str, Any]) -> list[Path]:
        """Write the three checkpoints. metrics: by kind, what was measured of them (see `models.checkpoints.card`)."""
        recipe, body = self.recipe, open_body()
        learnt_from = self._adults()
        subjects = learnt_from.loc[learnt_from["part"].isin(LEARNT_FROM), "subject"].tolist()
        figures = {
            "learnt_from": recipe.photos.scans, "people": recipe.people.learnt_from,
            "segmented": recipe.photos.segmented, "faulty": recipe.photos.faulty,
            "held_out": ", ".join(recipe.photos.held_out_families).replace("_", " "),
        }  # fmt: skip
        kinds: dict[str, tuple[str, dict[str, Any], Callable[[], nn.Module], list[str]]] = {
            "segmenter": (SEGMENTER, {}, self.segmenter, []),
            "avatar": (AVATAR, {"n_betas": body.n_betas}, self.avatar_photos, []),
            "estimator": (ESTIMATOR, {}, self.calibrated, subjects),
        }
        written = []
        for kind, (architecture, hyperparameters, network, people) in kinds.items():
            said = describe(
                kind, version, architecture, hyperparameters, figures, subjects=people, metrics=metrics.get(kind, [])
            )
            written.append(write_packaged(folder, said, network()))
        return written

    def _estimator(self, name: str, before: Callable[[], nn.Module], *, labelled_only: bool) -> nn.Module:
        network = self.network(ESTIMATOR)
        if (done := learnt(self.folder / name, network)) is not None:
            return done
        network.load_state_dict(before().state_dict())
        measured = self.measured(LEARNT_FROM, rendered="measured")
        scale = bodyfat.ShapeScale.of(measured.store)
        labelled = measured.people[REFERENCE].notna()
        known = measured.people["part"].eq("training") & (labelled | (not labelled_only))
        held_out = measured.scans(np.flatnonzero(measured.people["part"].eq("choice") & labelled), segmented=True)
        loss = bodyfat.BodyFatLoss(scale)
        return train(
            network, self._shown(measured.store, measured.scans(np.flatnonzero(known))),
            bodyfat.ScanBatches(measured.store, measured.labels, twice=not labelled_only), loss,
            getattr(self.recipe, name).schedule(), self.folder / name, seed=self.recipe.seed, device=self.device,
            validate=lambda trained: bodyfat.errors(trained, measured.store, measured.labels, held_out),
            tell=self._progress(name), teacher=None if labelled_only else loss.follow,
        )  # fmt: skip

    def network(self, architecture: str, *, seed: int | None = None, **hyperparameters: Any) -> nn.Module:
        """A network that has learnt nothing yet."""
        torch.manual_seed(self.recipe.seed if seed is None else seed)
        return build(architecture, hyperparameters).train()

    def _progress(self, name: str) -> Tell:
        def told(step: int, total: int, figures: dict[str, float]) -> None:
            shown = " · ".join(f"{key} {value:.4g}" for key, value in figures.items())
            self.tell(f"{name}: step {step:,} of {total:,} · {shown}")

        return told


def _write_bodies(path: Path, betas: np.ndarray, people: pd.DataFrame, **more: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}")
    with partial.open("wb") as file:
        np.savez(file, betas=betas, age=people["age"].to_numpy(), sex=people["sex"].to_numpy(dtype="U1"), **more)
    partial.replace(path)
