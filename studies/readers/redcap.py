"""REDCap exports: one wide file of all forms becomes one table for each form, codes become labels.

A REDCap export has a row for each record and event, with the columns of all forms side by side; a form that repeats
has rows of its own, named in `redcap_repeat_instrument`. The data dictionary says which column belongs to which form
and what the codes mean. Both kinds of export are understood: raw (codes) and labels, the latter also with labels as
column names.
"""

from __future__ import annotations

import copy
import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

import numpy as np
import pandas as pd

from studies.errors import DataError, Faults
from studies.readers.table import MalformedRow, SourceTable
from studies.readers.values import as_text

# The names of the dictionary's columns: as downloaded from the pages of a project, and from its API.
_DICTIONARY_COLUMNS = {
    "name": ("variable / field name", "field_name"),
    "form": ("form name", "form_name"),
    "kind": ("field type", "field_type"),
    "label": ("field label", "field_label"),
    "choices": ("choices, calculations, or slider labels", "select_choices_or_calculations"),
    "validation": (
        "text validation type or show slider number",
        "text_validation_type_or_show_slider_number",
    ),
}
_NEEDED = ("name", "form", "kind")
# Columns that belong to the row, not to a form: raw name, name in an export with labels as names.
_ROW_COLUMNS = {
    "redcap_event_name": "event name",
    "redcap_repeat_instrument": "repeat instrument",
    "redcap_repeat_instance": "repeat instance",
    "redcap_data_access_group": "data access group",
    "redcap_survey_identifier": "survey identifier",
}
_ALWAYS = ("redcap_event_name", "redcap_repeat_instrument", "redcap_repeat_instance")
_FIXED_CHOICES = {"yesno": {"1": "Yes", "0": "No"}, "truefalse": {"1": "True", "0": "False"}}
_COMPLETE = {"0": "Incomplete", "1": "Unverified", "2": "Complete"}
_BOX = {"1": "Yes", "0": "No", "Checked": "Yes", "Unchecked": "No"}
_NOT_CHECKED = ["0", "Unchecked"]
_MOST_DISTINCT = 1000
_GET_DICTIONARY = "Download it in REDCap (Data Dictionary > Download the current Data Dictionary) and give it, too."


@dataclass(frozen=True)
class _Field:
    name: str
    form: str
    kind: str
    label: str
    choices: dict[str, str]  # code -> label; empty for fields without choices
    decimal_comma: bool


@dataclass(frozen=True)
class _Column:
    """A column of an export: its name there, the name that it gets, what it is, and of what."""

    source: str
    name: str
    role: str  # row | id | field | box | complete | timestamp
    form: str = ""
    field: _Field | None = None
    code: str = ""


class _Dictionary:
    """The data dictionary: fields in order, the forms in order, the record identifier (the first field)."""

    def __init__(self, table: SourceTable):
        self.table = table
        self.fields: dict[str, _Field] = {}
        faults: list[DataError] = []
        names = _dictionary_names(table)
        chunks = [chunk.rename(columns={source: key for key, source in names.items()}) for chunk in table.chunks()]
        for row, line in pd.concat(chunks).apply(as_text).fillna("").iterrows():
            try:
                item = self._field(line, int(row))
                if item.name in self.fields:
                    raise DataError(
                        f"the field '{item.name}' is described twice.",
                        where=table.where(int(row)),
                        remedy=_GET_DICTIONARY,
                    )
                self.fields[item.name] = item
            except DataError as error:
                faults.append(error)
        for misfit in table.malformed:
            faults.append(DataError(f"{misfit.reason}.", where=table.where(misfit.row), remedy=_GET_DICTIONARY))
        if faults:
            raise Faults(faults)
        self.forms = list(dict.fromkeys(item.form for item in self.fields.values()))
        self.record_id = next(iter(self.fields))

    def _field(self, line: pd.Series, row: int) -> _Field:
        values = {key: str(line[key]).strip() if key in line else "" for key in _DICTIONARY_COLUMNS}
        name, form, kind = values["name"].lower(), values["form"], values["kind"].lower()
        if not (name and form and kind):
            raise DataError(
                "a field of the data dictionary needs a name, a form and a type.",
                where=self.table.where(row),
                remedy=_GET_DICTIONARY,
            )
        choices = _FIXED_CHOICES.get(kind, {})
        if kind in ("dropdown", "radio", "checkbox"):
            choices = _choices(values["choices"])
            if not choices:
                raise DataError(
                    f"the field '{name}' has the type {kind}, but its choices cannot be read.",
                    where=self.table.where(row),
                    remedy="They are written as '1, Female | 2, Male'.",
                )
        comma = "comma_decimal" in values["validation"]
        return _Field(name, form, kind, _plain(values["label"]), choices, comma)


