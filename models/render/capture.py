"""A capture session, and the photos and silhouettes of it.

`draw_capture` draws everything that is not the body from one random generator: who the person is to look at, how they
stand in each view, phone, room and light. The photos of one capture share all of it but the pose. `render_photo` is
then a function of body, betas, capture, view and size alone: the same bytes each time.

Bad captures carry the truth about what is wrong with them (`Capture.fault`): they are what quality control is tested
on.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numba
import numpy as np

from models.body.data import BodyData, check_betas
from models.body.skeleton import joint
from models.errors import BodyRequestError
from models.render import shading
from models.render.background import BACKGROUND_FAMILIES, Background, Place, draw_background, place
from models.render.camera import Camera, check_size, phone_camera, project
from models.render.garments import PATTERNS, Garment, bridge, cloth_field, draw_garments
from models.render.hair import Hair, draw_hair, hair_layer, loose_hair
from models.render.lighting import Lighting, Rig, draw_lighting, light_body, rig
from models.render.noise import plane, volume
from models.render.pose import VIEWS, WRONG_POSES, check_view, draw_pose, joint_places, stand
from models.render.raster import cover, silhouette, vertex_normals
from models.render.regions import Regions, regions
from models.render.sensor import Exposure, Phone, decode, develop, draw_exposure, draw_phone, encode
from models.render.skin import MONK_TONES, draw_hair_colour, monk_albedo

PHOTO_SIZE = (768, 576)
FAULTS = ("cropped", "blurred", "two_persons", "wrong_pose", "wrong_view", "no_person", "too_dark")
_SAMPLES = 2  # along each side of a pixel
_STEPS_BACK = 12
_MARGIN = 0.012  # of the picture that stays free around a person who is wholly in it
_FOLDS = {"t_shirt": 0.13, "tank_top": 0.08, "long_sleeves": 0.10, "shorts": 0.08}


@dataclass(frozen=True)
class Appearance:
    """A person to look at. tone: 1 to 10 on the Monk scale. undertone: (3,) factors on the tone's colour. oil: gloss of
    the skin. uneven: factor on its irregularities. offset: where in the noise they lie."""

    tone: int
    undertone: tuple[float, float, float]
    hair: Hair
    bottom: Garment
    top: Garment
    iris: tuple[float, float, float]
    oil: float
    uneven: float
    offset: float


@dataclass(frozen=True)
class Setup:
    """Where the phone stands. fill: the share of the picture's height that the person takes; height: metres; the errors
    are what the aim at the person's middle is off by, in radians; sideways: metres."""

    fill: float
    height: float
    tilt_error: float
    pan_error: float
    roll: float
    sideways: float


@dataclass(frozen=True)
class Bystander:
    """A second person: how they look, what their shape is drawn from, and where they stand and face."""

    appearance: Appearance
    seed: int
    x: float
    z: float
    turn: float


@dataclass(frozen=True)
class Capture:
    """A capture session. poses: the (24, 3) pose of each view, as nested tuples; shifts: where the person stands in
    each view, metres (x, z). fault: one of FAULTS or None. shown: the view that a photo shows, by the view that it
    claims."""

    appearance: Appearance
    phone: Phone
    setup: Setup
    lighting: Lighting
    background: Background
    exposure: Exposure
    poses: tuple[tuple[str, tuple[tuple[float, float, float], ...]], ...]
    shifts: tuple[tuple[str, tuple[float, float]], ...]
    shown: tuple[tuple[str, str], ...]
    seed: int
    falloff: tuple[float, float, float]
    fault: str | None = None
    bystander: Bystander | None = None

    def pose(self, view: str) -> np.ndarray:
        """(24, 3) the pose of a view as it was drawn; `stand` then puts the feet on the floor."""
        check_view(view)
        return np.array(dict(self.poses)[view])


@dataclass(frozen=True, eq=False)
class Photo:
    """image: (H, W, 3) uint8 RGB, as it comes out of the JPEG. silhouette: (H, W) uint8, the subject's share of each
    pixel, 0 to 255. jpeg: the file, or None if it was not compressed. fault: what is wrong with it, or None."""

    image: np.ndarray
    silhouette: np.ndarray
    view: str
    jpeg: bytes | None
    fault: str | None

    @property
    def mask(self) -> np.ndarray:
        """(H, W) bool: the pixels at least half of which show the subject."""
        return self.silhouette >= 128


