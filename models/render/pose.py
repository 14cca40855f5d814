"""How people stand for a scan: the asked pose of each view, and how far they keep to it.

Views are named by the side of the subject that the camera sees: `front`, `back`, and the subject's own `left` and
`right`. In front and back views the arms are held off the trunk (A-pose); in side views they hang, or are held a little
forward.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from scipy.spatial.transform import Rotation

from models.body.data import BodyData
from models.body.skeleton import N_JOINTS, joint
from models.errors import BodyRequestError
from models.render.regions import regions

VIEWS = ("front", "back", "left", "right")
YAW = {"front": 0.0, "back": np.pi, "left": -np.pi / 2, "right": np.pi / 2}
WRONG_POSES = ("arm_raised", "arms_raised", "arms_crossed", "hands_on_hips", "bent_forward", "squat", "step")

# Standard deviations in radians of what is not asked for and happens all the same, about x, y and z.
_NOISE = {
    "spine1": (0.025, 0.03, 0.02),
    "spine2": (0.025, 0.03, 0.02),
    "spine3": (0.03, 0.03, 0.02),
    "neck": (0.05, 0.05, 0.03),
    "head": (0.06, 0.07, 0.04),
    "left_collar": (0.0, 0.04, 0.04),
    "left_hand": (0.08, 0.04, 0.10),
}


def check_view(view: str) -> None:
    if view not in VIEWS:
        raise BodyRequestError(f"There is no view {view!r}.", remedy=f"The views are {', '.join(VIEWS)}.")


def draw_pose(rng: np.random.Generator, view: str, wrong: str | None = None) -> np.ndarray:
    """(24, 3) float64 axis-angle vectors, the first being the whole body's: a pose for a view, with its noise.

    wrong: one of WRONG_POSES instead of what the view asks for.
    """
    check_view(view)
    if wrong is not None and wrong not in WRONG_POSES:
        raise BodyRequestError(f"There is no wrong pose {wrong!r}.", remedy=f"Take one of {', '.join(WRONG_POSES)}.")
    pose = np.zeros((N_JOINTS, 3))
    stance = {"apart": np.deg2rad(max(-4.0, rng.normal(1.5, 3.0))), "out": np.deg2rad(rng.normal(7, 5))}
    arms = _draw_arms(rng, view)
    for name, deviation in _NOISE.items():
        for sided in (name, name.replace("left", "right")) if "left" in name else (name,):
            pose[joint(sided)] = rng.normal(0, 1, 3) * deviation
    for side in ("left", "right"):
        _set_arm(pose, side, {key: value + rng.normal(0, _ARM_NOISE[key]) for key, value in arms.items()})
        legs = (
            stance["apart"] + rng.normal(0, 0.02), stance["out"] + rng.normal(0, 0.05), abs(rng.normal(0, 0.03)),
            abs(rng.normal(0.02, 0.03)),
        )  # fmt: skip
        _set_leg(pose, side, *legs)
    if wrong is not None:
        _spoil(rng, pose, wrong)
    facing = Rotation.from_rotvec([0.0, YAW[view] + rng.normal(0, 0.07), 0.0])
    pose[0] = (facing * Rotation.from_rotvec([rng.normal(0, 0.02), 0.0, rng.normal(0, 0.012)])).as_rotvec()
    return pose


_ARM_NOISE = {"away": 0.05, "forward": 0.05, "twist": 0.10, "elbow": 0.05}


def _draw_arms(rng: np.random.Generator, view: str) -> dict[str, float]:
    """Radians: away from the trunk, forward, twisted inwards, and the elbow's bend."""
    if view in ("front", "back"):
        away = np.clip(rng.normal(40, 7), 24, 58)
        forward, elbow = rng.normal(4, 5), abs(rng.normal(6, 6)) + 2
    else:
        away = np.clip(rng.normal(13, 4), 6, 25)
        forward = rng.normal(4, 5) if rng.random() < 0.6 else rng.uniform(12, 35)
        elbow = abs(rng.normal(8, 7)) + 3
    degrees = {"away": away, "forward": forward, "twist": rng.normal(0, 8), "elbow": elbow}
    return {key: float(np.deg2rad(value)) for key, value in degrees.items()}


