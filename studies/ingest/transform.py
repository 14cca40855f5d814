"""Apply a mapping to source tables, chunk by chunk: rows of any shape in, canonical rows out.

A canonical chunk has the columns of its table in `canonical.TABLES`, and beside them

- ``bad_<field>``  true where the source held something that cannot be read as that field,
- ``source``       index of the source table, ``row`` the row in it as a person counts it,
- ``column``       (readings) the source column that the value came from,
- ``attributes``   (subjects, scans) the kept attributes as JSON text.

Nothing is judged here: that is the task of `studies.quality`.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from studies.canonical import EXPORT_PREFIX, TABLES, Field, can_be_bad
from studies.errors import DataError, Where
from studies.ingest.mapping import Condition, Join, Mapping, Options, TableRule, Value, WideValue
from studies.readers import DateParser, SourceTable, as_text, parse_numbers
from studies.suggestions import suggestion

CHUNK_ROWS = 50_000
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d+)?")


def as_code(values: pd.Series) -> pd.Series:
    """Values as identifiers: text without surrounding blanks, whole numbers without decimals; empty is missing."""
    text = as_text(values).str.strip()
    return text.mask(text.eq("").fillna(False).astype(bool))


@dataclass
class BoundRule:
    """A mapping rule for one canonical table, bound to one source table on disk."""

    table: str
    rule: TableRule
    source: SourceTable
    source_index: int
    position: int
    columns: dict[str, str] = field(default_factory=dict)  # name in the mapping, casefolded -> name in the source
    joined: list[tuple[Join, pd.DataFrame]] = field(default_factory=list)
    dates: dict[str, DateParser] = field(default_factory=dict)
    not_selected: Counter[str] = field(default_factory=Counter)
    rows_read: int = 0

    def name_in_source(self, column: str) -> str | None:
        return self.columns.get(column.casefold())

    def value_column(self, name: str) -> str | None:
        """The source column (first of several) behind a canonical column, for messages."""
        value = self.rule.columns.get(name)
        found = [self.name_in_source(column) for column in value.source_columns()] if value else []
        return next((column for column in found if column), None)


@dataclass
class Binding:
    """What a mapping makes of the given sources."""

    rules: list[BoundRule]
    used_as: dict[int, list[str]]
    unused_columns: dict[int, list[str]]
    notes: list[str]
    faults: list[DataError]


def bind(mapping: Mapping, tables: Sequence[SourceTable]) -> Binding:
    """Find the tables that each source of the mapping stands for, and check that every needed column is there."""
    found = Binding([], {}, {}, [], [])
    matches = {
        name: [
            index
            for index, table in enumerate(tables)
            if any(fnmatch.fnmatchcase(table.name.casefold(), pattern.casefold()) for pattern in rule.files)
        ]
        for name, rule in mapping.sources.items()
    }
    for name, rule in mapping.sources.items():
        if not matches[name] and not rule.optional:
            listed = ", ".join(rule.files)
            found.faults.append(
                DataError(
                    f"The mapping '{mapping.name}' needs the source '{name}', and no table is called {listed}.",
                    remedy="Give the file as well, or rename it.",
                )
            )
    matched = {index for indexes in matches.values() for index in indexes}
    for index, table in enumerate(tables):
        if index not in matched:
            found.notes.append(f"{table.path.name} ({table.name}) matches no source of the mapping and was not used.")
    if not matched:
        wanted = "; ".join(f"{name}: {', '.join(rule.files)}" for name, rule in mapping.sources.items())
        given = ", ".join(table.name for table in tables)
        told = "".join(f"{note} " for table in tables for note in table.notes)  # such as a dictionary that is missing
        found.faults.append(
            DataError(
                f"No table fits the mapping '{mapping.name}': found {given}, expected {wanted}.",
                remedy=f"{told}Choose another mapping with --mapping, or rename the files accordingly.",
            )
        )
    used: dict[int, set[str]] = {index: set() for index in matched}
    for table_name, rules in mapping.tables():
        for position, rule in enumerate(rules):
            for index in matches[rule.source]:
                bound = _bind_one(table_name, rule, position, index, tables, matches, found, used[index])
                found.rules.append(bound)
                found.used_as.setdefault(index, [])
                if table_name not in found.used_as[index]:
                    found.used_as[index].append(table_name)
    for index in sorted(matched):
        found.unused_columns[index] = [
            column
            for column in tables[index].columns
            if column.casefold() not in used[index] and not column.startswith(EXPORT_PREFIX)
        ]
    return found


def _bind_one(
    table_name: str,
    rule: TableRule,
    position: int,
    index: int,
    tables: Sequence[SourceTable],
    matches: dict[str, list[int]],
    found: Binding,
    used: set[str],
) -> BoundRule:
    source = tables[index]
    bound = BoundRule(table_name, rule, source, index, position)
    bound.columns = {column.casefold(): column for column in reversed(source.columns)}
    for join in rule.join:
        here, there = join.keys()
        others = [tables[other] for other in matches[join.source]]
        if not others:
            found.faults.append(
                DataError(
                    f"This table is joined with '{join.source}', which was not given.",
                    where=Where(file=source.path.name), remedy="Give that file as well.",
                )
            )  # fmt: skip
            continue
        missing = [
            _missing_column(column, other, other.columns)
            for other in others
            for column in [there, *join.columns]
            if column.casefold() not in {name.casefold() for name in other.columns}
        ]
        if here.casefold() not in bound.columns:
            missing.append(_missing_column(here, source, source.columns))
        found.faults += missing
        if not missing:
            bound.joined.append((join, _read_joined(join, there, others)))
            used.add(here.casefold())
    from_joins = {column.casefold() for join, _ in bound.joined for column in join.columns}
    for column, optional in _needed_columns(rule):
        used.add(column.casefold())
        if column.casefold() in bound.columns:
            continue
        if column.casefold() in from_joins:
            bound.columns[column.casefold()] = column
        elif not optional:
            found.faults.append(_missing_column(column, source, source.columns))
    if rule.attributes == "all-other":
        used.update(bound.columns)
    return bound


def _needed_columns(rule: TableRule) -> Iterator[tuple[str, bool]]:
    """Every source column that a rule names, and whether it may be missing."""
    for condition in rule.where:
        yield condition.column, condition.optional
    for value in rule.columns.values():
        for number, column in enumerate(value.source_columns()):
            yield column, value.optional or value.default is not None or number > 0
    for wide in rule.values:
        yield wide.column, wide.optional
        for value in (wide.method, wide.device, wide.visit):
            for column in value.source_columns() if value else []:
                yield column, value.optional if value else True
    if rule.attributes != "all-other":
        for attribute in rule.attributes:
            yield attribute.column, attribute.optional


def _missing_column(column: str, source: SourceTable, known: Sequence[str]) -> DataError:
    return DataError(
        f"The mapping needs the column '{column}', which is not there.",
        where=Where(file=source.path.name),
        remedy=suggestion(column, known) + " Rename it in the file or in the mapping.",
    )


def _read_joined(join: Join, key: str, tables: Sequence[SourceTable]) -> pd.DataFrame:
    """The joined columns, indexed by their key. Held in memory; the key must be unique."""
    parts = []
    for table in tables:
        names = {column.casefold(): column for column in table.columns}
        wanted = [names[column.casefold()] for column in [key, *join.columns]]
        for chunk in table.chunks(list(dict.fromkeys(wanted)), CHUNK_ROWS):
            part = chunk[[names[column.casefold()] for column in join.columns]].copy()
            part.columns = list(join.columns)
            part["key"], part["row"], part["file"] = as_code(chunk[wanted[0]]), chunk.index, table.path.name
            parts.append(part[part["key"].notna()])
    frame = pd.concat(parts, ignore_index=True)
    repeated = frame[frame["key"].duplicated()]
    if len(repeated):
        first = repeated.iloc[0]
        raise DataError(
            f"'{first['key']}' is there more than once, so the join by this column is not unique.",
            where=Where(file=first["file"], row=int(first["row"]), column=key),
            remedy="Keep one row for each key, or filter the source before it is joined.",
        )
    return frame.drop(columns=["row", "file"]).set_index("key")


class Transformer:
    """Runs one bound rule over its source, and tells of every row that it reads: each row twice."""

    def __init__(self, bound: BoundRule, options: Options, tell: Callable[[int], None] = lambda rows: None):
        self.bound = bound
        self.tell = tell
        self.default_date_format = options.date_format
        self.missing = options.missing
        self.fields = {item.name: item for item in TABLES[bound.table]}

    def _source_chunks(self, columns: list[str] | None) -> Iterator[pd.DataFrame]:
        """The source's chunks, with what the mapping calls missing taken out."""
        for chunk in self.bound.source.chunks(columns, CHUNK_ROWS):
            if self.missing:
                chunk = chunk.mask(chunk.apply(lambda column: as_code(column).isin(self.missing)))
            yield chunk
            self.tell(len(chunk))

    def observe_dates(self) -> None:
        """Look at every value of the columns that hold dates, so that their convention is known before parsing.

        Columns of which the first that is filled counts share one convention. A typed file, too, can hold dates as
        text: SDTM always does.
        """
        bound = self.bound
        for name, value in bound.rule.columns.items():
            if self.fields[name].kind in ("date", "moment"):
                parser = DateParser(value.date_format or self.default_date_format)
                found = (bound.name_in_source(column) for column in value.source_columns())
                bound.dates.update((column, parser) for column in found if column)
        for _, other in bound.joined:
            for column in other.columns.intersection(list(bound.dates)):
                bound.dates[column].observe(_dates_as_written(other[column]))
        here = [column for column in bound.dates if column in bound.source.columns]
        for chunk in self._source_chunks(here) if here else ():
            for column in here:
                bound.dates[column].observe(_dates_as_written(chunk[column]))
        if not here:
            self.tell(bound.source.expected_rows or 0)

    def chunks(self) -> Iterator[pd.DataFrame]:
        """Canonical chunks, in the order of the source's rows."""
        bound = self.bound
        wanted = None if bound.rule.attributes == "all-other" else self._wanted_columns()
        for chunk in self._source_chunks(wanted):
            bound.rows_read += len(chunk)
            for join, other in bound.joined:
                chunk = self._joined(chunk, join, other)
            chunk = self._selected(chunk)
            if len(chunk):
                yield self._canonical(chunk)

    def _wanted_columns(self) -> list[str]:
        here = [join.keys()[0] for join, _ in self.bound.joined]
        names = [self.bound.name_in_source(name) for name in [*here, *(c for c, _ in _needed_columns(self.bound.rule))]]
        return [name for name in dict.fromkeys(names) if name and name in self.bound.source.columns]

    def _joined(self, chunk: pd.DataFrame, join: Join, other: pd.DataFrame) -> pd.DataFrame:
        key = as_code(chunk[self.bound.name_in_source(join.keys()[0])])
        added = other.reindex(key)
        added.index = chunk.index
        chunk = pd.concat([chunk.drop(columns=[c for c in added if c in chunk]), added], axis=1)
        if join.how == "inner":
            inside = key.isin(other.index)
            self.bound.not_selected[f"not in {join.source}"] += int((~inside).sum())
            chunk = chunk[inside.to_numpy()]
        return chunk

    def _selected(self, chunk: pd.DataFrame) -> pd.DataFrame:
        for condition in self.bound.rule.where:
            column = self.bound.name_in_source(condition.column)
            if column is None:
                continue
            keep = holds(condition, chunk[column], self.bound.source.decimal)
            dropped = int((~keep).sum())
            if dropped:
                self.bound.not_selected[condition.described()] += dropped
                chunk = chunk[keep]
        return chunk

    def _canonical(self, chunk: pd.DataFrame) -> pd.DataFrame:
        bound, rule = self.bound, self.bound.rule
        base: dict[str, Any] = {}
        for item in TABLES[bound.table]:
            if rule.values and item.name in ("measurand", "value", "unit"):
                continue
            base.update(self._field(item, rule.columns.get(item.name), chunk))
        base["source"] = np.full(len(chunk), bound.source_index, dtype=np.int32)
        base["row"] = chunk.index.to_numpy(dtype=np.int64)
        frame = pd.DataFrame(base, index=range(len(chunk)))
        if bound.table == "readings":
            if rule.values:
                return self._long(frame, chunk)
            frame["column"] = bound.value_column("value") or ""
        else:
            frame["attributes"] = self._attributes(chunk)
        return frame

    def _long(self, base: pd.DataFrame, chunk: pd.DataFrame) -> pd.DataFrame:
        """One row for each filled cell of the wide table's value columns."""
        parts = []
        empty = np.ones(len(chunk), dtype=bool)
        for wide in self.bound.rule.values:
            column = self.bound.name_in_source(wide.column)
            if column is None:
                continue
            values, bad = self._numbers(chunk[column])
            filled = (values.notna() | bad).to_numpy()
            if not filled.any():
                continue
            part = base[filled].copy()
            part["value"], part["bad_value"] = values.to_numpy()[filled], bad.to_numpy()[filled]
            part["measurand"], part["bad_measurand"], part["column"] = wide.measurand, False, column
            part["unit"] = wide.unit if wide.unit is not None else pd.Series(pd.NA, index=part.index, dtype="str")
            self._overrides(part, wide, chunk[filled])
            parts.append(part)
            empty &= ~filled
        if empty.any():
            self.bound.not_selected[self._nothing_measured()] += int(empty.sum())
        if not parts:
            return base.iloc[:0].assign(
                value=0.0, bad_value=False, measurand="", bad_measurand=False, unit="", column=""
            )
        return pd.concat(parts, ignore_index=True)

    def _nothing_measured(self) -> str:
        names = [name for wide in self.bound.rule.values if (name := self.bound.name_in_source(wide.column))]
        return f"no value in {', '.join(names[:5])}{' ...' if len(names) > 5 else ''}"

    def _overrides(self, part: pd.DataFrame, wide: WideValue, chunk: pd.DataFrame) -> None:
        for name in ("method", "device", "visit"):
            value = getattr(wide, name)
            if value is not None:
                for key, column in self._field(self.fields[name], value, chunk).items():
                    part[key] = column.to_numpy() if isinstance(column, pd.Series) else column
        if wide.replicate is not None:
            part["replicate"] = pd.array([wide.replicate] * len(part), dtype="Int64")

    def _numbers(self, values: pd.Series) -> tuple[pd.Series, pd.Series]:
        return parse_numbers(values, self.bound.source.decimal)

    def _field(self, item: Field, value: Value | None, chunk: pd.DataFrame) -> dict[str, Any]:
        """The canonical column of one field, and beside it `bad_<field>` where the source can be unreadable."""
        raw = None if value is None else self._raw(value, chunk)
        bad = pd.Series(False, index=chunk.index)
        if raw is None:
            found: pd.Series = _empty(item, chunk.index)
        else:
            raw, recoded, bad = _recoded(raw, value)
            found, unreadable = self._read(item, raw, value, recoded)
            bad = bad | unreadable
        if item.name == "replicate":
            found = found.fillna(1)
        columns: dict[str, Any] = {item.name: found.reset_index(drop=True)}
        if can_be_bad(item):
            columns[f"bad_{item.name}"] = bad.to_numpy(dtype=bool)
        return columns

    def _raw(self, value: Value, chunk: pd.DataFrame) -> pd.Series | None:
        if value.constant is not None:
            return pd.Series([value.constant] * len(chunk), index=chunk.index)
        names = [self.bound.name_in_source(column) for column in value.source_columns()]
        present = [chunk[name] for name in names if name in chunk]
        if not present:
            return None if value.default is None else pd.Series([value.default] * len(chunk), index=chunk.index)
        raw = present[0]
        for other in present[1:]:
            empty = as_code(raw).isna()
            if empty.any():
                raw = as_code(raw).where(~empty, as_code(other))
        if value.default is not None:
            code = as_code(raw)
            raw = raw if not code.isna().any() else code.fillna(str(value.default))
        return _without_zero_decimals(as_code(raw)) if value.numeric else raw

    def _read(self, item: Field, raw: pd.Series, value: Value, recoded: bool) -> tuple[pd.Series, pd.Series]:
        nothing = pd.Series(False, index=raw.index)
        match item.kind:
            case "number":
                return self._numbers(raw)
            case "whole":
                numbers, bad = self._numbers(raw)
                bad |= numbers.notna() & ((numbers % 1 != 0) | (numbers < 1) | (numbers > 1e9))
                return numbers.mask(bad).astype("Int64"), bad
            case "date" | "moment":
                return self._dates(item, raw, value)
            case "choice":
                codes = as_code(raw)
                known = {choice.casefold(): choice for choice in item.choices}
                found = codes.str.casefold().map(known).astype("str")
                return found, codes.notna() & found.isna()
            case _:
                return as_code(raw), nothing

    def _dates(self, item: Field, raw: pd.Series, value: Value) -> tuple[pd.Series, pd.Series]:
        if pd.api.types.is_datetime64_any_dtype(raw.dtype):
            found, bad = raw.astype("datetime64[us]"), pd.Series(False, index=raw.index)
        else:
            parser = self.bound.dates.get(raw.name) or DateParser(value.date_format or self.default_date_format)
            found, bad = parser.parse(_dates_as_written(raw))
        return (found.dt.normalize() if item.kind == "date" else found), bad

    def _attributes(self, chunk: pd.DataFrame) -> list[str]:
        rule = self.bound.rule
        if rule.attributes == "all-other":
            mapped = {column.casefold() for column, _ in _needed_columns(rule)}
            mapped |= {join.keys()[0].casefold() for join in rule.join}
            kept = {
                column: column
                for column in self.bound.source.columns
                if column.casefold() not in mapped and not column.startswith(EXPORT_PREFIX)
            }
        else:
            pairs = ((self.bound.name_in_source(item.column), item.name or item.column) for item in rule.attributes)
            kept = {column: name for column, name in pairs if column}
        if not kept:
            return ["{}"] * len(chunk)
        columns = {name: [_plain(value) for value in chunk[column].tolist()] for column, name in sorted(kept.items())}
        names = list(columns)
        return [
            json.dumps({n: v for n, v in zip(names, row, strict=True) if v is not None}, sort_keys=True)
            for row in zip(*columns.values(), strict=True)
        ]