def draw_appearance(
    rng: np.random.Generator, *, sex: str | None = None, age: float | None = None, tone: int | None = None
) -> Appearance:
    """A person to look at; tones are equally likely unless one is given."""
    if sex not in (None, "F", "M"):
        raise BodyRequestError(f"Sex must be F, M or unknown, not {sex!r}.")
    if tone is None:
        tone = int(rng.integers(1, len(MONK_TONES) + 1))
    monk_albedo(tone)
    colour = draw_hair_colour(rng, tone, age)
    bottom, top = draw_garments(rng, sex)
    irises = [(0.06, 0.03, 0.015), (0.13, 0.07, 0.03), (0.12, 0.13, 0.06), (0.14, 0.2, 0.28)]
    common = (0.35, 0.25, 0.15, 0.25) if tone <= 3 else (0.75, 0.2, 0.04, 0.01)
    return Appearance(
        tone=tone,
        undertone=tuple(float(v) for v in np.exp(rng.normal(0, 1, 3) * (0.035, 0.03, 0.05))),
        hair=draw_hair(rng, sex, colour, age),
        bottom=bottom,
        top=top,
        iris=irises[int(rng.choice(4, p=common))],
        oil=float(rng.uniform(0.015, 0.07)),
        uneven=float(rng.uniform(0.6, 1.5)),
        offset=float(rng.uniform(0, 32)),
    )


def draw_setup(rng: np.random.Generator) -> Setup:
    return Setup(
        fill=float(rng.uniform(0.66, 0.88)),
        height=float(np.clip(rng.normal(1.05, 0.18), 0.6, 1.5)),
        tilt_error=float(np.clip(rng.normal(0, 0.015), -0.035, 0.035)),
        pan_error=float(np.clip(rng.normal(0, 0.02), -0.05, 0.05)),
        roll=float(np.clip(rng.normal(0, 0.015), -0.05, 0.05)),
        sideways=float(np.clip(rng.normal(0, 0.06), -0.2, 0.2)),
    )


def draw_capture(
    rng: np.random.Generator,
    *,
    sex: str | None = None,
    age: float | None = None,
    tone: int | None = None,
    families: Sequence[str] = BACKGROUND_FAMILIES,
    fault: str | None = None,
    appearance: Appearance | None = None,
    phone: Phone | None = None,
    background: Background | None = None,
    lighting: Lighting | None = None,
) -> Capture:
    """A capture session drawn from `rng`.

    sex, age (years), tone (1 to 10): what is known of the person. families: background families to draw from. fault:
    one of FAULTS for a bad capture. appearance, phone, background, lighting: what is not to be drawn, for another
    session of the same person, device or room. Raises BodyRequestError for what there is none of.
    """
    if fault is not None and fault not in FAULTS:
        raise BodyRequestError(f"There is no fault {fault!r}.", remedy=f"Take one of {', '.join(FAULTS)}.")
    appearance = appearance or draw_appearance(rng, sex=sex, age=age, tone=tone)
    phone = phone or draw_phone(rng)
    background = background or draw_background(rng, tuple(families))
    lighting = lighting or draw_lighting(rng, background.family == "outdoor")
    setup, exposure = draw_setup(rng), draw_exposure(rng)
    shown = {view: view for view in VIEWS}
    wrong, bystander = None, None
    if fault == "wrong_pose":
        wrong = str(rng.choice(WRONG_POSES))
    elif fault == "wrong_view":
        turn = int(rng.integers(1, 4))
        around = ("front", "left", "back", "right")
        shown = {view: around[(around.index(view) + turn) % 4] for view in VIEWS}
    elif fault == "cropped":
        if rng.random() < 0.4:  # too near
            setup = replace(setup, fill=float(rng.uniform(1.15, 1.6)))
        else:  # aimed too high or too low
            off = float(rng.uniform(0.22, 0.4)) * float(rng.choice([-1, 1]))
            setup = replace(setup, tilt_error=off, fill=max(setup.fill, 0.8))
    elif fault == "blurred":
        if rng.random() < 0.5:
            exposure = replace(exposure, shake=float(rng.uniform(0.02, 0.05)), shake_angle=float(rng.uniform(0, np.pi)))
        else:
            exposure = replace(exposure, defocus=float(rng.uniform(0.006, 0.014)))
    elif fault == "too_dark":
        exposure = replace(exposure, darkness=float(rng.uniform(3.0, 4.5)))
    elif fault == "two_persons":
        bystander = Bystander(
            appearance=draw_appearance(rng), seed=int(rng.integers(2**62)), z=float(rng.uniform(-0.75, -0.45)),
            x=float(rng.uniform(0.4, 0.75) * rng.choice([-1, 1])), turn=float(rng.normal(0, 0.6)),
        )  # fmt: skip
        if place(background).walls[0] > -1.2:
            background = Background("studio", background.seed)
    poses = tuple((view, _frozen(draw_pose(rng, shown[view], wrong))) for view in VIEWS)
    shifts = tuple((view, (float(rng.normal(0, 0.025)), float(rng.normal(0, 0.03)))) for view in VIEWS)
    return Capture(
        appearance=appearance, phone=phone, setup=setup, lighting=lighting, background=background, exposure=exposure,
        poses=poses, shifts=shifts, shown=tuple(shown.items()), seed=int(rng.integers(2**62)),
        falloff=tuple(float(v) for v in rng.normal(0, 1, 3) * (0.07, 0.08, 0.05)), fault=fault, bystander=bystander,
    )  # fmt: skip


