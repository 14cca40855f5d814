"""A synthetic cohort like the adults of NHANES 1999–2000, its damage for tests, and large tables for benchmarks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studies.synthetic.cohort import SyntheticCohort, synthesize
    from studies.synthetic.files import write_cohort, write_large
    from studies.synthetic.planted import PlantedError, plant_errors

__all__ = ["PlantedError", "SyntheticCohort", "plant_errors", "synthesize", "write_cohort", "write_large"]

_HOME = {
    "SyntheticCohort": "cohort",
    "synthesize": "cohort",
    "write_cohort": "files",
    "write_large": "files",
    "PlantedError": "planted",
    "plant_errors": "planted",
}


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
