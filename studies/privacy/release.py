"""A study's data for others: without identifiers, with shifted dates, and without cells that few people share.

Identifiers and dates are replaced by `studies.deidentified`. What is added here is small-cell suppression: people whose
sex, age band, ethnicity and site are shared by fewer than the plan's `minimum_cell` people lose the value that sets
them apart, step by step, until nobody stands in a small cell (local suppression; Hundepool and others, Statistical
Disclosure Control, 2012, section 3.5.3). Ages from 90 on are one band, as HIPAA's safe harbor has it (45 CFR 164.514).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from studies.deidentified import deidentified
from studies.errors import DataError

QUASI_IDENTIFIERS = ("ethnicity", "site", "age_band", "sex")
"""What people can be told apart by, in the order in which it is given up; what else the plan reads of them goes first.
"""
BAND_YEARS, OLD = 10, 90
TABLES = ("subjects", "visits", "measurements")


@dataclass(frozen=True)
class Released:
    """Tables to hand out. suppressed: how many values of which column were taken out; people: how many there are."""

    tables: dict[str, pd.DataFrame]
    suppressed: dict[str, int]
    people: int
    minimum: int


def release_tables(inputs: dict[str, Any]) -> Released:
    """The tables of `studies.registry.analysis.study_inputs`, to hand out. Each call gives other codes and dates.

    Raises DataError for a study of fewer people than the plan's minimum cell.
    """
    minimum = inputs["plan"].minimum_cell
    if len(inputs["subjects"]) < minimum:
        raise DataError(
            f"The study has fewer than {minimum} subjects, the plan's minimum cell: nothing of it can be handed out.",
            remedy="Wait until there are more.",
        )
    plain = deidentified(inputs)
    people = _banded(plain["subjects"])
    others = [name for name in people if name not in ("subject_id", "enrolled_on", *QUASI_IDENTIFIERS)]
    subjects, suppressed = suppress_small_cells(people, minimum, (*others, *QUASI_IDENTIFIERS))
    tables = {"subjects": subjects, **{name: plain[name] for name in TABLES[1:]}}
    return Released(tables, suppressed, len(subjects), minimum)


def suppress_small_cells(
    people: pd.DataFrame, minimum: int, columns: tuple[str, ...] = QUASI_IDENTIFIERS
) -> tuple[pd.DataFrame, dict[str, int]]:
    """The people without values that fewer than `minimum` of them share in combination, and how many went by column.

    A missing value sets nobody apart from others in whom it is missing. Those who still stand in a small cell when all
    columns have been given up in them are joined by the people of the next smallest cell, so that the few whose values
    are missing are not few.
    """
    columns = tuple(name for name in columns if name in people)
    table = people.copy()
    for name in columns:
        table[name] = table[name].astype("object").where(table[name].notna(), None)
    suppressed = dict.fromkeys(columns, 0)
    for name in columns:
        small = _cell_sizes(table, columns) < minimum
        gone = small & table[name].notna()
        table.loc[gone, name] = None
        suppressed[name] += int(gone.sum())
    while len(table) >= minimum:
        sizes = _cell_sizes(table, columns)
        if sizes.min() >= minimum:
            break
        nearest = sizes[sizes >= minimum].min()
        joined = (sizes < minimum) | (sizes == nearest)
        for name in columns:
            gone = joined & table[name].notna()
            table.loc[gone, name] = None
            suppressed[name] += int(gone.sum())
    return table, {name: count for name, count in suppressed.items() if count}


def _cell_sizes(table: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    """How many people share each person's values."""
    if not columns:
        return pd.Series(len(table), index=table.index)
    keys = pd.MultiIndex.from_frame(table[list(columns)].astype("object").fillna("\0"))
    return pd.Series(keys.map(keys.value_counts()).to_numpy(), index=table.index)


def _banded(subjects: pd.DataFrame) -> pd.DataFrame:
    """Age as a band of ten years, which few people are alone in, instead of years."""
    age = pd.to_numeric(subjects["age"], errors="coerce")
    lower = (age // BAND_YEARS * BAND_YEARS).clip(upper=OLD)
    labels = [
        None if pd.isna(low) else f"{OLD} or older" if low >= OLD else f"{low:.0f}–{low + BAND_YEARS - 1:.0f}"
        for low in lower
    ]
    place = list(subjects.columns).index("age")
    banded = subjects.drop(columns="age")
    banded.insert(place, "age_band", pd.Series(labels, index=subjects.index, dtype="object"))
    return banded
