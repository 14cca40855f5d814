"""A scan as it is seen in a mirror: left is right, and the body and its fat are the same.

In evaluation networks look at every scan both ways and take the mean: what they say of a person cannot depend on which
hand is which, and two looks err less than one.
"""

from __future__ import annotations

from torch import Tensor

from models.body.skeleton import MIRRORED
from models.networks.blocks import VIEWS

IN_A_MIRROR = [VIEWS.index({"left": "right", "right": "left"}.get(view, view)) for view in VIEWS]


def mirrored_scan(silhouettes: Tensor, boxes: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """silhouettes (B,4,256,192), boxes (B,4,4) and which views are present (B,4), as in a mirror."""
    present = present[:, IN_A_MIRROR]
    boxes = boxes[:, IN_A_MIRROR].clone()
    boxes[..., 0] = (1 - boxes[..., 0]).where(present, boxes[..., 0])
    return silhouettes[:, IN_A_MIRROR].flip(-1), boxes, present


def mirrored_pose(pose: Tensor) -> Tensor:
    """Poses (B,4,24,3) of each view, as if seen from the front, as they are in a mirror."""
    return pose[:, IN_A_MIRROR][:, :, MIRRORED] * pose.new_tensor([1, -1, -1])
