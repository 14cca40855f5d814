"""Privacy: what is kept of people, for how long, under which name, and how it is shown to them and erased.

Names are loaded when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "Erased": "studies.privacy.erase",
    "LinkTable": "studies.privacy.links",
    "Sweep": "studies.privacy.sweep",
    "collect_subject": "studies.privacy.subject_data",
    "due": "studies.privacy.retention",
    "erase_subject": "studies.privacy.erase",
    "find_traces": "studies.privacy.remnants",
    "open_links": "studies.privacy.links",
    "readmit": "studies.privacy.erase",
    "relink": "studies.privacy.relink",
    "release_tables": "studies.privacy.release",
    "rotate_key": "studies.privacy.rotation",
    "scrub": "studies.privacy.remnants",
    "sweep": "studies.privacy.sweep",
    "write_subject_data": "studies.privacy.subject_data",
}

__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'studies.privacy' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
