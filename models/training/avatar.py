"""Training of the avatar: rendered silhouettes of one to four views -> betas and pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.body import BodyData
from models.inference.images import INSIDE, fit_silhouette
from models.networks.avatar import outline
from models.networks.blocks import HEIGHT, VIEWS, WIDTH
from models.networks.mirror import IN_A_MIRROR, mirrored_pose
from models.training.augment import roughen
from models.training.loop import Network
from models.training.scans import MEASURED, Store

# Chance of each number of views in training; all four are most usual in a study.
VIEW_COUNTS = (0.15, 0.2, 0.15, 0.5)
LEAST_PIXELS = 200  # of a person; on less there is nobody
STATURE_ERROR_M = 0.005  # SD: what people say, and stadiometers read


@dataclass(frozen=True)
class ShapeMetric:
    """What errors of betas are worth: root (K,K) makes of them vertex errors in mm (their root mean square)."""

    root: Tensor

    @classmethod
    def of(cls, body: BodyData) -> ShapeMetric:
        directions = body.shapedirs.reshape(-1, body.n_betas).astype(np.float64)
        gram = directions.T @ directions / body.n_vertices
        return cls(torch.from_numpy(1000 * np.linalg.cholesky(gram).T).float())

    def millimetres(self, error: Tensor) -> Tensor:
        """error (B,K) of betas -> (B,) root mean square distance of the vertices."""
        return (error @ self.root.to(error.device).T).square().sum(1).add(1e-6).sqrt()


@dataclass(frozen=True)
class QuadraticTape:
    """Measurements as quadratic functions of betas, fitted to people: close enough to train with, and differentiable.

    constant (M,), linear (M,K), quadratic (M,K,K), scale (M,): the SD of each measurement.
    """

    constant: Tensor
    linear: Tensor
    quadratic: Tensor
    scale: Tensor

    @classmethod
    def fit(cls, betas: np.ndarray, measured: np.ndarray) -> QuadraticTape:
        """betas (N,K), measured (N,M). Squares and products are taken of the first dozen betas, which move most."""
        n, k = betas.shape
        few = min(k, 12)
        pairs = [(i, j) for i in range(few) for j in range(i, few)]
        design = np.column_stack([np.ones(n), betas, *[betas[:, i] * betas[:, j] for i, j in pairs]])
        ridge = np.r_[np.full(1 + k, 1e-3), np.ones(len(pairs))]  # of few people only the linear part is believed
        found = np.linalg.solve(design.T @ design + np.diag(ridge), design.T @ measured)
        quadratic = np.zeros((measured.shape[1], k, k))
        for row, (i, j) in enumerate(pairs):
            quadratic[:, i, j] = found[1 + k + row]
        parts = (found[0], found[1 : 1 + k].T, quadratic, measured.std(0))
        return cls(*(torch.from_numpy(np.ascontiguousarray(part)).float() for part in parts))

    def __call__(self, betas: Tensor) -> Tensor:
        """(B,K) -> (B,M)."""
        constant, linear, quadratic = (part.to(betas.device) for part in (self.constant, self.linear, self.quadratic))
        return constant + betas @ linear.T + torch.einsum("bi,mij,bj->bm", betas, quadratic, betas)


class SilhouetteBatches:
    """Makes the batches of a store of silhouettes: fitted, roughened, with views left out.

    bodies (N,): whose scan each one is, if there are several of the same body; half of the samples then take each view
    from any of its scans, for poses differ from view to view and the body does not.
    """

    def __init__(self, store: Store, bodies: np.ndarray | None = None, *, rough: bool = True, drop_views: bool = True):
        self.store, self.rough, self.drop_views = store, rough, drop_views
        self._bodies, self._scans = bodies, None if bodies is None else _by_body(bodies)

    def __call__(self, numbers: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        mirrored = rng.random(len(numbers)) < 0.5 if self.rough else np.zeros(len(numbers), bool)
        scans = np.repeat(numbers[:, None], len(VIEWS), 1)
        if self._scans is not None:
            for row in np.flatnonzero(rng.random(len(numbers)) < 0.5):
                scans[row] = rng.choice(self._scans[self._bodies[numbers[row]]], len(VIEWS))
        silhouettes, boxes, present = silhouettes_in(
            self.store, scans, rng, rough=self.rough, drop_views=self.drop_views, mirrored=mirrored
        )
        truth = {name: self.store.numbers[name][numbers] for name in ("betas", "measured")}
        pose = self.store.numbers["pose"][scans, np.arange(len(VIEWS))]
        turned = mirrored_pose(torch.from_numpy(pose)).numpy()
        truth["pose"] = np.where(mirrored[:, None, None, None], turned, pose)
        stature = truth["measured"][:, MEASURED.index("stature_cm")] / 100
        if self.rough:
            stature = stature + rng.normal(0, STATURE_ERROR_M, len(numbers)).astype(np.float32)
        arrays = {"silhouettes": silhouettes, "boxes": boxes, "present": present, "stature": stature, **truth}
        return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in arrays.items()}


def _by_body(bodies: np.ndarray) -> dict[int, np.ndarray]:
    order = np.argsort(bodies, kind="stable")
    found, first = np.unique(bodies[order], return_index=True)
    return dict(zip(found.tolist(), np.split(order, first[1:]), strict=True))


def silhouettes_in(
    store: Store,
    scans: np.ndarray,
    rng: np.random.Generator,
    *,
    rough: bool,
    drop_views: bool,
    mirrored: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scans as the networks take them: silhouettes (N,4,256,192), boxes (N,4,4), present (N,4).

    scans (N,4): the number of the scan that each view is taken from. rough: with the errors that segmenters make, where
    none has made any; drop_views: only one to four of the views, drawn at random. mirrored (N,): which are seen as in a
    mirror, where left is right; bodies have the same shape there.
    """
    n = len(scans)
    silhouettes = np.zeros((n, len(VIEWS), HEIGHT, WIDTH), np.float32)
    boxes = np.zeros((n, len(VIEWS), 4), np.float32)
    present = np.zeros((n, len(VIEWS)), bool)
    for row in range(n):
        for view in _some_views(rng) if drop_views else range(len(VIEWS)):
            shown = IN_A_MIRROR[view] if mirrored[row] else view
            picture = store.picture(int(scans[row, shown]), shown)
            if mirrored[row]:
                picture = np.ascontiguousarray(picture[:, ::-1])
            if rough and not store.segmented[scans[row, shown]]:
                picture = roughen(picture, rng)
            if (picture >= INSIDE).sum() < LEAST_PIXELS:
                continue
            silhouettes[row, view], boxes[row, view] = fit_silhouette(picture)
            present[row, view] = True
    return silhouettes, boxes, present