def _set_arm(pose: np.ndarray, side: str, arm: dict[str, float]) -> None:
    """Turns an arm of the T-pose; the collar takes a part of the way down, as it does in people."""
    down = np.pi / 2 - arm["away"]
    collar = 0.12 * down
    turn = (
        Rotation.from_rotvec([-arm["forward"], 0, 0])
        * Rotation.from_rotvec([0, 0, -(down - collar)])
        * Rotation.from_rotvec([arm["twist"], 0, 0])
    )
    _put(pose, side, "shoulder", turn.as_rotvec())
    _put(pose, side, "elbow", np.array([0.0, -max(arm["elbow"], 0.0), 0.0]))
    lift = np.array([0.0, 0.0, -collar])
    pose[joint(f"{side}_collar")] += lift if side == "left" else _mirror(lift)


def _set_leg(pose: np.ndarray, side: str, apart: float, out: float, hip: float, knee: float) -> None:
    turn = (
        Rotation.from_rotvec([0, 0, apart])
        * Rotation.from_rotvec([-hip, 0, 0])
        * Rotation.from_rotvec([0, 0.6 * out, 0])
    )
    _put(pose, side, "hip", turn.as_rotvec())
    _put(pose, side, "knee", np.array([knee, 0.0, 0.0]))
    _put(pose, side, "ankle", np.array([0.0, 0.4 * out, 0.0]))


def _mirror(vector: np.ndarray) -> np.ndarray:
    return vector * np.array([1.0, -1.0, -1.0])


def _put(pose: np.ndarray, side: str, name: str, vector: np.ndarray) -> None:
    pose[joint(f"{side}_{name}")] = vector if side == "left" else _mirror(vector)


def _spoil(rng: np.random.Generator, pose: np.ndarray, wrong: str) -> None:
    side = "left" if rng.random() < 0.5 else "right"
    arm = {"away": np.deg2rad(15), "forward": 0.0, "twist": 0.0, "elbow": np.deg2rad(10)}
    if wrong in ("arm_raised", "arms_raised"):
        for each in (side,) if wrong == "arm_raised" else ("left", "right"):
            pose[joint(f"{each}_collar")] = 0.0
            _set_arm(pose, each, {**arm, "away": np.deg2rad(rng.uniform(100, 160))})
    elif wrong == "arms_crossed":
        for each in ("left", "right"):
            more = {"forward": np.deg2rad(38), "twist": np.deg2rad(62), "elbow": np.deg2rad(rng.uniform(95, 112))}
            _set_arm(pose, each, {**arm, **more})
    elif wrong == "hands_on_hips":
        for each in ("left", "right"):
            more = {
                "away": np.deg2rad(48),
                "forward": np.deg2rad(-14),
                "twist": np.deg2rad(75),
                "elbow": np.deg2rad(95),
            }
            _set_arm(pose, each, {**arm, **more})
    elif wrong == "bent_forward":
        bend = np.deg2rad(rng.uniform(12, 24))
        for name in ("spine1", "spine2", "spine3"):
            pose[joint(name), 0] += bend
    elif wrong == "squat":
        deep = np.deg2rad(rng.uniform(45, 85))
        for each in ("left", "right"):
            _set_leg(pose, each, np.deg2rad(6), np.deg2rad(8), deep, 1.15 * deep)
            _set_arm(pose, each, {**arm, "forward": np.deg2rad(rng.uniform(30, 80))})
        pose[joint("spine1"), 0] += 0.3 * deep
    else:
        _set_leg(pose, side, 0.0, 0.0, np.deg2rad(rng.uniform(22, 38)), np.deg2rad(rng.uniform(5, 20)))