def _frozen(pose: np.ndarray) -> tuple[tuple[float, float, float], ...]:
    return tuple(tuple(float(v) for v in row) for row in pose)


def render_photo(
    body: BodyData,
    betas: np.ndarray,
    capture: Capture,
    view: str,
    *,
    size: tuple[int, int] = PHOTO_SIZE,
    compressed: bool = True,
) -> Photo:
    """The photo that the capture's phone takes of a body in a view.

    betas: (K,). size: (height, width) in pixels. compressed: whether it goes through JPEG. Raises BodyRequestError for
    an unknown view, a size that cannot be, betas that the body does not have, or a person who is not in the picture.
    """
    return render_scan(body, betas, capture, (view,), size=size, compressed=compressed)[view]


def render_scan(
    body: BodyData,
    betas: np.ndarray,
    capture: Capture,
    views: Iterable[str] = VIEWS,
    *,
    size: tuple[int, int] = PHOTO_SIZE,
    compressed: bool = True,
) -> dict[str, Photo]:
    """The photos of several views: the same as `render_photo` of each, with less work."""
    check_size(size)
    wanted = tuple(views)
    figures = _figures(body, betas, capture, wanted)
    return {
        view: _photo(body, figure, capture, view, size, compressed)
        for view, figure in zip(wanted, figures, strict=True)
    }


def render_silhouette(
    body: BodyData, betas: np.ndarray, capture: Capture, view: str, *, size: tuple[int, int] = PHOTO_SIZE
) -> np.ndarray:
    """(H, W) uint8: the silhouette of `render_photo`, without the photo."""
    return render_silhouettes(body, betas, capture, (view,), size=size)[view]


def render_silhouettes(
    body: BodyData,
    betas: np.ndarray,
    capture: Capture,
    views: Iterable[str] = VIEWS,
    *,
    size: tuple[int, int] = PHOTO_SIZE,
) -> dict[str, np.ndarray]:
    """The silhouettes of several views."""
    check_size(size)
    wanted = tuple(views)
    out = {}
    for view, figure in zip(wanted, _figures(body, betas, capture, wanted), strict=True):
        if capture.fault == "no_person":
            out[view] = np.zeros(size, np.uint8)
            continue
        camera = _aimed(capture, figure, size)
        out[view] = silhouette(figure.vertices, figure.faces, camera, supersample=_SAMPLES)
        _check_in_picture(out[view], view)
    return out


def camera_of(
    body: BodyData, betas: np.ndarray, capture: Capture, view: str, *, size: tuple[int, int] = PHOTO_SIZE
) -> Camera:
    """The camera with which `render_photo` sees a view."""
    check_size(size)
    return _aimed(capture, _figures(body, betas, capture, (view,))[0], size)


def encode_jpeg(photo: Photo, quality: int | None = None) -> bytes:
    """The photo's file: as the phone wrote it, or its picture in another quality (5 to 100)."""
    if quality is None and photo.jpeg is not None:
        return photo.jpeg
    return encode(photo.image, 90 if quality is None else quality)