@dataclass
class _Export:
    """An export file: what its columns are, and what a look through all of it found."""

    table: SourceTable
    columns: list[_Column]
    unknown: list[str]
    labels: bool = False
    malformed: list[MalformedRow] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def of_form(self, form: str) -> list[_Column]:
        return [column for column in self.columns if column.form == form and column.role != "id"]

    def row_column(self, name: str) -> _Column | None:
        return next((column for column in self.columns if column.role == "row" and column.name == name), None)


class RedcapTable(SourceTable):
    """One form of one export. All values are text; row numbers are those of the export."""

    format = "redcap"
    typed = False

    def __init__(self, export: _Export, dictionary: _Dictionary, form: str):
        self._export, self._dictionary, self._form = export, dictionary, form
        self._of_form = export.of_form(form)
        self._names: dict[str, list[_Column]] = {}
        for column in self._of_form:
            if column.role == "box":
                boxes = [other for other in self._of_form if other.field is column.field]
                self._names.setdefault(column.field.name, boxes)
            self._names[column.name] = [column]
        groups = ["redcap_data_access_group"] if export.row_column("redcap_data_access_group") else []
        base = export.table
        super().__init__(
            base.path,
            name=form,
            columns=[dictionary.record_id, *_ALWAYS, *groups, *self._names],
            decimal=base.decimal,
            first_row=base.first_row,
            encoding=base.encoding,
            delimiter=base.delimiter,
            sheet=base.sheet,
        )
        self.expected_rows = base.expected_rows

    @property
    def origin(self) -> SourceTable:
        return self._export.table

    def origin_column(self, column: str) -> str:
        if column in self._names:
            return self._names[column][0].source
        found = next((c for c in self._export.columns if c.role in ("id", "row") and c.name == column), None)
        return found.source if found else column

    def _chunks(self, columns: list[str], rows: int) -> Iterator[pd.DataFrame]:
        for chunk in self._export.table.chunks(rows=rows):
            text = chunk.apply(as_text)
            instrument = _instrument(self._export, text, self._dictionary)
            mine = (instrument.isna() | (instrument == self._form)) & _has_data(text, self._of_form)
            if mine.any():
                picked = text[mine]
                yield pd.DataFrame({name: self._column(name, picked) for name in columns}, index=picked.index)

    def _column(self, name: str, text: pd.DataFrame) -> pd.Series:
        if name in self._names:
            found = self._names[name]
            if found[0].role == "box" and name == found[0].field.name:
                return _checked_labels(found, text)
            return self._translated(found[0], text[found[0].source])
        found = next((c for c in self._export.columns if c.role in ("id", "row") and c.name == name), None)
        return pd.Series(None, index=text.index, dtype="str") if found is None else text[found.source]

    def _translated(self, column: _Column, values: pd.Series) -> pd.Series:
        if column.role == "box":
            return _relabel(values, _BOX)
        if column.role == "complete":
            return values if self._export.labels else _relabel(values, _COMPLETE)
        if column.role == "field":
            if column.field.choices and not self._export.labels:
                return _relabel(values, column.field.choices)
            if column.field.decimal_comma and self.decimal == ".":
                return values.str.replace(",", ".", regex=False)
        return values


def is_dictionary(table: SourceTable) -> bool:
    """Whether a table is a REDCap data dictionary."""
    names = _dictionary_names(table)
    return all(key in names for key in _NEEDED)


def is_export(table: SourceTable, dictionary: SourceTable) -> bool:
    """Whether a table is an export of the project of a data dictionary."""
    try:
        return table is not dictionary and _as_export(table, _Dictionary(dictionary)) is not None
    except Faults:  # `redcap_tables` says what is wrong with the dictionary
        return True


