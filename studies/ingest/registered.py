"""What the registry holds already, for the rows of an ingest to be judged beside."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, func, select

from studies.ingest import normalise
from studies.quality import anthropometry
from studies.quality.facts import Gathered
from studies.registry.columns import column_parts
from studies.registry.schema import Reading, Subject, Visit

_TEXT = pa.large_string()
_PEOPLE = pa.schema(
    {"subject_id": _TEXT, "birth_date": pa.date32(), "enrolled_on": pa.date32(), "age": pa.float64()}
)  # fmt: skip
_BODY = pa.schema({"subject_id": _TEXT, "visit": _TEXT, "measurand": _TEXT, "method": _TEXT, "value": pa.float64()})
_DATES = pa.schema({"subject_id": _TEXT, "visit": _TEXT, "moment": pa.timestamp("us")})


def registered_people(connection: Connection, study_id: int) -> pd.DataFrame:
    """The subjects of a study, indexed by subject_id: `birth_date`, `enrolled_on`, `age`, `registered`, `problem`."""
    query = select(Subject.code, Subject.birth_date, Subject.enrolled_on, Subject.age)
    query = query.where(Subject.study_id == study_id)
    people = pa.concat_tables(column_parts(connection, query, _PEOPLE)).to_pandas(date_as_object=False)
    people = people.astype({"birth_date": "datetime64[us]", "enrolled_on": "datetime64[us]"})
    years = (people["enrolled_on"] - people["birth_date"]).dt.total_seconds() / (365.25 * 86400)
    people["age"] = people["age"].fillna(years)
    people["registered"], people["problem"] = True, pd.Series(pd.NA, index=people.index, dtype="str")
    return people.set_index("subject_id")


def gather_registered(connection: Connection, study_id: int, gathered: Gathered) -> None:
    """Let the values of mass, stature, BMI and waist and the dates of visits that are registered be known."""
    visits = select(Visit.id).join(Subject).where(Subject.study_id == study_id)
    body = (
        select(Subject.code, Visit.label, Reading.measurand, Reading.method, Reading.value)
        .join_from(Reading, Visit, Reading.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
        .where(Subject.study_id == study_id, Reading.measurand.in_(anthropometry.MEASURANDS))
    )
    values = []
    for part in column_parts(connection, body, _BODY):
        rows = part.to_pandas()
        gathered.add_statures(rows)
        # Only the visit's key is kept of its name: there are a million texts otherwise.
        values.append(rows.assign(visit_key=normalise.visit_keys(rows)).drop(columns=["subject_id", "visit"]))
    gathered.add_registered_body(pd.concat(values, ignore_index=True))
    first = (
        select(Reading.visit_id, func.min(Reading.measured_at).label("moment"))
        .where(Reading.visit_id.in_(visits), Reading.measured_at.is_not(None))
        .group_by(Reading.visit_id)
        .subquery()
    )
    dates = (
        select(Subject.code, Visit.label, first.c.moment)
        .join_from(first, Visit, first.c.visit_id == Visit.id)
        .join(Subject, Visit.subject_id == Subject.id)
    )
    days = pa.concat_tables(column_parts(connection, dates, _DATES)).to_pandas()
    gathered.add_dates(days["subject_id"], days["visit"], days["moment"])
