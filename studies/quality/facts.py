"""Facts that no single row holds: who is registered, what repeats, what the person's other values and dates say.

`Gathered` is filled while the sources are read the first time; `Facts` then adds to every chunk the columns that the
rules speak of. What is gathered grows with the number of subjects and visits, not of readings, but for one 64-bit key
a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from studies.quality import anthropometry
from studies.quality.rules import EARLIEST
from studies.visits import visit_sequence


@dataclass
class Gathered:
    """What the first reading of the sources has collected. `order` are the visits' labels in order, if known."""

    order: Sequence[str] = ()
    keys: dict[str, list[np.ndarray]] = field(default_factory=dict)
    body: list[pd.DataFrame] = field(default_factory=list)
    statures: list[pd.DataFrame] = field(default_factory=list)
    dates: list[pd.DataFrame] = field(default_factory=list)
    _sequences: dict[str, float] = field(default_factory=dict)

    def add(self, table: str, chunk: pd.DataFrame) -> None:
        self.keys.setdefault(table, []).append(chunk["row_key"].to_numpy())
        moment = {"readings": "measured_at", "scans": "captured_at"}.get(table)
        if moment:
            self.add_dates(chunk["subject_id"], chunk["visit"], chunk[moment])
        if table == "readings":
            self.add_body(chunk)
            self.add_statures(chunk)

    def add_body(self, rows: pd.DataFrame) -> None:
        """Values of mass, stature, BMI and waist: columns `visit_key`, `measurand`, `method`, `value`."""
        here = rows["measurand"].isin(anthropometry.MEASURANDS) & rows["value"].notna()
        # A whole-body mass by DXA is no weighing; it neither judges nor is judged.
        here &= rows["method"].ne("dxa").fillna(True).astype(bool)
        if here.any():
            self.body.append(rows.loc[here, ["visit_key", "measurand", "value"]])

    def add_statures(self, rows: pd.DataFrame) -> None:
        """Statures at any visit, as adults have them: columns `subject_id`, `measurand`, `value`."""
        here = rows["measurand"].eq("stature_cm") & rows["value"].between(*anthropometry.ADULT_STATURE_CM)
        if here.any():
            found = rows.loc[here, ["subject_id", "value"]]
            self.statures.append(pd.DataFrame({"subject": _subject_keys(found["subject_id"]), "value": found["value"]}))

    def add_dates(self, subjects: pd.Series, visits: pd.Series, moments: pd.Series) -> None:
        """First and last date of each visit whose place in the order is known."""
        if moments.notna().any():
            frame = pd.DataFrame({"subject_id": subjects, "sequence": self.sequence(visits), "moment": moments})
            frame = frame.dropna()
            # A date that is no date of this study (a slip of the century) judges no other.
            frame = frame[frame["moment"].between(pd.Timestamp(EARLIEST), pd.Timestamp.now())]
            grouped = frame.groupby(["subject_id", "sequence"], sort=False)["moment"]
            self.dates.append(grouped.agg(["min", "max"]).reset_index())

    def add_registered_body(self, rows: pd.DataFrame) -> None:
        """Values that the registry holds: they count only where the sources do not give that measurand themselves."""
        if self.body:
            given = pd.concat(self.body, ignore_index=True)
            here = pd.MultiIndex.from_frame(rows[["visit_key", "measurand"]])
            rows = rows[~here.isin(pd.MultiIndex.from_frame(given[["visit_key", "measurand"]]))]
        self.add_body(rows)

    def sequence(self, labels: pd.Series) -> np.ndarray:
        codes, distinct = pd.factorize(labels)
        for label in distinct:
            if label not in self._sequences:
                place = visit_sequence(label, self.order)
                self._sequences[label] = np.nan if place is None else float(place)
        places = np.array([self._sequences[label] for label in distinct] + [np.nan])
        return places[codes]

    def repeated_keys(self, table: str) -> np.ndarray:
        """Keys that occur more than once."""
        arrays = self.keys.get(table, [])
        if not arrays:
            return np.empty(0, dtype=np.uint64)
        keys = np.sort(np.concatenate(arrays))
        return np.unique(keys[1:][keys[1:] == keys[:-1]])