@dataclass(frozen=True, eq=False)
class _Figure:
    """A person standing in the room: the body's vertices first, then those of loose hair.

    body_vertices: how many are the body's; stature: metres. reach: (n, 2) metres that hands are aside and to the
    front, in the views in which the arms are held off the trunk, whichever view this is.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    body_vertices: int
    stature: float
    reach: np.ndarray
    appearance: Appearance


def _figures(body: BodyData, betas: np.ndarray, capture: Capture, views: tuple[str, ...]) -> list[_Figure]:
    for view in views:
        check_view(view)
    if np.ndim(betas) != 1:
        raise BodyRequestError(f"Photos are of one body, betas ({body.n_betas},), not {np.shape(betas)}.")
    betas = check_betas(np.asarray(betas)[None], body)[0]
    if not views:
        return []
    poses = np.array([stand(body, betas, capture.pose(view)) for view in views])
    shifts = [dict(capture.shifts)[view] for view in views]
    reach = np.vstack([_hands(body, betas, stand(body, betas, capture.pose(view))) for view in ("front", "back")])
    return _stood(body, betas, poses, shifts, capture.appearance, reach)


def _hands(body: BodyData, betas: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """(2, 2) metres: how far aside of the feet and how far before them the fingers' tips are."""
    places = joint_places(body, betas, pose)
    feet = places[[joint("left_ankle"), joint("right_ankle")]].mean(0)
    tips = []
    for side in ("left", "right"):
        wrist, hand = places[joint(f"{side}_wrist")], places[joint(f"{side}_hand")]
        tips.append(hand + 1.1 * (hand - wrist) - feet)
    return np.abs(np.array(tips)[:, [0, 2]]) + np.array([0.04, 0.02])


def _stood(
    body: BodyData,
    betas: np.ndarray,
    poses: np.ndarray,
    shifts: list[tuple[float, float]],
    appearance: Appearance,
    reach: np.ndarray,
) -> list[_Figure]:
    """The body in each pose, dressed, its feet on the floor about the origin."""
    where = regions(body)
    # The crown of the T-pose, by the parts that move it least.
    crown = int(where.template[:, 1].argmax())
    heel = int(where.template[:, 1].argmin())
    stature = float(
        np.ptp((body.v_template[[crown, heel]] + body.shapedirs[[crown, heel]].astype(np.float64) @ betas)[:, 1])
    )
    dress = _dress(body, appearance)
    ankles = [joint("left_ankle"), joint("right_ankle")]
    figures = []
    for pose, (x, z) in zip(poses, shifts, strict=True):
        # One at a time: products of larger matrices are rounded otherwise, and a scan would not be its photos.
        posed, joints = body.posed(betas[None], pose[None])
        vertices, bones = posed[0], joints[0]
        middle = bones[ankles].mean(0)
        vertices -= [middle[0] - x, vertices[:, 1].min(), middle[2] - z]
        if dress.covered.any():
            if dress.under.any():
                bridge(body).flatten(vertices, dress.under)
            normals = vertex_normals(vertices, body.faces)
            vertices += normals * dress.covered[:, None]
        points = vertices
        if dress.has_hair:
            turn, scale, shift = _fit(where.template[where.skull[::12]].astype(np.float64), vertices[where.skull[::12]])
            hairy = dress.hairy
            vertices[hairy] += scale * dress.hair_offsets[hairy] @ turn.T
            if len(dress.loose):
                points = np.vstack([vertices, scale * dress.loose @ turn.T + shift])
        points = np.ascontiguousarray(points)
        figures.append(
            _Figure(points, dress.faces, vertex_normals(points, dress.faces), len(vertices), stature, reach, appearance)
        )
    return figures


@dataclass(frozen=True, eq=False)
class _Dress:
    """What clothes and hair add to a body model, the same for all bodies and poses of one appearance."""

    covered: np.ndarray  # (V,) metres that cloth lifts the surface
    under: np.ndarray  # (n,) bool: which of the bridge's vertices are under a top
    hair_offsets: np.ndarray  # (V, 3) in the template's frame
    hairy: np.ndarray  # numbers of the vertices that have such
    loose: np.ndarray  # (n, 3) in the template's frame
    faces: np.ndarray  # of body and loose hair
    attributes: np.ndarray  # (V + n, ATTRIBUTES) float32, without what light and pose change
    look: np.ndarray  # (LOOK,)
    has_hair: bool