def holds(condition: Condition, values: pd.Series, decimal: str) -> np.ndarray:
    """Where a row filter holds, as booleans. Codes are compared without regard to case; numbers as numbers."""
    codes = as_code(values)
    present = codes.notna().to_numpy()
    keep = np.ones(len(values), dtype=bool)
    if condition.equals is not None:
        keep &= _listed(codes, [condition.equals])
    if condition.in_ is not None:
        keep &= _listed(codes, condition.in_)
    if condition.not_in is not None:
        keep &= ~_listed(codes, condition.not_in)
    if condition.present is not None:
        keep &= present == condition.present
    if condition.at_least is not None or condition.at_most is not None:
        numeric = pd.api.types.is_numeric_dtype(values.dtype)
        numbers = values.astype("float64") if numeric else parse_numbers(codes, decimal)[0]
        low = -np.inf if condition.at_least is None else condition.at_least
        high = np.inf if condition.at_most is None else condition.at_most
        keep &= numbers.between(low, high).to_numpy()
    return keep


def _listed(codes: pd.Series, values: Sequence[Any]) -> np.ndarray:
    wanted = as_code(pd.Series(list(values), dtype=object)).str.casefold().tolist()
    return _as_listed(codes.str.casefold(), wanted).isin(wanted).to_numpy(dtype=bool)


