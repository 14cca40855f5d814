"""Canonical chunks as the registry will hold them: canonical units, a label for every visit, a key for every row."""

from __future__ import annotations

import numpy as np
import pandas as pd

from studies.canonical import DEFAULT_VISIT, KEYS
from studies.measurands import MEASURANDS

_NOTHING = pd.NA


def _hash(frame: pd.DataFrame, columns: tuple[str, ...]) -> np.ndarray:
    return pd.util.hash_pandas_object(frame[list(columns)], index=False).to_numpy()


def subjects(chunk: pd.DataFrame) -> pd.DataFrame:
    """Adds `row_key`, `known_age` (years: given, or from the dates) and `age_discrepancy` (given minus the dates')."""
    chunk = chunk.copy()
    by_dates = (chunk["enrolled_on"] - chunk["birth_date"]).dt.total_seconds() / (365.25 * 86400)
    chunk["known_age"] = (
        chunk["age"].fillna(by_dates).where(chunk["birth_date"].isna() | chunk["age"].notna(), by_dates)
    )
    chunk.loc[chunk["birth_date"].notna() & chunk["known_age"].isna(), "known_age"] = 0.0
    # Whole years of age lie on average half a year below the exact age.
    chunk["age_discrepancy"] = chunk["age"] + 0.5 - by_dates
    chunk["row_key"] = _hash(chunk, KEYS["subjects"])
    return chunk


def readings(chunk: pd.DataFrame) -> pd.DataFrame:
    """Values in canonical units (`reported_value` and `reported_unit` keep the source's), visits and keys filled in."""
    chunk = chunk.copy()
    chunk["measurand"] = chunk["measurand"].str.lower()
    chunk["method"] = chunk["method"].str.lower().str.replace(" ", "_")
    chunk["device"] = chunk["device"].fillna("")
    chunk["visit"] = visit_labels(chunk["visit"], chunk["measured_at"])
    _to_canonical_units(chunk)
    chunk["row_key"] = _hash(chunk, KEYS["readings"])
    chunk["visit_key"] = visit_keys(chunk)
    return chunk


def scans(chunk: pd.DataFrame) -> pd.DataFrame:
    """Visits and keys filled in."""
    chunk = chunk.copy()
    chunk["device"] = chunk["device"].fillna("")
    chunk["visit"] = visit_labels(chunk["visit"], chunk["captured_at"])
    chunk["row_key"] = _hash(chunk, KEYS["scans"])
    return chunk


def visit_keys(chunk: pd.DataFrame) -> np.ndarray:
    """A 64-bit key of subject and visit."""
    return _hash(chunk, ("subject_id", "visit"))


def visit_labels(labels: pd.Series, moments: pd.Series) -> pd.Series:
    """The label given, else the date of the moment, else `baseline`."""
    if labels.notna().all():
        return labels
    return labels.fillna(moments.dt.strftime("%Y-%m-%d").astype("str")).fillna(DEFAULT_VISIT)


def _to_canonical_units(chunk: pd.DataFrame) -> None:
    """One look-up for each distinct pair of measurand and unit, spread over the rows."""
    (name_codes, names), (unit_codes, units) = (pd.factorize(chunk[column]) for column in ("measurand", "unit"))
    width = len(units) + 1  # a missing value has the code -1, which becomes 0
    codes, distinct = pd.factorize((name_codes + 1) * width + unit_codes + 1)
    factor, least, most = (np.full(len(distinct), value) for value in (1.0, -np.inf, np.inf))
    unit, problem = (np.full(len(distinct), None, dtype=object) for _ in range(2))
    for i, pair in enumerate(distinct.tolist()):
        name_code, unit_code = divmod(pair, width)
        name = names[name_code - 1] if name_code else None
        given = units[unit_code - 1] if unit_code else None
        measurand = MEASURANDS.get(name)
        if measurand is None:
            continue
        found = measurand.factor(given)
        unit[i] = measurand.unit
        if found is None:
            known = ", ".join(dict.fromkeys(measurand.units))
            problem[i] = f"'{given}' is not a unit of {name}; known: {known}"
        else:
            factor[i], (least[i], most[i]) = found, measurand.plausible
    converted = factor[codes] != 1.0
    reported = chunk["value"]
    chunk["reported_value"] = reported.where(converted)
    chunk["reported_unit"] = chunk["unit"].where(converted)
    chunk["value"] = np.where(converted, _tidy(reported * factor[codes]), reported)
    for column, texts in (("unit", unit), ("unit_problem", problem)):
        chunk[column] = pd.array(texts, dtype="str").take(codes)
    chunk["least"], chunk["most"] = least[codes], most[codes]


def _tidy(values: pd.Series) -> np.ndarray:
    """Twelve significant digits: 25071.2 g is 25.0712 kg and not 25.071200000000001."""
    array = values.to_numpy(float)
    with np.errstate(all="ignore"):
        scale = 10.0 ** (11 - np.floor(np.log10(np.abs(array))))
        tidy = np.round(array * scale) / scale
    return np.where(np.isfinite(tidy), tidy, array)
