"""The body model as a torch module: differentiable, batched, on any device, in float32 or float64."""

from __future__ import annotations

from typing import NamedTuple

import torch

from models.body.data import BodyData, check_span
from models.body.skeleton import N_JOINTS
from models.errors import BodyRequestError

_SMALL_ANGLE_SQUARED = 1e-4
_AT_ONCE = 4  # bodies skinned at once on a CPU; more fall out of its cache


class BodyOutput(NamedTuple):
    """vertices (B,V,3) and joints (B,24,3), in metres."""

    vertices: torch.Tensor
    joints: torch.Tensor


class BodyModel(torch.nn.Module):
    """Betas, pose and translation in, vertices and joints out (linear blend skinning; Loper et al. 2015).

    The arrays of the model are buffers: `.to("cuda")` and `.double()` move and widen it. It has no parameters to train.
    """

    def __init__(self, data: BodyData, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.data = data
        self._add("v_template", data.v_template, dtype)
        self._add("directions", data.shape_directions, dtype)  # (K, V*3)
        self._add("joint_template", data.joint_template, dtype)
        self._add("joint_directions", data.joint_directions, dtype)  # (K, 24*3)
        self._add("weights", data.weights.T, dtype)  # (24, V)
        self._add("corrections", data.pose_directions, dtype)  # (P, V*3), or None

    def _add(self, name: str, values: object, dtype: torch.dtype) -> None:
        buffer = None if values is None else torch.as_tensor(values).to(dtype).contiguous()
        self.register_buffer(name, buffer, persistent=False)

    def forward(
        self,
        betas: torch.Tensor,
        pose: torch.Tensor | None = None,
        translation: torch.Tensor | None = None,
        *,
        within_span: bool = True,
    ) -> BodyOutput:
        """Vertices (B,V,3) and joints (B,24,3) in metres.

        betas (B,K); pose (B,24,3) axis-angle in radians, or (24,3) for all, None being the T-pose; translation (B,3)
        metres. An optimiser that leaves the model's span on its way may pass `within_span=False`. Raises:
        BodyRequestError if a shape, a value or the span does not allow the request; nothing is clamped.
        """
        betas = self._checked(betas, "betas", (None, self.data.n_betas))
        n = len(betas)
        if within_span and n:
            low, high = torch.aminmax(betas.detach(), dim=0)
            check_span(low.cpu().numpy(), high.cpu().numpy(), self.data)
        vertices = self.v_template + (betas @ self.directions).view(n, *self.v_template.shape)
        joints = self.joint_template + (betas @ self.joint_directions).view(n, N_JOINTS, 3)
        if pose is not None:
            if pose.shape == (N_JOINTS, 3):
                pose = pose.expand(n, N_JOINTS, 3)
            rotations = rotation_matrices(self._checked(pose, "pose", (n, N_JOINTS, 3)))
            if self.corrections is not None:
                feature = rotations[:, 1:] - torch.eye(3, dtype=betas.dtype, device=betas.device)
                vertices = vertices + (feature.flatten(1) @ self.corrections).view_as(vertices)
            turned, joints, shifts = self._chain(rotations, joints)
            frames = torch.cat([turned, shifts[..., None]], dim=3)
            few = n if vertices.is_cuda else _AT_ONCE
            parts = zip(frames.split(max(few, 1)), vertices.split(max(few, 1)), strict=True)
            vertices = torch.cat([self._skin(*part) for part in parts])
        if translation is not None:
            shift = self._checked(translation, "translation", (n, 3))[:, None]
            vertices, joints = vertices + shift, joints + shift
        return BodyOutput(vertices, joints)

    def _skin(self, frames: torch.Tensor, vertices: torch.Tensor) -> torch.Tensor:
        """Vertices (b,V,3) moved by the frames (b,24,3,4) of their joints, one coordinate at a time: the quickest."""
        own = (frames.flatten(2).transpose(1, 2) @ self.weights).unflatten(1, (3, 4))  # (b,3,4,V)
        moved = (own[:, :, :3] * vertices.transpose(1, 2)[:, None]).sum(2) + own[:, :, 3]
        return moved.transpose(1, 2).contiguous()

    def _chain(self, rotations: torch.Tensor, rest: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """World rotations (B,24,3,3), where the joints go, and the shift of each joint's frame as applied to the
        T-pose.
        """
        turned: list[torch.Tensor] = []
        joints: list[torch.Tensor] = []
        for j, parent in enumerate(self.data.parents.tolist()):
            if parent < 0:
                turned.append(rotations[:, j])
                joints.append(rest[:, j])
            else:
                turned.append(turned[parent] @ rotations[:, j])
                bone = (rest[:, j] - rest[:, parent])[..., None]
                joints.append(joints[parent] + (turned[parent] @ bone)[..., 0])
        world, placed = torch.stack(turned, dim=1), torch.stack(joints, dim=1)
        return world, placed, placed - (world @ rest[..., None])[..., 0]

    def _checked(self, values: torch.Tensor, name: str, shape: tuple[int | None, ...]) -> torch.Tensor:
        if not isinstance(values, torch.Tensor) or not values.dtype.is_floating_point:
            raise BodyRequestError(
                f"What is given as {name} is not a tensor of floating-point numbers.", remedy="Give a float tensor."
            )
        if values.ndim != len(shape) or any(w not in (None, h) for w, h in zip(shape, values.shape, strict=True)):
            wanted = ", ".join("B" if size is None else str(size) for size in shape)
            raise BodyRequestError(
                f"A tensor of shape {tuple(values.shape)} is given as {name}, not ({wanted}).",
                remedy=f"{self.data.name} has {self.data.n_betas} betas and {N_JOINTS} joints.",
            )
        if values.device != self.v_template.device:
            raise BodyRequestError(
                f"The tensor {name} is on {values.device}, the model on {self.v_template.device}.",
                remedy="Move one of them with .to(device).",
            )
        if not bool(torch.isfinite(values.detach()).all()):
            raise BodyRequestError(f"Some values of {name} are not finite.", remedy="Give finite numbers only.")
        return values.to(self.v_template.dtype)


def rotation_matrices(pose: torch.Tensor) -> torch.Tensor:
    """Axis-angle vectors (...,3) -> rotation matrices (...,3,3), by Rodrigues' formula; smooth at zero, too."""
    squared = (pose * pose).sum(-1)[..., None, None]
    small = squared < _SMALL_ANGLE_SQUARED
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    # sin(a)/a and (1 - cos(a))/a², by their series near zero, where the quotients have no derivative
    sine = torch.where(small, 1 - squared / 6 + squared**2 / 120, angle.sin() / angle)
    cosine = torch.where(small, 0.5 - squared / 24 + squared**2 / 720, (1 - angle.cos()) / safe)
    x, y, z = pose.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).view(*pose.shape[:-1], 3, 3)
    identity = torch.eye(3, dtype=pose.dtype, device=pose.device)
    return identity + sine * cross + cosine * (cross @ cross)