def _as_listed(codes: pd.Series, listed: Sequence[str]) -> pd.Series:
    """Codes as they are listed: the number 1, which some programs write as 1.0, is 1 where only that is listed."""
    other = codes.notna() & ~codes.isin(listed)
    return codes.mask(other, _without_zero_decimals(codes)) if other.any() else codes


def _without_zero_decimals(codes: pd.Series) -> pd.Series:
    return codes.str.replace(r"^([+-]?[0-9]+)\.0+$", r"\1", regex=True)


def _recoded(raw: pd.Series, value: Value) -> tuple[pd.Series, bool, pd.Series]:
    """`raw` with its codes replaced; bad where a code is not listed and the mapping does not say what to do."""
    if value.recode is None or value.constant is not None:
        return raw, False, pd.Series(False, index=raw.index)
    codes = as_code(raw)
    table = {key.strip().casefold(): target for key, target in value.recode.items()}
    targets = {key: str(target) for key, target in table.items() if target is not None}
    folded = _as_listed(codes.str.casefold(), list(table))
    found = folded.map(targets).astype("str")
    unknown = folded.notna() & ~folded.isin(list(table))
    if value.otherwise == "keep":
        return found.where(~unknown, codes), True, pd.Series(False, index=raw.index)
    bad = unknown if value.otherwise == "reject" else pd.Series(False, index=raw.index)
    return found, True, bad


def _empty(item: Field, index: pd.Index) -> pd.Series:
    dtype = {"number": "float64", "whole": "Int64", "date": "datetime64[us]", "moment": "datetime64[us]"}
    return pd.Series(index=index, dtype=dtype.get(item.kind, "str"))


def _dates_as_written(values: pd.Series) -> pd.Series:
    """Text and numbers as codes; a mixture of dates and text stays one, since the dates in it need no reading."""
    typed = values.dtype == object or pd.api.types.is_datetime64_any_dtype(values.dtype)
    return values if typed else as_code(values)


def _plain(value: Any) -> Any:
    """An attribute's value as JSON keeps it: numbers as numbers, however the file wrote them; missing as None."""
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return None
    if isinstance(value, str):
        text = value.strip()
        if not _PLAIN_NUMBER.fullmatch(text):
            return text or None
        number = float(text)
        plain = int(number) if number.is_integer() else number
        return plain if text in (str(plain), str(number)) else text
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e15 else value
    if isinstance(value, int | bool):
        return value
    return str(value)