class Facts:
    """Adds the facts to chunks. `people` is indexed by subject_id: `birth_date`, `enrolled_on`, `age`, `problem`."""

    def __init__(
        self, gathered: Gathered, *, now: datetime, repeated: dict[str, pd.Series], people: pd.DataFrame | None = None
    ):
        self.gathered = gathered
        self.people = people if people is not None else pd.DataFrame()
        # A day's grace: the ingest may run in another time zone than the clinic.
        self.latest = np.datetime64((now + timedelta(days=1)).replace(microsecond=0), "us")
        self.repeated = repeated
        self._bodies = _bodies(gathered.body)
        self._statures = _statures(gathered.statures)
        self._earlier = _earlier(gathered.dates)

    def subjects(self, chunk: pd.DataFrame) -> pd.DataFrame:
        self._time_limits(chunk)
        chunk["repeated"] = self._repeats("subjects", chunk)
        return chunk

    def readings(self, chunk: pd.DataFrame) -> pd.DataFrame:
        person = self._person(chunk)
        self._time_facts(chunk, person, "measured_at", "was measured")
        chunk["repeated"] = self._repeats("readings", chunk)
        age = person["age"].to_numpy(float)
        chunk["body_problem"] = pd.Series(pd.NA, index=chunk.index, dtype="str")
        chunk["body_doubt"] = pd.Series(pd.NA, index=chunk.index, dtype="str")
        here = chunk["measurand"].isin(anthropometry.MEASURANDS) & chunk["value"].notna() & chunk["method"].ne("dxa")
        here &= chunk["unit_problem"].isna() & chunk["value"].between(chunk["least"], chunk["most"])
        here = here.fillna(False).to_numpy(dtype=bool)
        if here.any():
            rows = chunk.loc[here, ["measurand", "value"]].assign(adult=age[here] >= anthropometry.ADULT_AGE)
            beside = self._bodies.reindex(chunk.loc[here, "visit_key"].to_numpy())
            # Adults are measured once: at other visits their stature is still known.
            elsewhere = self._statures.reindex(_subject_keys(chunk.loc[here, "subject_id"])).to_numpy()
            beside["stature_cm"] = beside["stature_cm"].where(
                beside["stature_cm"].notna() | ~rows["adult"].to_numpy(), elsewhere
            )
            judged = anthropometry.problems(rows, beside)
            chunk.loc[here, "body_problem"], chunk.loc[here, "body_doubt"] = judged["problem"], judged["doubt"]
        return chunk

    def scans(self, chunk: pd.DataFrame) -> pd.DataFrame:
        self._time_facts(chunk, self._person(chunk), "captured_at", "was captured")
        chunk["repeated"] = self._repeats("scans", chunk)
        return chunk

    def _person(self, chunk: pd.DataFrame) -> pd.DataFrame:
        person = self.people.reindex(chunk["subject_id"])
        person.index = chunk.index
        registered = person["registered"].eq(True).fillna(False).to_numpy(dtype=bool)
        problem = person["problem"]
        unknown = ~registered & problem.isna().to_numpy() & chunk["subject_id"].notna().to_numpy()
        if unknown.any():
            strangers = "subject '" + chunk["subject_id"] + "' is not registered"
            problem = problem.where(~unknown, strangers)
        chunk["subject_problem"] = problem
        return person

    def _time_limits(self, chunk: pd.DataFrame) -> None:
        chunk["earliest_date"], chunk["latest_date"] = np.datetime64(EARLIEST, "us"), self.latest

    def _time_facts(self, chunk: pd.DataFrame, person: pd.DataFrame, column: str, verb: str) -> None:
        self._time_limits(chunk)
        day = chunk[column].dt.normalize()
        for name, date, words in (
            ("before_birth", "birth_date", "before birth on"),
            ("before_enrolment", "enrolled_on", "before enrolment on"),
        ):
            early = np.flatnonzero(day < person[date])
            chunk[name] = _texts(
                chunk, {i: f"{verb} on {day.iloc[i]:%Y-%m-%d}, {words} {person[date].iloc[i]:%Y-%m-%d}" for i in early}
            )
        texts: dict[int, str] = {}
        if len(self._earlier) and chunk[column].notna().any():
            places = pd.MultiIndex.from_arrays([chunk["subject_id"], self.gathered.sequence(chunk["visit"])])
            before = self._earlier.reindex(places)
            late = (day.to_numpy() < before.to_numpy()) & pd.notna(before).to_numpy()
            for i in np.flatnonzero(late):
                texts[i] = f"visit {chunk['visit'].iloc[i]} is dated {day.iloc[i]:%Y-%m-%d}, but an earlier visit was "
                texts[i] += f"on {before.iloc[i]:%Y-%m-%d}"
        chunk["visit_problem"] = _texts(chunk, texts)

    def _repeats(self, table: str, chunk: pd.DataFrame) -> pd.Series:
        known = self.repeated.get(table)
        if known is None or known.empty:
            return pd.Series(pd.NA, index=chunk.index, dtype="str")
        columns = ["source", "row", *(["column"] if table == "readings" else [])]
        found = known.reindex(pd.MultiIndex.from_frame(chunk[columns]))
        found.index = chunk.index
        return found.astype("str")


