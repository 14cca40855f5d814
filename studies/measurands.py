"""What can be measured: the measurands, their canonical units, the units they may arrive in, and plausible values.

The plausible ranges are the widest values that a living person of any age can have: a value outside is an error of
entry or of unit. Narrower, relational checks (a mass in pounds under `kg`) are in `studies.quality`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_LENGTH_CM = {"cm": 1.0, "mm": 0.1, "m": 100.0, "in": 2.54, "inch": 2.54, "inches": 2.54, "ft": 30.48, "[in_i]": 2.54}
_LENGTH_MM = {"mm": 1.0, "cm": 10.0}
_MASS_KG = {
    "kg": 1.0, "g": 0.001, "hg": 0.1, "lb": 0.45359237, "lbs": 0.45359237, "pound": 0.45359237,
    "pounds": 0.45359237, "[lb_av]": 0.45359237, "st": 6.35029318,
}  # fmt: skip
_PERCENT = {"%": 1.0, "percent": 1.0, "pct": 1.0, "fraction": 100.0, "1": 100.0}
_OHM = {"ohm": 1.0, "Ω": 1.0}


@dataclass(frozen=True)
class Measurand:
    """One quantity. `units` maps each accepted unit (lower case) to the factor that brings it to `unit`."""

    name: str
    label: str
    unit: str
    plausible: tuple[float, float]
    units: dict[str, float] = field(default_factory=dict)

    def factor(self, unit: str | None) -> float | None:
        """The factor from `unit` to the canonical unit; None where `unit` is not one of this measurand's."""
        return 1.0 if unit is None else self.units.get(unit.strip().lower())


def _measurand(name: str, label: str, unit: str, low: float, high: float, units: dict[str, float]) -> Measurand:
    return Measurand(name, label, unit, (low, high), {alias.lower(): factor for alias, factor in units.items()})


MEASURANDS: dict[str, Measurand] = {
    m.name: m
    for m in (
        _measurand("body_fat_percent", "body fat percentage", "%", 2, 75, _PERCENT),
        _measurand("trunk_fat_percent", "trunk fat percentage", "%", 1, 80, _PERCENT),
        _measurand("fat_mass_kg", "fat mass", "kg", 0.1, 250, _MASS_KG),
        _measurand("fat_free_mass_kg", "fat-free mass", "kg", 1, 150, _MASS_KG),
        _measurand("lean_mass_kg", "lean soft-tissue mass", "kg", 1, 150, _MASS_KG),
        _measurand("bone_mineral_content_kg", "bone mineral content", "kg", 0.03, 8, _MASS_KG),
        _measurand("total_body_water_kg", "total body water", "kg", 1, 110, {**_MASS_KG, "l": 1.0}),
        _measurand("weight_kg", "body mass", "kg", 1, 400, _MASS_KG),
        _measurand("stature_cm", "stature", "cm", 40, 250, _LENGTH_CM),
        _measurand("bmi", "body mass index", "kg/m²", 7, 100, {"kg/m2": 1.0, "kg/m²": 1.0, "kg/m^2": 1.0}),
        _measurand("waist_cm", "waist girth", "cm", 25, 220, _LENGTH_CM),
        _measurand("waist_omphalion_cm", "waist girth at the navel", "cm", 25, 220, _LENGTH_CM),
        _measurand("hip_cm", "hip girth", "cm", 30, 230, _LENGTH_CM),
        _measurand("chest_cm", "chest girth", "cm", 30, 200, _LENGTH_CM),
        _measurand("neck_cm", "neck girth", "cm", 15, 75, _LENGTH_CM),
        _measurand("arm_cm", "mid-upper-arm girth", "cm", 6, 80, _LENGTH_CM),
        _measurand("forearm_cm", "forearm girth", "cm", 8, 60, _LENGTH_CM),
        _measurand("thigh_cm", "thigh girth", "cm", 15, 120, _LENGTH_CM),
        _measurand("upper_thigh_cm", "thigh girth below the gluteal fold", "cm", 18, 140, _LENGTH_CM),
        _measurand("calf_cm", "calf girth", "cm", 10, 80, _LENGTH_CM),
        _measurand("leg_length_cm", "leg length (crotch height)", "cm", 20, 130, _LENGTH_CM),
        _measurand("shoulder_breadth_cm", "shoulder breadth (biacromial)", "cm", 10, 70, _LENGTH_CM),
        _measurand("triceps_skinfold_mm", "triceps skinfold", "mm", 1, 90, _LENGTH_MM),
        _measurand("subscapular_skinfold_mm", "subscapular skinfold", "mm", 1, 90, _LENGTH_MM),
        _measurand("resistance_50khz_ohm", "resistance at 50 kHz", "ohm", 100, 2000, _OHM),
        _measurand("reactance_50khz_ohm", "reactance at 50 kHz", "ohm", 5, 400, _OHM),
    )
}