@lru_cache(maxsize=8)  # a megabyte and a half each
def _dress(body: BodyData, appearance: Appearance) -> _Dress:
    where = regions(body)
    top, bottom = cloth_field(body, appearance.top), cloth_field(body, appearance.bottom)
    covered = np.maximum(
        appearance.top.thickness * np.clip(top / 0.006, 0, 1),
        appearance.bottom.thickness * np.clip(bottom / 0.006, 0, 1),
    )
    field, offsets = hair_layer(body, appearance.hair)
    strand = loose_hair(body, appearance.hair)
    loose = strand.vertices if strand else np.zeros((0, 3))
    faces = np.vstack([body.faces, strand.faces + body.n_vertices]) if strand else body.faces
    attributes = np.zeros((body.n_vertices + len(loose), shading.ATTRIBUTES), np.float32)
    own = attributes[: body.n_vertices]
    own[:, shading.PLACE : shading.PLACE + 3] = where.template
    own[:, shading.TOP], own[:, shading.BOTTOM], own[:, shading.HAIR] = top, bottom, field
    own[:, shading.BEARD], own[:, shading.BLOOD], own[:, shading.PALM] = where.beard, where.blood, where.palm
    own[:, shading.HEAD] = where.head
    # How far the surface looks away from the middle of the body.
    own[:, shading.SIDE] = vertex_normals(body.v_template, body.faces)[:, 0] * np.sign(body.v_template[:, 0])
    rest = attributes[body.n_vertices :]
    rest[:, shading.PLACE : shading.PLACE + 3] = loose
    rest[:, [shading.TOP, shading.BOTTOM, shading.BEARD]] = -1.0
    rest[:, shading.HAIR] = 1.0
    hairy = np.flatnonzero(np.abs(offsets).sum(1) > 0)
    return _Dress(
        covered.astype(np.float64), top[bridge(body).numbers] > 0, offsets.astype(np.float64), hairy, loose,
        np.ascontiguousarray(faces), attributes, _look(where, appearance), bool(len(hairy) or len(loose)),
    )  # fmt: skip


def _look(where: Regions, appearance: Appearance) -> np.ndarray:
    """The numbers by which the shading knows a person."""
    look = np.zeros(shading.LOOK)
    skin = monk_albedo(appearance.tone) * appearance.undertone
    melanin = float(np.interp(appearance.tone, MONK_TONES, (0.0, 0.0, 0.03, 0.08, 0.2, 0.45, 0.6, 0.75, 0.92, 1.0)))
    # In photos dark skin is warmer than its swatch.
    skin = skin * (1 + melanin * np.array([0.15, 0.02, -0.08]))
    # The lightest tones' swatches are nearly white paper; skin reflects at most about two thirds of red light.
    skin = skin * np.array([0.93, 0.87, 0.84]) if melanin < 0.1 else skin * np.interp(melanin, [0.1, 0.5], [0.92, 1.0])
    look[shading.SKIN : shading.SKIN + 3] = np.clip(skin, 0.010, 0.76)
    look[shading.HAIR_COLOUR : shading.HAIR_COLOUR + 3] = appearance.hair.colour
    look[shading.LIPS : shading.LIPS + 3] = skin * (
        np.array([0.80, 0.47, 0.48]) * (1 - melanin) + np.array([0.95, 0.62, 0.66]) * melanin
    )
    look[shading.IRIS : shading.IRIS + 3] = appearance.iris
    look[shading.OFFSET] = appearance.offset
    look[shading.BEARD_AMOUNT], look[shading.BROWS] = appearance.hair.beard, appearance.hair.brows
    face = where.face
    look[shading.NOSE_Y], look[shading.UNIT], look[shading.CENTRE_Z] = face.nose_y, face.unit, face.centre[2]
    look[shading.MELANIN], look[shading.OIL], look[shading.UNEVEN] = (
        melanin,
        appearance.oil * (1 - 0.2 * melanin),
        appearance.uneven,
    )
    for at, garment in ((shading.TOP_CLOTH, appearance.top), (shading.BOTTOM_CLOTH, appearance.bottom)):
        look[at + shading.COLOUR : at + 3] = garment.colour
        look[at + shading.SECOND_COLOUR : at + shading.SECOND_COLOUR + 3] = garment.second_colour
        look[at + shading.PATTERN], look[at + shading.PATTERN_SIZE] = (
            PATTERNS.index(garment.pattern),
            garment.pattern_size,
        )
        look[at + shading.SHEEN], look[at + shading.FOLD_DEPTH] = garment.sheen, _FOLDS.get(garment.cut, 0.03)
    return look


