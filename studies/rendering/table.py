"""Rendered scans for the people of a table on disk: a new folder in Calliper's own format, to ingest or to train on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from studies.canonical import KEYS, TABLES
from studies.errors import DataError, Faults, Where
from studies.ingest import normalise
from studies.ingest.mapping import Mapping
from studies.ingest.transform import Transformer, bind
from studies.measurands import MEASURANDS
from studies.readers import ReaderOptions, SourceTable, open_sources
from studies.rendering.people import TAPE, USED, Refusal

_OF_SUBJECTS = ("site", "ethnicity", "consent", "enrolled_on", "birth_date")


@dataclass(frozen=True)
class PeopleTable:
    """The canonical `subjects` (with the attributes kept) and `readings` of a table; `unreadable`: other cells."""

    subjects: pd.DataFrame
    readings: pd.DataFrame
    unreadable: list[Refusal]


def read_people_table(path: Path, mapping: Mapping | None = None) -> PeopleTable:
    """The people of a file, by `mapping`, or by columns that bear the canonical names: subject_id, sex, age,
    stature_cm, weight_kg, and any of visit, measured_at, ethnicity, site and the other measurands that rendering uses.

    Raises DataError (or Faults) where the file cannot be read, lacks a column, or names a person twice.
    """
    options = mapping.options if mapping else None
    reader = ReaderOptions(
        delimiter=options.delimiter, encoding=options.encoding, decimal=options.decimal, sheet=options.sheet
    ) if options else None  # fmt: skip
    tables = open_sources([path], options=reader)
    try:
        return _read(mapping or _by_names(tables), tables)
    finally:
        for table in tables:
            table.close()


def _by_names(tables: list[SourceTable]) -> Mapping:
    """The mapping of a table whose columns bear the canonical names."""
    table = tables[0]
    if len(tables) > 1:
        raise DataError(
            f"holds {len(tables)} tables.",
            where=Where(file=table.path.name),
            remedy="Say what they are with --mapping.",
        )
    here = {column.casefold() for column in table.columns}
    needed = [name for name in ("subject_id", "sex", "age", "stature_cm", "weight_kg") if name not in here]
    if needed:
        raise DataError(
            f"has no column {', '.join(needed)}; it has {', '.join(table.columns[:12])}{' ...' * (len(here) > 12)}.",
            where=Where(file=table.path.name),
            remedy="Rename the columns, or say with --mapping which they are.",
        )
    visit = {name: name for name in ("visit", "measured_at") if name in here}
    sexes = {"F": "F", "female": "F", "woman": "F", "M": "M", "male": "M", "man": "M"}
    subjects = {"subject_id": "subject_id", "age": "age", "sex": {"column": "sex", "recode": sexes}}
    document = {
        "calliper_mapping": 1, "name": "people", "sources": {"people": {"files": [table.name]}},
        "subjects": [
            {"from": "people", "columns": subjects | {name: name for name in _OF_SUBJECTS if name in here},
             "attributes": [name for name in ("monk_skin_tone",) if name in here]},
        ],
        "readings": [
            {"from": "people", "columns": {"subject_id": "subject_id", "method": {"constant": TAPE}, **visit},
             "values": [{"column": name, "measurand": name} for name in USED if name in here]},
        ],
    }  # fmt: skip
    return Mapping.model_validate(document)


def _read(mapping: Mapping, tables: list[SourceTable]) -> PeopleTable:
    binding = bind(mapping, tables)
    if binding.faults:
        raise binding.faults[0] if len(binding.faults) == 1 else Faults(binding.faults)
    found: dict[str, list[pd.DataFrame]] = {"subjects": [], "readings": []}
    for bound in (rule for rule in binding.rules if rule.table in found):
        transformer = Transformer(bound, mapping.options)
        transformer.observe_dates()
        found[bound.table] += list(transformer.chunks())
    file = tables[0].path.name
    for name, parts in found.items():
        if not sum(map(len, parts)):
            raise DataError(f"holds no {name}.", where=Where(file=file), remedy="Check the file and its mapping.")
    subjects = normalise.subjects(pd.concat(found["subjects"], ignore_index=True))
    readings = normalise.readings(pd.concat(found["readings"], ignore_index=True))
    _check_repeats(subjects, readings, file)
    unreadable = [*_unreadable(subjects, "subjects"), *_unreadable(readings, "readings")]
    names = [item.name for item in TABLES["subjects"]]
    attributes = pd.DataFrame([json.loads(text) for text in subjects["attributes"]], index=subjects.index)
    kept = pd.concat(
        [subjects.assign(age=subjects["known_age"])[names], attributes.drop(columns=names, errors="ignore")], axis=1
    )
    good = readings["value"].notna() & readings["unit_problem"].isna() & readings["measurand"].isin(list(MEASURANDS))
    columns = [item.name for item in TABLES["readings"]]
    return PeopleTable(kept, readings.loc[good, columns].reset_index(drop=True), unreadable)


def _check_repeats(subjects: pd.DataFrame, readings: pd.DataFrame, file: str) -> None:
    """Raise DataError where a person, or a reading of one, is there twice, or nobody's."""
    for table, key in ((subjects, ["subject_id"]), (readings, KEYS["readings"])):
        nobody = table.index[table["subject_id"].isna()]
        if len(nobody):
            row = int(table["row"].iloc[nobody[0]])
            raise DataError("The subject_id is missing.", where=Where(file=file, row=row), remedy="Fill it in.")
        twice = table[table.duplicated(list(key), keep=False)]
        if len(twice):
            one = twice[twice["subject_id"] == twice["subject_id"].iloc[0]]
            first, second = (int(row) for row in one["row"].iloc[:2])
            raise DataError(
                f"Subject '{one['subject_id'].iloc[0]}' is there twice (also in row {first:,}).",
                where=Where(file=file, row=second),
                remedy="Give every person one row; for several visits ingest the table, then render the study.",
            )


def _unreadable(table: pd.DataFrame, name: str) -> Iterator[Refusal]:
    """Cells that hold something else than they should."""
    for item in TABLES[name]:
        bad = table.get(f"bad_{item.name}")
        for row in table[bad].itertuples() if bad is not None else ():
            what = row.column if item.name == "value" else item.name
            yield Refusal(row.subject_id, getattr(row, "visit", None), f"{what} cannot be read (row {row.row:,})")
