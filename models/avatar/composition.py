"""Fat and what is not fat: how mass and volume change when body fat alone does.

Two compartments of constant density (Siri 1961, "Body composition from fluid spaces and density", in Brozek and
Henschel, Techniques for Measuring Body Composition): fat 0.900 kg/l, all else 1.100 kg/l. They are the same as Siri's
equation BFP = 495 / density - 450, by which `models.fit.density` turns mass into volume.
"""

from __future__ import annotations

FAT_DENSITY, LEAN_DENSITY = 0.900, 1.100  # kg/l


def density(body_fat_percent: float) -> float:
    """Density of the whole body, kg/l."""
    fat = body_fat_percent / 100
    return 1.0 / (fat / FAT_DENSITY + (1.0 - fat) / LEAN_DENSITY)


def mass_at(weight_kg: float, body_fat_percent: float, other_percent: float) -> float:
    """The mass of a person of `weight_kg` and `body_fat_percent` at another BFP, the fat-free mass being the same."""
    return weight_kg * (100.0 - body_fat_percent) / (100.0 - other_percent)


def volume_of_fat(mass_kg: float) -> float:
    """Litres that a mass of fat takes."""
    return mass_kg / FAT_DENSITY
