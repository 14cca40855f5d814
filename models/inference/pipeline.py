"""The road of one scan through the networks: decode, segment, judge, avatar, tape, body fat.

Every scan goes through the networks alone, its views as one batch of four, or one view by itself. So the numbers do not
depend on which scans are processed together.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist

import numpy as np
import torch

from models.body import open_body
from models.checkpoints import Loaded, read_checkpoint
from models.errors import BodyRequestError, ModelFileError
from models.inference import quality
from models.inference.images import (
    Bytes,
    UnreadableImage,
    close_up,
    decode_photo,
    decode_silhouette,
    encode_silhouette,
    fit_silhouette,
    has_another_shape,
    is_as_usual,
    letterbox,
    middle,
    no_larger_than_needed,
)
from models.inference.scan import Finding, Predicted, ScanInput, ScanOutcome
from models.measure import MEASUREMENTS, measure
from models.networks.blocks import HEIGHT, VIEWS, WIDTH

KINDS = ("segmenter", "avatar", "estimator")
INTERVAL = 0.90  # probability of the interval around a predicted BFP
_HALF_WIDTH = NormalDist().inv_cdf((1 + INTERVAL) / 2)


@dataclass
class _Work:
    """One scan on its way: what is seen in each view, what is wrong, and how long the stages took."""

    scan: ScanInput
    silhouettes: dict[str, Bytes] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.timings[name] = self.timings.get(name, 0.0) + time.perf_counter() - start

    def indeterminate(self, otherwise: str = "") -> ScanOutcome:
        """The outcome of a scan of which nothing can be said, for what was found or else for the reason given."""
        reason = quality.explain(self.findings) or otherwise
        return ScanOutcome(self.scan.key, quality=tuple(self.findings), indeterminate=reason, timings=self.timings)

    def usable(self) -> list[str]:
        """The views in which nothing is wrong."""
        wrong = {finding.view for finding in self.findings}
        return [view for view in VIEWS if view in self.silhouettes and view not in wrong]


class Pipeline:
    """Segmenter, avatar and estimator together. Avatar or estimator may be missing: then so are their predictions."""

    def __init__(self, segmenter: Loaded, avatar: Loaded | None, estimator: Loaded | None):
        self.segmenter, self.avatar, self.estimator = segmenter, avatar, estimator
        self.body = open_body()
        for loaded in (segmenter, avatar, estimator):
            if loaded is not None:
                loaded.module.eval().requires_grad_(False)
        # As its photos are laid out, so that torch does not lay the weights out anew for every scan. No bit differs.
        segmenter.module.to(memory_format=torch.channels_last)
        if avatar is not None:
            betas = avatar.card.architecture.hyperparameters.get("n_betas")
            if betas != self.body.n_betas:
                raise ModelFileError(
                    f"The avatar {avatar.card.name}@{avatar.card.version} was made for a body with {betas} betas; "
                    f"{self.body.name} has {self.body.n_betas}.",
                    remedy="Use a checkpoint that was trained on this body model.",
                )

    @classmethod
    def load(cls, checkpoints: Mapping[str, Path]) -> Pipeline:
        """From kind -> path of a checkpoint; a segmenter is needed. Raises: ModelFileError."""
        loaded = {}
        for kind, path in checkpoints.items():
            loaded[kind] = read_checkpoint(path)
            if kind not in KINDS or loaded[kind].card.kind != kind:
                raise ModelFileError(f"{path} is a checkpoint of the kind '{loaded[kind].card.kind}', not '{kind}'.")
        if "segmenter" not in loaded:
            raise ModelFileError("No segmenter was given.", remedy="Name a checkpoint of the kind 'segmenter'.")
        return cls(loaded["segmenter"], loaded.get("avatar"), loaded.get("estimator"))

    @property
    def software(self) -> dict[str, str]:
        """What else than the checkpoints decides about the numbers."""
        import cv2

        return {
            "torch": torch.__version__, "opencv": cv2.__version__, "numpy": np.__version__,
            "body": str(self.body.card.get("sha256", self.body.name)),
        }  # fmt: skip

    def process(self, scans: Sequence[ScanInput]) -> list[ScanOutcome]:
        """The outcome of each scan, in the order given. A scan without a usable view is indeterminate."""
        with torch.inference_mode():
            return [self._process(scan) for scan in scans]

    def _process(self, scan: ScanInput) -> ScanOutcome:
        work = _Work(scan)
        self._see(work)
        views = work.usable()
        if not views or quality.badly_posed(work.findings):
            return work.indeterminate("no photo is left of this scan")
        with work.stage("keep"):
            kept = {view: encode_silhouette(work.silhouettes[view]) for view in views}
        seen = _seen(work, views)
        body = self._body(work, seen)
        if body is not None and self._strangeness(body) > 1 and (other := self._without_which_one_fits(work, seen)):
            seen, body, view = other
            work.findings.append(Finding("inconsistent", view))
        predictions: dict[str, Predicted] = {}
        if body is not None:
            try:
                self._tape(work, body, predictions)
            except BodyRequestError as error:
                work.findings.append(Finding("no body", detail=error.what))
                return work.indeterminate()
        self._body_fat(work, seen, predictions)
        betas, pose = (None, None) if body is None else (body.betas.tolist(), body.pose)
        return ScanOutcome(scan.key, predictions, betas, pose, kept, tuple(work.findings), None, work.timings)

    def _see(self, work: _Work) -> None:
        """The silhouette of every view, from its photo or as it was kept, and what is wrong with it."""
        photos: dict[str, Bytes] = {}
        with work.stage("decode"):
            for view in VIEWS:
                try:
                    if content := work.scan.photos.get(view):
                        photos[view] = no_larger_than_needed(decode_photo(content))
                    elif content := work.scan.silhouettes.get(view):
                        work.silhouettes[view] = decode_silhouette(content)
                except UnreadableImage as error:
                    work.findings.append(Finding("unreadable", view, str(error)))
        with work.stage("judge"):
            for view, silhouette in work.silhouettes.items():
                work.findings += quality.judge_silhouette(silhouette, view)
        if photos:
            self._see_photos(work, photos)

    def _see_photos(self, work: _Work, photos: dict[str, Bytes]) -> None:
        """What the photos show.

        In one of another shape than the networks learnt from a person is smaller than they are used to. So its middle
        is looked at first, and where nobody stands there whole, all of it and then the part around the person.
        """
        with work.stage("decode"):
            wholes = {view: letterbox(photo) for view, photo in photos.items()}
        for view in photos:
            if dark := quality.judge_photo(wholes[view], view):
                work.findings += dark
                del wholes[view]  # and nothing is said of what is seen there
        others = {view for view in wholes if has_another_shape(photos[view])}
        first = {view: middle(photos[view]) if view in others else whole for view, whole in wholes.items()}
        seen = self._segment(work, first)
        for view in sorted(others):
            if not (seen[view].has_one_whole_person(view) and is_as_usual(seen[view].person)):
                seen[view] = self._look_around(work, photos[view], wholes[view], view)
        with work.stage("judge"):
            for view, sight in seen.items():
                work.silhouettes[view] = sight.silhouette
                work.findings += sight.findings(view)

    def _look_around(self, work: _Work, photo: Bytes, whole: Bytes, view: str) -> _Sight:
        """What the whole photo shows, or, if a person who is small, what the part around the person does."""
        found = self._segment(work, {view: whole})[view]
        if not found.has_one_whole_person(view) or is_as_usual(found.person):
            return found
        return self._segment(work, {view: close_up(photo, found.person)})[view]

    def _segment(self, work: _Work, pictures: dict[str, Bytes]) -> dict[str, _Sight]:
        """What the segmenter sees in pictures (256,192,3) by view: a single one alone, others as one batch of four."""
        if not pictures:
            return {}
        places = {view: 0 if len(pictures) == 1 else VIEWS.index(view) for view in pictures}
        with work.stage("segment"):
            batch = np.zeros((1 if len(pictures) == 1 else len(VIEWS), 3, HEIGHT, WIDTH), np.float32)
            for view, picture in pictures.items():
                batch[places[view]] = picture.transpose(2, 0, 1)
            seen = self.segmenter.module(torch.from_numpy(batch).contiguous(memory_format=torch.channels_last))
            masks = (seen.mask.sigmoid() * 255).round().to(torch.uint8).numpy()
            opinions = zip(
                seen.view.softmax(1).numpy(), seen.people.softmax(1).numpy(), seen.faults.sigmoid().numpy(), strict=True
            )
            sights = [_Sight(mask, *opinion) for mask, opinion in zip(masks, opinions, strict=True)]
        return {view: sights[place] for view, place in places.items()}

    def _body(self, work: _Work, seen: _Seen) -> _Body | None:
        """The body that the avatar sees, within its span or not; None without an avatar or a stature."""
        if self.avatar is None:
            return None
        if work.scan.stature_cm is None:
            work.findings.append(Finding("no stature"))
            return None
        with work.stage("avatar"):
            stature = torch.tensor([work.scan.stature_cm / 100], dtype=torch.float32)
            found = self.avatar.module(seen.silhouettes, seen.boxes, seen.present, stature)
            pose = found.pose[0].double().numpy()
        return _Body(found.betas[0].double().numpy(), {view: pose[VIEWS.index(view)].tolist() for view in seen.views})

    def _without_which_one_fits(self, work: _Work, seen: _Seen) -> tuple[_Seen, _Body, str] | None:
        """Without one of the views a body of the model fits: the scan without it, that body, and the view.

        None where no body fits either way, and where there are only two views, of which nobody can say which is wrong.
        """
        if len(seen.views) <= 2:
            return None
        fewer = {view: seen.without(view) for view in seen.views}
        bodies = {view: self._body(work, scan) for view, scan in fewer.items()}
        strange = {view: self._strangeness(body) for view, body in bodies.items() if body is not None}
        least = min(strange, key=strange.__getitem__)
        return (fewer[least], bodies[least], least) if strange[least] <= 1 else None

    def _strangeness(self, body: _Body) -> float:
        """How far out the betas lie: 1 is the border of the model's span."""
        low, high = self.body.span
        middle, half = (low + high) / 2, (high - low) / 2
        return float((np.abs(body.betas - middle) / half).max())

    def _tape(self, work: _Work, body: _Body, predictions: dict[str, Predicted]) -> None:
        with work.stage("tape"):
            measured = measure(self.body.shaped(body.betas[None]), self.body)
            for name, values in measured.items():
                if name in MEASUREMENTS and np.isfinite(values[0]):
                    predictions[name] = Predicted(float(values[0]), MEASUREMENTS[name].unit)

    def _body_fat(self, work: _Work, seen: _Seen, predictions: dict[str, Predicted]) -> None:
        if self.estimator is None:
            return
        with work.stage("body fat"):
            found = self.estimator.module(seen.silhouettes, seen.boxes, seen.present, _profile(work.scan))
            mean, half = float(found.mean[0]), _HALF_WIDTH * float(found.sd[0])
            predictions["body_fat_percent"] = Predicted(mean, "%", mean - half, mean + half)