def _fit(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Rotation, scale and shift that bring points (n, 3) nearest to others (Umeyama 1991)."""
    a, b = source.mean(0), target.mean(0)
    u, d, v = np.linalg.svd((target - b).T @ (source - a))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    turn = (u * sign) @ v
    scale = float((d * sign).sum() / ((source - a) ** 2).sum())
    return turn, scale, b - scale * turn @ a


def _aimed(capture: Capture, figure: _Figure, size: tuple[int, int]) -> Camera:
    """The phone, put where the person is as large in the picture as the capture says.

    It stands further back where a part of the person would be cut off that is not meant to be.
    """
    setup, phone = capture.setup, capture.phone
    cropped = capture.fault == "cropped"
    focal = phone_camera(size, focal_mm=phone.focal_mm).focal
    distance = _distance(figure.stature, setup.height, focal, setup.fill * size[0])
    if not cropped:
        aside, before = figure.reach.T
        distance = max(distance, float((aside * focal / (0.46 * size[1]) + before).max()))
    for _ in range(_STEPS_BACK):
        middle = 0.5 * (math.atan2(figure.stature - setup.height, distance) - math.atan2(setup.height, distance))
        camera = phone_camera(
            size, focal_mm=phone.focal_mm, height=setup.height, distance=distance, sideways=setup.sideways,
            tilt=-middle + setup.tilt_error, pan=-math.atan2(setup.sideways, distance) + setup.pan_error,
            roll=setup.roll, k1=phone.k1,
        )  # fmt: skip
        over = _overflow(project(figure.vertices, camera), size)
        if cropped or over <= 1.0:
            break
        distance *= min(max(1.01 * over, 1.03), 1.5)
    return camera


def _distance(stature: float, height: float, focal: float, pixels: float) -> float:
    """How far away a person of this stature is so many pixels tall, by bisection."""
    near, far = 0.2, 50.0
    for _ in range(40):
        distance = math.sqrt(near * far)
        head, feet = math.atan2(stature - height, distance), math.atan2(-height, distance)
        middle = 0.5 * (head + feet)
        if focal * (math.tan(min(head - middle, 1.5)) + math.tan(min(middle - feet, 1.5))) > pixels:
            near = distance
        else:
            far = distance
    return math.sqrt(near * far)


def _overflow(screen: np.ndarray, size: tuple[int, int]) -> float:
    """How far points reach from the picture's middle, 1 being the edge of the margin."""
    height, width = size
    low, high = screen[:, :2].min(0), screen[:, :2].max(0)
    half = np.array([width, height]) / 2
    return float((np.maximum(half - low, high - half) / (half - _MARGIN * height)).max())


def _check_in_picture(outline: np.ndarray, view: str) -> None:
    if not outline.any():
        raise BodyRequestError(
            f"The person is not in the picture of the view {view}.",
            remedy="Draw another capture, or aim its camera at the person.",
        )


def _photo(
    body: BodyData, figure: _Figure, capture: Capture, view: str, size: tuple[int, int], compressed: bool
) -> Photo:
    scene = place(capture.background)
    light = rig(capture.lighting, scene.floor_colour)
    camera = _aimed(capture, figure, size)
    fine = camera.resized((size[0] * _SAMPLES, size[1] * _SAMPLES))
    people = [] if capture.fault == "no_person" else [figure]
    if capture.bystander is not None:
        people.append(_bystander(body, capture.bystander))

    # One mesh of the subject, a bystander and the things, in this order.
    counts = np.cumsum([0, *(len(person.vertices) for person in people)])
    screen = project(np.vstack([*(person.vertices for person in people), scene.vertices]), fine)
    if screen[: counts[-1], 2].min(initial=np.inf) < fine.near:
        raise BodyRequestError(f"In the view {view} a part of the person is at or behind the camera.")
    things = scene.faces + counts[-1]
    ahead = (screen[things, 2] > fine.near).all(1)  # things beside the camera are not seen
    parts = [person.faces + first for person, first in zip(people, counts[:-1], strict=True)] + [things[ahead]]
    faces = np.ascontiguousarray(np.vstack(parts))
    ends = np.cumsum([0, *(len(part) for part in parts)])
    ids, nearness = np.full(fine.size, -1, np.int32), np.zeros(fine.size, np.float32)
    # The subject hides the bystander and both hide things, wherever they stand: the subject is always seen whole.
    for first, last in itertools.pairwise(ends):
        cover(screen, faces, first, last, ids, nearness)

    attributes, shadows = _lit_people(people, body, ids, faces, light, scene)
    looks = np.zeros((2, shading.LOOK))
    for n, person in enumerate(people):
        looks[n] = _dress(body, person.appearance).look
    subject_end = ends[1] if people else 0
    image, outline = np.empty((*size, 3), np.float32), np.empty(size, np.uint8)
    planes = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0], [-1, 0, 0], [0, -1, 0]], float)
    ambient = _on_planes(np.maximum(planes @ light.around.T, 0) @ light.radiance)
    key = np.maximum(planes @ light.key_direction, 0)[:, None] * light.key_power
    shading.shade(
        ids, nearness, _SAMPLES, screen, faces, np.array([subject_end, ends[len(people)]]), attributes, looks,
        scene.vertices, scene.faces[ahead], scene.colours[ahead], scene.finish[ahead], scene.surfaces, scene.walls,
        scene.cove, scene.outdoors, ambient, key, np.array(capture.falloff), shadows, light.key_direction,
        light.key_power, camera.rotation(), np.array(camera.position), camera.focal, camera.k1, volume(), plane(),
        image, outline,
    )  # fmt: skip
    if people:
        _check_in_picture(outline, view)
    colour = np.array(capture.lighting.ambient_colour) * (1 - capture.lighting.key_share)
    colour = colour + np.array(capture.lighting.key_colour) * capture.lighting.key_share
    seed = (capture.seed ^ (VIEWS.index(view) * 0x9E3779B97F4A7C15)) & 0xFFFFFFFF
    picture = develop(image, capture.phone, capture.exposure, colour / colour.mean(), seed)
    jpeg = None
    if compressed:
        jpeg = encode(picture, capture.phone.quality)
        picture = decode(jpeg)
    return Photo(picture, outline, view, jpeg, capture.fault)