def redcap_tables(tables: Sequence[SourceTable]) -> list[SourceTable]:
    """One table for each form and export, from the tables of a data dictionary and of one or more exports.

    A table is named after its form. Its columns: the record identifier, redcap_event_name, redcap_repeat_instrument,
    redcap_repeat_instance, redcap_data_access_group (if the export has it), the form's fields, <form>_complete. Its
    rows: those that carry data for the form. Choices come as labels. A checkbox `race` becomes `race` (the labels of
    all checked choices, joined by "; ") beside `race___1`, `race___2` ... (Yes or No).

    The export is looked through once before: rows with data that belong to no form are in `malformed` of the first
    of its tables, together with the export's own; so gather `malformed` of every table, used or not. Values that are
    no choice of their field stay as they are, columns that the dictionary lacks are left out; both are in `notes`.
    Tables that are no export (a device's readings beside it) are returned as they are.
    Without a dictionary every table is returned whole and raw, named "records".
    Raises Faults when the dictionary is wrong, when there are two, or none of the tables is an export that fits it.
    """
    dictionaries = [table for table in tables if is_dictionary(table)]
    if not dictionaries:
        return [_raw_records(table) for table in tables]
    if len(dictionaries) > 1:
        raise Faults(
            [
                DataError(
                    "is one of several REDCap data dictionaries.",
                    where=table.where(),
                    remedy="Give only the current one.",
                )
                for table in dictionaries
            ]
        )
    dictionary = _Dictionary(dictionaries[0])
    result: list[SourceTable] = []
    found = False
    for table in tables:
        if table is dictionaries[0]:
            continue
        export = _as_export(table, dictionary)
        if export is None:
            result.append(table)
            continue
        found = True
        _look_through(export, dictionary)
        forms = [form for form in dictionary.forms if export.of_form(form)]
        virtual = [RedcapTable(export, dictionary, form) for form in forms]
        virtual[0].notes += export.notes
        for misfit in export.malformed:
            virtual[0]._reject(misfit.row, misfit.text, misfit.reason)
        result += virtual
    if not found:
        raise Faults(
            [
                DataError(
                    "no export belongs to this REDCap data dictionary: "
                    f"no file has the column '{dictionary.record_id}' and others of its fields.",
                    where=dictionaries[0].where(),
                    remedy="Give the export (Data Exports > All data > CSV) together with the dictionary.",
                )
            ]
        )
    return result


def _raw_records(table: SourceTable) -> SourceTable:
    records = copy.copy(table)
    records.name, records.format = "records", "redcap"
    records.notes = [
        *table.notes,
        f"There is no REDCap data dictionary, so codes stay codes and forms are not told apart. {_GET_DICTIONARY}",
    ]
    return records


def _dictionary_names(table: SourceTable) -> dict[str, str]:
    by_name = {column.strip().lower(): column for column in table.columns}
    found = {key: next((by_name[n] for n in names if n in by_name), None) for key, names in _DICTIONARY_COLUMNS.items()}
    return {key: column for key, column in found.items() if column is not None}


def _choices(text: str) -> dict[str, str]:
    """Code -> label of '1, Female | 2, Male'."""
    result = {}
    for part in re.split(r"\||\n", text):
        code, comma, label = part.partition(",")
        if code.strip() and comma:
            result[code.strip()] = _plain(label) or code.strip()
    return result