def _texts(chunk: pd.DataFrame, texts: dict[int, str]) -> pd.Series:
    """A column of text for `chunk`, missing but at the positions given."""
    if not texts:
        return pd.Series(pd.NA, index=chunk.index, dtype="str")
    cells = np.full(len(chunk), None, dtype=object)
    cells[list(texts)] = list(texts.values())
    return pd.Series(cells, index=chunk.index, dtype="str")


def _bodies(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Mean of each measurand at each visit: index visit_key, a column each. The latest part counts where both know."""
    if not parts:
        return pd.DataFrame(columns=list(anthropometry.MEASURANDS), dtype=float)
    frame = pd.concat(parts, ignore_index=True)
    wide = frame.pivot_table(index="visit_key", columns="measurand", values="value", aggfunc="mean")
    return wide.reindex(columns=list(anthropometry.MEASURANDS))


def _statures(parts: list[pd.DataFrame]) -> pd.Series:
    """Mean stature of each subject over all visits, by the subject's key."""
    if not parts:
        return pd.Series(dtype=float)
    return pd.concat(parts, ignore_index=True).groupby("subject")["value"].mean()


def _subject_keys(subjects: pd.Series) -> np.ndarray:
    return pd.util.hash_pandas_object(subjects, index=False).to_numpy()


def _earlier(parts: list[pd.DataFrame]) -> pd.Series:
    """For each subject and place in the order, the first day of the latest visit that comes before it."""
    if not parts:
        return pd.Series(dtype="datetime64[us]")
    frame = pd.concat(parts, ignore_index=True)
    first = frame.groupby(["subject_id", "sequence"])["min"].min().dt.normalize().sort_index()
    seen = first.groupby(level="subject_id").cummax()
    return seen.groupby(level="subject_id").shift(1)


def repeats(candidates: pd.DataFrame, key: Sequence[str], content: Sequence[str], names: Sequence[str]) -> pd.Series:
    """What to say of rows with the same key, indexed by source, row (and column, where it is there).

    The first of identical rows stays; where rows with one key differ, none can be trusted and all are named.
    """
    places = ["source", "row", *(["column"] if "column" in candidates else [])]
    frame = candidates.sort_values(places, kind="stable")
    frame = frame[frame.duplicated(list(key), keep=False) & frame[key[0]].notna()]
    texts: dict[tuple, str] = {}
    for _, group in frame.groupby(list(key), dropna=False, sort=False):
        alike = group.drop_duplicates(list(content))
        first = group.iloc[0]
        where = [f"{names[int(row.source)]} row {row.row:,}" for row in group.itertuples()]
        for position, row in enumerate(group[places].itertuples(index=False, name=None)):
            if len(alike) == 1:
                if position:
                    texts[row] = f"repeats {names[int(first['source'])]} row {int(first['row']):,} exactly"
            else:
                others = [place for i, place in enumerate(where) if i != position]
                texts[row] = f"contradicts {others[0]}" + (f" and {len(others) - 1} more" if len(others) > 1 else "")
    if not texts:
        return pd.Series(dtype="str")
    return pd.Series(list(texts.values()), index=pd.MultiIndex.from_tuples(list(texts), names=places), dtype="str")