def _on_planes(ambient: np.ndarray) -> np.ndarray:
    """Ambient light on floor, walls and ceiling (5, 3), each also lit by the others."""
    return 0.6 * ambient + 0.4 * ambient[:4].mean(0)


def _lit_people(
    people: list[_Figure], body: BodyData, ids: np.ndarray, faces: np.ndarray, light: Rig, scene: Place
) -> tuple[np.ndarray, np.ndarray]:
    """The attributes of all people's vertices, and the shadows that they throw."""
    where = regions(body)
    wall = float(max(scene.walls[0], -20.0))
    count = sum(len(person.vertices) for person in people)
    seen = np.zeros(max(count, int(faces.max(initial=0)) + 1), np.bool_)
    _mark(ids, faces, seen)
    rows, shadows, first = [], np.ones((2, 2, 2, 2), np.float32), 0
    for person in people:
        last = first + len(person.vertices)
        lit = light_body(
            person.vertices, person.normals, where.coarse_vertices, where.coarse_faces, seen[first:last], light, wall
        )
        own = _dress(body, person.appearance).attributes.copy()
        own[:, shading.NORMAL : shading.NORMAL + 3] = person.normals
        own[:, shading.AMBIENT : shading.AMBIENT + 3] = lit.ambient
        own[:, shading.KEY] = lit.key
        rows.append(own)
        shadows = shadows * lit.shadows if first else lit.shadows
        first = last
    return np.vstack(rows) if rows else np.zeros((1, shading.ATTRIBUTES), np.float32), shadows


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _mark(ids, faces, seen):
    """Marks the vertices of all faces that are in front somewhere."""
    for row in range(ids.shape[0]):
        for column in range(ids.shape[1]):
            f = ids[row, column]
            if f >= 0:
                seen[faces[f, 0]] = True
                seen[faces[f, 1]] = True
                seen[faces[f, 2]] = True


def _bystander(body: BodyData, other: Bystander) -> _Figure:
    """A person of an ordinary shape, standing at ease."""
    rng = np.random.default_rng(other.seed)
    low, high = body.span
    betas = np.clip(rng.normal(0, 0.7, body.n_betas), 0.5 * low, 0.5 * high)
    pose = draw_pose(rng, "left")
    pose[0] = [0.0, other.turn, 0.0]
    pose = stand(body, betas, pose)
    return _stood(body, betas, pose[None], [(other.x, other.z)], other.appearance, np.zeros((1, 2)))[0]