def _plain(text: str) -> str:
    """A label as REDCap exports it: without markup, on one line."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"</?[A-Za-z][^>]*>", "", text))).strip()


def _as_export(table: SourceTable, dictionary: _Dictionary) -> _Export | None:
    """What the columns of a table are, by name or by label; None if it is no export of this project."""
    best: _Export | None = None
    for match in (_match_names, _match_labels):
        columns = match(table, dictionary)
        known = {column.source for column in columns}
        export = _Export(table, columns, [name for name in table.columns if name not in known])
        fits = any(column.role == "id" for column in columns) and any(
            column.form for column in columns if column.role != "id"
        )
        if fits and (best is None or len(columns) > len(best.columns)):
            best = export
    return best


def _match_names(table: SourceTable, dictionary: _Dictionary) -> list[_Column]:
    expected = {column.name: column for column in _expected(dictionary)}
    found = []
    for source in table.columns:
        column = expected.pop(source.strip().lower(), None)
        if column is not None:
            found.append(_placed(column, source))
    return found


def _match_labels(table: SourceTable, dictionary: _Dictionary) -> list[_Column]:
    """Labels are not unique ("Complete?" ends every form), so they are aligned in order; what then is left over is
    matched if there is only one left that it can be."""
    expected = _expected(dictionary)
    labels = [_label(column).lower() for column in expected]
    header = [_plain(name).lower() for name in getattr(table, "header", table.columns)]
    pairs: dict[int, int] = {}
    for block in SequenceMatcher(None, header, labels, autojunk=False).get_matching_blocks():
        for step in range(block.size):
            pairs[block.a + step] = block.b + step
    taken = set(pairs.values())
    for place, name in enumerate(header):
        left = [other for other, label in enumerate(labels) if label == name and other not in taken]
        if place not in pairs and len(left) == 1:
            pairs[place] = left[0]
            taken.add(left[0])
    return [_placed(expected[other], table.columns[place]) for place, other in sorted(pairs.items())]


def _placed(column: _Column, source: str) -> _Column:
    return _Column(source, column.name, column.role, column.form, column.field, column.code)


def _expected(dictionary: _Dictionary) -> list[_Column]:
    """All columns that an export of this project can have, in REDCap's order."""
    first = dictionary.fields[dictionary.record_id]
    result = [_Column("", first.name, "id", first.form, first)]
    result += [_Column("", name, "row") for name in _ROW_COLUMNS]
    for form in dictionary.forms:
        result.append(_Column("", f"{form}_timestamp", "timestamp", form))
        for item in dictionary.fields.values():
            if item.form != form or item is first:
                continue
            if item.kind == "checkbox":
                for code in item.choices:
                    name = f"{item.name}___{re.sub('[^a-z0-9]', '_', code.lower())}"
                    result.append(_Column("", name, "box", form, item, code))
            elif item.kind != "descriptive":
                result.append(_Column("", item.name, "field", form, item))
        result.append(_Column("", f"{form}_complete", "complete", form))
    return result


def _label(column: _Column) -> str:
    """The name of a column in an export that has labels as names."""
    if column.role == "row":
        return _ROW_COLUMNS[column.name]
    if column.role == "complete":
        return "Complete?"
    if column.role == "timestamp":
        return "Survey Timestamp"
    if column.role == "box":
        return f"{column.field.label} (choice={column.field.choices[column.code]})"
    return column.field.label


def _look_through(export: _Export, dictionary: _Dictionary) -> None:
    """Reads the export once: raw or labels, values that are no choice, rows that belong to no form."""
    values: dict[str, Counter[str]] = {}
    empty_rows = 0
    for chunk in export.table.chunks():
        text = chunk.apply(as_text)
        for column in export.columns:
            if column.role in ("box", "complete") or (column.role == "field" and column.field.choices):
                seen = values.setdefault(column.source, Counter())
                seen.update(text[column.source].dropna().str.strip().value_counts().to_dict())
                if len(seen) > _MOST_DISTINCT:
                    values[column.source] = Counter(dict(seen.most_common(_MOST_DISTINCT)))
        empty_rows += _sort_out(export, text, dictionary)
    raw = labels = 0
    for column in export.columns:
        codes, names = _codes_and_labels(column)
        for value, count in values.get(column.source, {}).items():
            raw += count * (value in codes and value not in names)
            labels += count * (value in names and value not in codes)
    export.labels = labels > raw
    for column in export.columns:
        if column.source in values:
            codes, names = _codes_and_labels(column)
            known = names if export.labels else codes
            other = {value: count for value, count in values[column.source].items() if value and value not in known}
            if other:
                examples = ", ".join(f"'{value}'" for value in list(other)[:5])
                export.notes.append(
                    f"The column '{column.source}' has values that are no choice of it, left as they are "
                    f"({sum(other.values()):,} in all): {examples}."
                )
    if export.unknown:
        names = ", ".join(f"'{name}'" for name in export.unknown[:10])
        more = f" and {len(export.unknown) - 10} more" if len(export.unknown) > 10 else ""
        export.notes.append(
            f"Columns that the data dictionary does not have were left out: {names}{more}. "
            "If they are needed, download the current dictionary."
        )
    if empty_rows:
        export.notes.append(f"Rows with a record identifier but no data in any form: {empty_rows:,}.")
    export.malformed += export.table.malformed


