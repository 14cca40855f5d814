"""Frames without names: people in an order that their data give, not their identifiers.

Random numbers are dealt by position, ties are broken by label, and sums depend in their last digit on the order of what
is added. If any of these followed the identifiers, the same people under other names would give other results, and
nobody could recompute a study from data whose identifiers were replaced. So an analysis sees people under their rank by
a hash of what is known of them, which is as good as a random order; the identifiers come back for the tables that name
subjects.

The hash knows no identifier (subject, visit, device, measurement), no date, only days between dates, and of the
attributes only those that the analysis reads: what is kept when identifiers are replaced, dates shifted and free text
left out. People who are the same in all of this are interchangeable in the analysis as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from studies.frames import Frames, plain_text

_KNOWN = ("sex", "age", "ethnicity", "site")
_OF_MEASUREMENTS = ("measurand", "method", "unit", "kind", "flags")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: spreads sums of hashes


@dataclass(frozen=True)
class Names:
    """The identifiers that were taken away: `subject_ids` by rank, and the position that each had by identifier."""

    subject_ids: NDArray[np.object_]
    positions: NDArray[np.intp]

    def take_away(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with ranks for identifiers, in the order of ranks; rows of one subject stay as they are ordered."""
        known = pd.Index(self.subject_ids)
        rank = known.get_indexer(frame["subject_id"].astype("object"))
        labels = _labels(len(known))[rank]
        named = frame.assign(subject_id=pd.array(labels, dtype="str"))
        return named.take(np.argsort(rank, kind="stable")).reset_index(drop=True)

    def give_back(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with identifiers for ranks, its rows in the order of identifiers within each level and method.

        Levels and methods stay in the order in which they first appear, and so do the rows of one subject.
        """
        rank = frame["subject_id"].astype("int64").to_numpy()
        blocks = np.zeros(len(frame), dtype=np.int64)
        by_method = np.ones(len(frame), dtype=bool)
        if "level" in frame:
            blocks = pd.factorize(frame["level"])[0]
            by_method = (frame["level"] == "method").to_numpy()
        methods = np.where(by_method, pd.factorize(frame["method"])[0], 0)
        named = frame.assign(subject_id=pd.array(self.subject_ids[rank], dtype="str"))
        return named.take(np.lexsort([self.positions[rank], methods, blocks])).reset_index(drop=True)


def without_names(frames: Frames, attributes: Iterable[str] = ()) -> tuple[Frames, Names]:
    """The frames under ranks instead of identifiers ("0000000", "0000001", ...), and the identifiers.

    attributes: columns of the subjects that the analysis reads, beside sex, age, ethnicity and site.
    """
    order = np.argsort(_fingerprints(frames, attributes), kind="stable")
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    labels = _labels(len(order))

    subjects = frames.subjects.take(order).reset_index(drop=True)
    names = Names(subjects["subject_id"].to_numpy(dtype=object), order)
    subjects = subjects.assign(subject_id=pd.array(labels, dtype="str"))

    of_visit = rank[frames.visits["subject"].to_numpy()]
    moved = np.argsort(of_visit, kind="stable")
    visits = frames.visits.assign(subject=of_visit, subject_id=pd.array(labels[of_visit], dtype="str"))
    visits = visits.take(moved).reset_index(drop=True)
    place = np.empty(len(moved), dtype=np.intp)
    place[moved] = np.arange(len(moved))

    data = frames.measurements
    of_row, occasion = rank[data["subject"].to_numpy()], place[data["occasion"].to_numpy()]
    data = data.assign(subject=of_row, occasion=occasion, subject_id=pd.array(labels[of_row], dtype="str"))
    data = data.take(np.argsort(occasion, kind="stable")).reset_index(drop=True)
    return Frames(subjects, visits, data), names


def _labels(count: int) -> NDArray[np.object_]:
    digits = max(7, len(str(count)))
    return np.array([f"{position:0{digits}d}" for position in range(count)], dtype=object)


def _fingerprints(frames: Frames, attributes: Iterable[str]) -> NDArray[np.uint64]:
    """One number a subject, uint64[S]."""
    people, visits, data = frames.subjects, frames.visits, frames.measurements
    known = [name for name in dict.fromkeys([*_KNOWN, *attributes]) if name in people and name != "subject_id"]
    prints = _hashes({name: _of_people(people[name]) for name in known}, len(people))

    owner = visits["subject"].to_numpy()
    first = visits["date"].groupby(owner).transform("min")
    # Whole days apart, so that it is the same after every date of a person was shifted.
    started = first.dt.normalize()
    position = visits.groupby("subject").cumcount()
    of_visits = _hashes({"position": position, "since": _since(visits["date"], started)}, len(visits))
    prints += _added(of_visits, owner, len(people))

    occasion = data["occasion"].to_numpy()
    columns = {name: data[name].astype("str") for name in _OF_MEASUREMENTS if name in data}
    columns["value"], columns["replicate"] = data["value"], data["replicate"].astype("int64")
    columns["position"] = pd.Series(position.to_numpy()[occasion])
    columns["since"] = _since(data["measured_at"], pd.Series(started.to_numpy()[occasion]))
    return prints + _added(_hashes(columns, len(data)), data["subject"].to_numpy(), len(people))


def _since(times: pd.Series, start: pd.Series) -> pd.Series:
    """Seconds since the start, NaN where either is unknown."""
    return (times.reset_index(drop=True) - start.reset_index(drop=True)).dt.total_seconds()


def _of_people(column: pd.Series) -> pd.Series:
    """Numbers as floats, all else as text in which 1, 1.0 and "1" are the same, however the column stores it."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return pd.Series(column.to_numpy(dtype="float64", na_value=np.nan))
    return column.astype("object").map(plain_text, na_action="ignore").astype("str")


def _hashes(columns: dict[str, pd.Series], size: int) -> NDArray[np.uint64]:
    """A hash of each row, uint64[size]; the multiplication is modulo 2^64."""
    if not columns or not size:
        return np.zeros(size, dtype=np.uint64)
    frame = pd.DataFrame({name: column.reset_index(drop=True) for name, column in columns.items()})
    return pd.util.hash_pandas_object(frame, index=False).to_numpy() * _MULTIPLIER


def _added(hashes: NDArray[np.uint64], owner: NDArray[np.intp], size: int) -> NDArray[np.uint64]:
    """Sums by subject, modulo 2^64: whatever order the rows come in."""
    total = np.zeros(size, dtype=np.uint64)
    np.add.at(total, owner, hashes)
    return total