@dataclass(frozen=True)
class _Sight:
    """What the segmenter sees in a picture: the silhouette, and probabilities of view, number of people and faults."""

    silhouette: Bytes
    view: np.ndarray
    people: np.ndarray
    faults: np.ndarray

    @property
    def person(self) -> Bytes:
        """The silhouette without specks."""
        return quality.largest_part(self.silhouette)

    def has_one_whole_person(self, view: str) -> bool:
        one = self.people[[0, 2]].max() <= quality.SURE
        return bool(one) and not quality.judge_silhouette(self.silhouette, view)

    def findings(self, view: str) -> list[Finding]:
        """What is wrong with it as a photo of this view, each thing said once."""
        told = quality.judge_capture(view, self.view, self.people, self.faults)
        known = {finding.reason for finding in told}
        judged = quality.judge_silhouette(self.silhouette, view)
        return told + [finding for finding in judged if finding.reason not in known]


@dataclass(frozen=True)
class _Seen:
    """The views of one scan as the networks are shown them: a batch of one."""

    views: tuple[str, ...]
    silhouettes: torch.Tensor
    boxes: torch.Tensor
    present: torch.Tensor

    def without(self, view: str) -> _Seen:
        """As if this view had not been captured."""
        changed = [one.clone() for one in (self.silhouettes, self.boxes, self.present)]
        for one in changed:
            one[0, VIEWS.index(view)] = 0
        return _Seen(tuple(other for other in self.views if other != view), *changed)


@dataclass(frozen=True)
class _Body:
    """What the avatar found: betas (K,), and the pose in each view."""

    betas: np.ndarray
    pose: dict[str, list[list[float]]]


def _seen(work: _Work, views: list[str]) -> _Seen:
    silhouettes = np.zeros((1, len(VIEWS), HEIGHT, WIDTH), np.float32)
    boxes = np.zeros((1, len(VIEWS), 4), np.float32)
    present = np.zeros((1, len(VIEWS)), bool)
    with work.stage("judge"):
        for view in views:
            i = VIEWS.index(view)
            silhouettes[0, i], boxes[0, i] = fit_silhouette(quality.largest_part(work.silhouettes[view]))
            present[0, i] = True
    return _Seen(tuple(views), *(torch.from_numpy(one) for one in (silhouettes, boxes, present)))


def _profile(scan: ScanInput) -> torch.Tensor:
    """(1,4), NaN where unknown; the order is `models.networks.estimator.PROFILE`."""
    sex = None if scan.sex is None else float(scan.sex == "M")
    stature = None if scan.stature_cm is None else scan.stature_cm / 100
    values = [sex, scan.age, stature, scan.weight_kg]
    return torch.tensor([[np.nan if value is None else value for value in values]], dtype=torch.float32)