def _some_views(rng: np.random.Generator) -> list[int]:
    count = 1 + int(rng.choice(len(VIEWS), p=VIEW_COUNTS))
    return sorted(int(view) for view in rng.permutation(len(VIEWS))[:count])


class AvatarLoss:
    """Vertex errors, measurements and poses together, each in units of a few per cent of its spread."""

    def __init__(self, metric: ShapeMetric, tape: QuadraticTape, *, girths: float = 1.0, pose: float = 1.0):
        self.metric, self.tape, self.girths, self.pose = metric, tape, girths, pose

    def __call__(self, network: Network, given: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        seen = network(given["silhouettes"], given["boxes"], given["present"], given["stature"])
        vertices = self.metric.millimetres(seen.betas - given["betas"])
        scale = self.tape.scale.to(vertices.device)
        taped = ((self.tape(seen.betas) - self.tape(given["betas"])) / scale).abs().mean()
        turned = (seen.pose - given["pose"]).norm(dim=3)[given["present"]].mean()
        value = vertices.mean() / 10 + self.girths * 10 * taped + self.pose * 10 * turned
        return value, {
            "vertices_mm": float(vertices.detach().mean()),
            "taped_sd": float(taped.detach()),
            "pose_degrees": float(turned.detach()) * 180 / np.pi,
        }


@torch.no_grad()
def begin(network: nn.Module, batches: SilhouetteBatches, *, looked_at: int = 12_000) -> None:
    """What the network knows before it learns: means and spreads, betas by stature, components and readings of views.

    batches: of whole scans. looked_at: how many scans the components and readings are made of, the first ones.
    """
    betas, pose = batches.store.numbers["betas"], batches.store.numbers["pose"]
    stature = batches.store.numbers["measured"][:, MEASURED.index("stature_cm")] / 100
    for name, value in {
        "betas_mean": betas.mean(0), "betas_sd": betas.std(0),
        "pose_mean": pose.mean(0), "pose_sd": pose.std(0).clip(1e-3),
        "stature_mean": stature.mean(), "stature_sd": stature.std(),
    }.items():  # fmt: skip
        getattr(network, name).copy_(torch.as_tensor(value))
    standard = (betas - betas.mean(0)) / betas.std(0)
    tall = np.column_stack([np.ones(len(stature)), (stature - stature.mean()) / stature.std()])
    by_stature = np.linalg.lstsq(tall, standard, rcond=None)[0]
    network.by_stature.weight.copy_(torch.from_numpy(by_stature[1][:, None]))
    network.by_stature.bias.copy_(torch.from_numpy(by_stature[0]))
    few = np.arange(min(looked_at, len(betas)))
    outlines = []
    for first in range(0, len(few), 64):
        given = batches(few[first : first + 64], np.random.default_rng(first))
        outlines.append(outline(given["silhouettes"], given["boxes"]))
    left = torch.from_numpy((standard - tall @ by_stature)[few].astype(np.float32))
    network.encoder.begin(torch.cat(outlines), left)
    # So the readings alone are what the network says at first.
    last = network.shape[-1]
    last.weight.mul_(0.1)
    last.bias.zero_()


@torch.no_grad()
def evaluate(network: nn.Module, store: Store, metric: ShapeMetric, tape: QuadraticTape) -> dict[str, float]:
    """Errors on the scans of a store, all views there, silhouettes as they are."""
    batches = SilhouetteBatches(store, rough=False, drop_views=False)
    device = next(network.parameters()).device
    errors: dict[str, list[Tensor]] = {}
    for first in range(0, len(store), 32):
        numbers = np.arange(first, min(first + 32, len(store)))
        given = {name: value.to(device) for name, value in batches(numbers, np.random.default_rng(0)).items()}
        seen = network(given["silhouettes"], given["boxes"], given["present"], given["stature"])
        taped = (tape(seen.betas) - given["measured"]).abs()
        found = {"held_out_vertices_mm": metric.millimetres(seen.betas - given["betas"])}
        found["held_out_pose_degrees"] = torch.rad2deg((seen.pose - given["pose"]).norm(dim=3).mean((1, 2)))
        found |= {f"held_out_{name}": taped[:, i] for i, name in enumerate(MEASURED)}
        for name, value in found.items():
            errors.setdefault(name, []).append(value)
    return {name: float(torch.cat(values).mean()) for name, values in errors.items()}
