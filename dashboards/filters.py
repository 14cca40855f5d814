"""Filters: which pairs a page shows. They live in the URL, so that a view can be shared, and hold across pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlencode

from studies.errors import UsageError

OLDEST = 130


@dataclass(frozen=True)
class Filters:
    """Values of each attribute that are let through; empty lets all through. age: lowest and highest, in years.

    run: the run whose predictions are analysed, by default the newest finished one ("checkpoint" on the pages).
    measurand: what is looked at, by default what the plan names; pages that know no other leave it alone.
    """

    site: tuple[str, ...] = ()
    sex: tuple[str, ...] = ()
    ethnicity: tuple[str, ...] = ()
    bmi: tuple[str, ...] = ()
    phone: tuple[str, ...] = ()
    age: tuple[float | None, float | None] = (None, None)
    run: int | None = None
    measurand: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, Any]) -> Filters:
        """The filters of a URL's query. Raises UsageError for an age or a run that is no number."""
        chosen = {name: _values(query.get(name)) for name in ATTRIBUTES}
        ages = _values(query.get("age"))
        runs = _values(query.get("run"))
        measurands = _values(query.get("measurand"))
        return cls(
            **chosen,
            age=_ages(ages[0]) if ages else (None, None),
            run=_run(runs[0]) if runs else None,
            measurand=measurands[0] if measurands else "",
        )

    def to_query(self) -> dict[str, list[str]]:
        """What stands in the URL, in a fixed order; nothing where nothing is filtered."""
        query = {name: list(getattr(self, name)) for name in ATTRIBUTES if getattr(self, name)}
        if self.age != (None, None):
            query["age"] = ["-".join("" if end is None else f"{end:g}" for end in self.age)]
        if self.run is not None:
            query["run"] = [str(self.run)]
        if self.measurand:
            query["measurand"] = [self.measurand]
        return query

    @property
    def of_people(self) -> bool:
        """Whether any pair may be left out."""
        return self != Filters(run=self.run, measurand=self.measurand)

    def said(self) -> list[str]:
        """What is filtered, in words."""
        told = [f"{LABELS[name]}: {', '.join(getattr(self, name))}" for name in ATTRIBUTES if getattr(self, name)]
        low, high = self.age
        if low is not None and high is not None:
            told.append(f"Age: {low:g} to {high:g} years")
        elif low is not None or high is not None:
            told.append(f"Age: at least {low:g} years" if high is None else f"Age: at most {high:g} years")
        return told


ATTRIBUTES = ("site", "sex", "ethnicity", "bmi", "phone")
LABELS = {"site": "Site", "sex": "Sex", "ethnicity": "Ethnicity", "bmi": "BMI class", "phone": "Phone", "age": "Age"}
NAMES = tuple(part.name for part in fields(Filters))


def address(path: str, filters: Filters, options: Mapping[str, str] | None = None) -> str:
    """The URL of a page with these filters and options."""
    query = {**filters.to_query(), **{key: [value] for key, value in (options or {}).items() if value}}
    return f"{path}?{urlencode(query, doseq=True)}" if query else path


def _values(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    listed: Sequence[Any] = value if isinstance(value, list | tuple) else [value]
    return tuple(dict.fromkeys(str(item) for item in listed if str(item) != ""))


def _ages(text: str) -> tuple[float | None, float | None]:
    parts = text.split("-")
    try:
        if len(parts) != 2:
            raise ValueError
        low, high = (float(part) if part.strip() else None for part in parts)
        if any(end is not None and not 0 <= end <= OLDEST for end in (low, high)):
            raise ValueError
    except ValueError:
        raise UsageError(
            f"The age '{text}' in the address is not understood.",
            remedy=f"Write it as age=40-60, age=40- or age=-60, with years from 0 to {OLDEST}.",
        ) from None
    if low is not None and high is not None and low > high:
        raise UsageError(f"Nobody is at least {low:g} and at most {high:g} years old.", remedy="Swap the two ages.")
    return low, high


def _run(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 2**31:
        raise UsageError(f"'{text}' in the address is not the number of a run.", remedy="Write it as run=3.")
    return int(text)
