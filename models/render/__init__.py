"""Pictures of bodies: silhouettes, depth, normals, and photos as a phone would take them.

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "Camera": "models.render.camera",
    "phone_camera": "models.render.camera",
    "silhouette": "models.render.raster",
    "silhouettes": "models.render.raster",
    "depth": "models.render.raster",
    "normals": "models.render.raster",
    "normal_maps": "models.render.raster",
    "VIEWS": "models.render.pose",
    "BACKGROUND_FAMILIES": "models.render.background",
    "Background": "models.render.background",
    "draw_background": "models.render.background",
    "MONK_TONES": "models.render.skin",
    "Phone": "models.render.sensor",
    "draw_phone": "models.render.sensor",
    "FAULTS": "models.render.capture",
    "PHOTO_SIZE": "models.render.capture",
    "Appearance": "models.render.capture",
    "Capture": "models.render.capture",
    "Photo": "models.render.capture",
    "camera_of": "models.render.capture",
    "draw_appearance": "models.render.capture",
    "draw_capture": "models.render.capture",
    "encode_jpeg": "models.render.capture",
    "render_photo": "models.render.capture",
    "render_scan": "models.render.capture",
    "render_silhouette": "models.render.capture",
    "render_silhouettes": "models.render.capture",
}

__all__ = [
    "Appearance",
    "BACKGROUND_FAMILIES",
    "Background",
    "Camera",
    "Capture",
    "FAULTS",
    "MONK_TONES",
    "PHOTO_SIZE",
    "Phone",
    "Photo",
    "VIEWS",
    "camera_of",
    "depth",
    "draw_appearance",
    "draw_background",
    "draw_capture",
    "draw_phone",
    "encode_jpeg",
    "normal_maps",
    "normals",
    "phone_camera",
    "render_photo",
    "render_scan",
    "render_silhouette",
    "render_silhouettes",
    "silhouette",
    "silhouettes",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'models.render' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