def stand(body: BodyData, betas: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """The pose with both feet flat and on one level: ankles turned, and the longer leg bent at hip and knee.

    betas (K,), pose (24, 3). The toes keep the direction that hip and ankle gave them. The body still has to be moved
    to the floor.
    """
    out = np.array(pose, dtype=np.float64)
    where = regions(body)
    rest = where.joints + where.joint_directions @ np.asarray(betas, dtype=np.float64)
    _stand(out, np.ascontiguousarray(rest), _LEGS)
    return out


def joint_places(body: BodyData, betas: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """(24, 3) metres: where the joints of a posed body are, its pelvis where it is in the T-pose."""
    where = regions(body)
    rest = where.joints + where.joint_directions @ np.asarray(betas, dtype=np.float64)
    return _places(np.asarray(pose, dtype=np.float64), np.ascontiguousarray(rest), body.parents)


_LEGS = np.array([[joint(f"{side}_{name}") for name in ("hip", "knee", "ankle")] for side in ("left", "right")])
_MOST_BEND = 1.4


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _stand(pose, rest, legs):
    facing = _matrix(pose[0])
    yaw = math.atan2(facing[0, 2], facing[2, 2])
    toes = np.empty(2)
    for n in range(2):
        hip, knee, ankle = legs[n]
        turned = _matrix(pose[hip]) @ _matrix(pose[ankle])
        toes[n] = math.atan2(turned[0, 2], turned[2, 2])
    left = _sole(pose, rest, facing, legs[0], 0.0)
    right = _sole(pose, rest, facing, legs[1], 0.0)
    # The leg that reaches lower is bent until its foot is as high as the other.
    bent = legs[0] if left < right else legs[1]
    goal = max(left, right)
    low, high = 0.0, _MOST_BEND
    for _ in range(30):
        middle = 0.5 * (low + high)
        if _sole(pose, rest, facing, bent, middle) < goal:
            low = middle
        else:
            high = middle
    pose[bent[0]] = _vector(_matrix(np.array([-low, 0.0, 0.0])) @ _matrix(pose[bent[0]]))
    pose[bent[1], 0] += 2 * low
    for n in range(2):
        hip, knee, ankle = legs[n]
        shank = facing @ _matrix(pose[hip]) @ _matrix(pose[knee])
        pose[ankle] = _vector(shank.T @ _matrix(np.array([0.0, yaw + toes[n], 0.0])))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _places(pose, rest, parents):
    turns = np.empty((len(rest), 3, 3))
    places = rest.copy()
    for j in range(len(rest)):
        turns[j] = _matrix(pose[j])
        if parents[j] >= 0:
            places[j] = places[parents[j]] + turns[parents[j]] @ (rest[j] - rest[parents[j]])
            turns[j] = turns[parents[j]] @ turns[j]
    return places


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _sole(pose, rest, facing, leg, bend):
    """Height of a flat foot's sole when hip and knee are bent by so much more."""
    hip, knee, ankle = leg
    thigh = facing @ _matrix(np.array([-bend, 0.0, 0.0])) @ _matrix(pose[hip])
    flexed = pose[knee].copy()
    flexed[0] += 2 * bend
    shank = thigh @ _matrix(flexed)
    place = facing @ (rest[hip] - rest[0]) + thigh @ (rest[knee] - rest[hip]) + shank @ (rest[ankle] - rest[knee])
    return place[1] - rest[ankle, 1]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _matrix(vector):
    """Rodrigues' formula."""
    angle = math.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)
    out = np.eye(3)
    if angle < 1e-12:
        return out
    x, y, z = vector[0] / angle, vector[1] / angle, vector[2] / angle
    s, c = math.sin(angle), math.cos(angle)
    k = 1 - c
    out[0, 0], out[0, 1], out[0, 2] = c + k * x * x, k * x * y - s * z, k * x * z + s * y
    out[1, 0], out[1, 1], out[1, 2] = k * x * y + s * z, c + k * y * y, k * y * z - s * x
    out[2, 0], out[2, 1], out[2, 2] = k * x * z - s * y, k * y * z + s * x, c + k * z * z
    return out


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _vector(turn):
    """The axis-angle vector of a rotation by less than half a turn."""
    out = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    twice_sine = math.sqrt(out[0] ** 2 + out[1] ** 2 + out[2] ** 2)
    if twice_sine < 1e-12:
        return out * 0.5
    return out * (math.atan2(twice_sine, turn[0, 0] + turn[1, 1] + turn[2, 2] - 1.0) / twice_sine)