def _sort_out(export: _Export, text: pd.DataFrame, dictionary: _Dictionary) -> int:
    """Notes rows whose data belong to no form; returns how many rows have no data at all."""
    instrument = _instrument(export, text, dictionary)
    filled = {form: _has_data(text, export.of_form(form)) for form in dictionary.forms}
    any_data = np.logical_or.reduce(list(filled.values()))
    stray = _filled(text[export.unknown]).any(axis=1).to_numpy() if export.unknown else np.zeros(len(text), bool)
    given = instrument.notna().to_numpy()
    unnamed = given & ~instrument.isin(dictionary.forms).to_numpy() & (any_data | stray)
    reasons = np.full(len(text), None, dtype=object)
    reasons[~any_data & stray] = "has data only in columns that the data dictionary does not have"
    for form, has in filled.items():
        wrong = given & has & (instrument != form).to_numpy() & ~unnamed
        reasons[wrong] = f"repeats another form, but has data of the form '{form}'"
    column = export.row_column("redcap_repeat_instrument")
    for place in np.flatnonzero(unnamed):
        value = text[column.source].iloc[place]
        reasons[place] = f"repeats '{value}', which is no form of the data dictionary"
    delimiter = export.table.delimiter or ","
    for place in np.flatnonzero(reasons != np.array(None)):
        cells = delimiter.join(text.iloc[place].fillna(""))
        export.malformed.append(MalformedRow(int(text.index[place]), cells, reasons[place]))
    return int((~any_data & ~stray & (reasons == np.array(None))).sum())


def _instrument(export: _Export, text: pd.DataFrame, dictionary: _Dictionary) -> pd.Series:
    """The form that each row repeats, by its name; missing on rows that repeat none."""
    column = export.row_column("redcap_repeat_instrument")
    if column is None:
        return pd.Series(None, index=text.index, dtype="str")
    values = text[column.source].str.strip()
    by_label = {re.sub("[^a-z0-9]+", "_", form.lower()).strip("_"): form for form in dictionary.forms}
    names = {
        value: by_label.get(re.sub("[^a-z0-9]+", "_", value.lower()).strip("_"), value)
        for value in values.dropna().unique()
    }
    return values.map(names).astype("str").where(values.notna() & (values != ""), None)


def _has_data(text: pd.DataFrame, columns: Sequence[_Column]) -> np.ndarray:
    """Rows with a value in a field of a form. An unchecked box is none: REDCap writes it for forms never opened, as it
    does the status "Incomplete"."""
    result = np.zeros(len(text), dtype=bool)
    for column in columns:
        if column.role in ("field", "box"):
            values = text[column.source]
            has = _filled(values)
            if column.role == "box":
                has &= ~values.isin(_NOT_CHECKED)
            result |= has.to_numpy()
    return result


def _filled(values):
    """Where a column or frame of text has more than blanks."""
    if isinstance(values, pd.DataFrame):
        return values.apply(_filled)
    return values.notna() & (values.str.strip() != "").fillna(False).astype(bool)


def _codes_and_labels(column: _Column) -> tuple[set[str], set[str]]:
    if column.role == "box":
        return {"0", "1"}, {"Checked", "Unchecked"}
    if column.role == "complete":
        return set(_COMPLETE), set(_COMPLETE.values())
    choices = column.field.choices if column.field else {}
    return set(choices), set(choices.values())


def _relabel(values: pd.Series, labels: dict[str, str]) -> pd.Series:
    """Codes by their labels; what is no code stays."""
    stripped = values.str.strip()
    return stripped.map(labels).astype("str").where(stripped.isin(list(labels)), values)


def _checked_labels(columns: Sequence[_Column], text: pd.DataFrame) -> pd.Series:
    """The labels of all checked choices, joined by "; "; missing where none is checked."""
    result = np.full(len(text), "", dtype=object)
    for column in columns:
        checked = (_relabel(text[column.source], _BOX) == "Yes").fillna(False).to_numpy(dtype=bool)
        label = column.field.choices[column.code]
        for place in np.flatnonzero(checked):
            result[place] = f"{result[place]}; {label}" if result[place] else label
    return pd.Series(np.where(result == "", None, result), index=text.index, dtype="str")
