"""The mapping: how a study's own tables become the canonical tables `subjects`, `scans` and `readings`.

A mapping is a YAML document (``calliper_mapping: 1``); `docs/mappings.md` describes it. It is read as strictly as an
analysis plan: what is not understood is refused, with the line and what to write instead.
"""

from __future__ import annotations

import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from studies.canonical import TABLES
from studies.errors import PlanError
from studies.measurands import MEASURANDS
from studies.strict_yaml import read_mapping
from studies.suggestions import suggestion

_MAXIMUM_BYTES = 1_000_000
Scalar = str | int | float | bool


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)


class Value(_Part):
    """Where one canonical value comes from: a column, the first of several that is filled, or a constant."""

    column: str | None = None
    first_of: Annotated[list[str], Field(min_length=1)] | None = None
    constant: Scalar | None = None
    recode: dict[str, Scalar | None] | None = None
    otherwise: Literal["reject", "keep", "missing"] = "reject"
    default: Scalar | None = None
    date_format: str | None = None
    numeric: bool = False
    optional: bool = False

    @model_validator(mode="after")
    def _one_origin(self) -> Value:
        given = [name for name in ("column", "first_of", "constant") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of `column`, `first_of` and `constant`")
        if self.otherwise != "reject" and self.recode is None:
            raise ValueError("`otherwise` goes with `recode`: it says what happens to a value that is not listed there")
        return self

    def source_columns(self) -> list[str]:
        return [self.column] if self.column else list(self.first_of or [])


def _as_value(given: Any) -> Any:
    return {"column": given} if isinstance(given, str) else given


ValueRule = Annotated[Value, BeforeValidator(_as_value)]


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


class Condition(_Part):
    """A row filter: rows for which it does not hold are not selected, and counted under `reason`."""

    column: str
    equals: Scalar | None = None
    in_: Annotated[list[Scalar], Field(min_length=1)] | None = Field(default=None, alias="in")
    not_in: Annotated[list[Scalar], Field(min_length=1)] | None = None
    at_least: float | None = None
    at_most: float | None = None
    present: bool | None = None
    reason: str | None = None
    optional: bool = False

    @model_validator(mode="after")
    def _says_something(self) -> Condition:
        names = ("equals", "in_", "not_in", "at_least", "at_most", "present")
        if all(getattr(self, name) is None for name in names):
            raise ValueError("say what must hold: `equals`, `in`, `not_in`, `at_least`, `at_most` or `present`")
        return self

    def described(self) -> str:
        """The reason to show for rows that fall out."""
        if self.reason:
            return self.reason
        words = {
            "equals": "is not {}", "in_": "is none of {}", "not_in": "is one of {}", "at_least": "is below {}",
            "at_most": "is above {}",
        }  # fmt: skip
        for name, text in words.items():
            if (limit := getattr(self, name)) is not None:
                shown = ", ".join(_short(item) for item in limit) if isinstance(limit, list) else _short(limit)
                return f"{self.column} {text.format(shown)}"
        return f"{self.column} is {'missing' if self.present else 'given'}"


class Join(_Part):
    """Columns of another source, added to the rows of this one by a key that is unique there."""

    source: str
    by: str | dict[str, str]
    columns: Annotated[list[str], Field(min_length=1)]
    how: Literal["left", "inner"] = "left"

    def keys(self) -> tuple[str, str]:
        """The key's column here, and its column in the joined source."""
        if isinstance(self.by, str):
            return self.by, self.by
        return next(iter(self.by.items()))

    @model_validator(mode="after")
    def _one_key(self) -> Join:
        if isinstance(self.by, dict) and len(self.by) != 1:
            raise ValueError("write `by: COLUMN`, or `by: {COLUMN_HERE: COLUMN_THERE}` with one pair")
        return self


class WideValue(_Part):
    """One column of a wide table that becomes a reading of its own."""

    column: str
    measurand: str
    unit: str | None = None
    method: ValueRule | None = None
    device: ValueRule | None = None
    replicate: int | None = Field(default=None, ge=1)
    visit: ValueRule | None = None
    optional: bool = False

    @model_validator(mode="after")
    def _known(self) -> WideValue:
        measurand = MEASURANDS.get(self.measurand)
        if measurand is None:
            raise ValueError(f"there is no measurand `{self.measurand}`. {suggestion(self.measurand, MEASURANDS)}")
        if measurand.factor(self.unit) is None:
            known = ", ".join(measurand.units)
            raise ValueError(f"`{self.unit}` is not a unit of {self.measurand}: write one of {known}")
        return self


class Attribute(_Part):
    """A source column that is kept as an attribute of the subject, under `name`."""

    column: str
    name: str | None = None
    optional: bool = False


AttributeRule = Annotated[Attribute, BeforeValidator(_as_value)]


class SourceRule(_Part):
    """Which tables on disk a source stands for: names without extension, `?` and `*` allowed, case ignored."""

    files: Annotated[list[str], Field(min_length=1)]
    optional: bool = True
    description: str | None = None


class TableRule(_Part):
    """How the rows of one source become rows of one canonical table."""

    source: str = Field(alias="from")
    join: list[Join] = Field(default_factory=list)
    where: list[Condition] = Field(default_factory=list)
    columns: dict[str, ValueRule] = Field(default_factory=dict)
    values: list[WideValue] = Field(default_factory=list)
    attributes: list[AttributeRule] | Literal["all-other"] = Field(default_factory=list)


class Options(_Part):
    """What to tell the readers, where detection would be a guess."""

    delimiter: str | None = None
    encoding: str | None = None
    decimal: Literal[".", ","] | None = None
    date_format: str | None = None
    sheet: str | None = None
    missing: list[str] = Field(default_factory=list)


class Mapping(_Part):
    calliper_mapping: Literal[1]
    name: str
    description: str | None = None
    reader: Literal["tables", "redcap"] = "tables"
    options: Options = Field(default_factory=Options)
    sources: Annotated[dict[str, SourceRule], Field(min_length=1)]
    visits: list[str] = Field(default_factory=list)
    subjects: list[TableRule] = Field(default_factory=list)
    scans: list[TableRule] = Field(default_factory=list)
    readings: list[TableRule] = Field(default_factory=list)

    @model_validator(mode="after")
    def _consistent(self) -> Mapping:
        faults: list[str] = []
        if not (self.subjects or self.scans or self.readings):
            faults.append("nothing is mapped: give at least one of `subjects`, `scans` and `readings`")
        for table, rules in self.tables():
            for position, rule in enumerate(rules):
                faults += [f"{table}[{position}]: {fault}" for fault in self._faults_of(table, rule)]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _faults_of(self, table: str, rule: TableRule) -> list[str]:
        faults = [
            f"there is no source `{name}`. {suggestion(name, self.sources)}"
            for name in [rule.source, *(join.source for join in rule.join)]
            if name not in self.sources
        ]
        known = {field.name for field in TABLES[table]}
        faults += [
            f"columns: there is no canonical column `{name}`. {suggestion(name, known)}"
            for name in rule.columns
            if name not in known
        ]
        if rule.values and table != "readings":
            faults.append("`values` belongs to `readings`")
        if rule.attributes and table == "readings":
            faults.append("`attributes` belongs to `subjects` and `scans`")
        given = set(rule.columns)
        if rule.values:
            given |= {"measurand", "value", "unit"}
            if all(value.method for value in rule.values):
                given.add("method")
            if clash := sorted({"measurand", "value", "unit"} & set(rule.columns)):
                faults.append(f"with `values`, leave out columns: {', '.join(clash)}")
        missing = [field.name for field in TABLES[table] if field.required and field.name not in given]
        faults += [f"columns: `{name}` is missing" for name in missing]
        return faults

    def tables(self) -> list[tuple[str, list[TableRule]]]:
        return [("subjects", self.subjects), ("scans", self.scans), ("readings", self.readings)]

    def document(self) -> dict[str, Any]:
        """The mapping as JSON-able data, without what is left at its default."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"calliper_mapping": 1}

    def sha256(self) -> str:
        text = json.dumps(self.document(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def builtin_names() -> list[str]:
    """The mappings that come with Calliper."""
    folder = files("studies.ingest") / "mappings"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def builtin_text(name: str) -> str:
    """The YAML of a built-in mapping, to read or to copy."""
    return (files("studies.ingest") / "mappings" / f"{name}.yaml").read_text(encoding="utf-8")


def load_mapping(name_or_path: str) -> Mapping:
    """A built-in mapping by its name, or a mapping file by its path. Raises PlanError with every fault found."""
    if name_or_path in builtin_names():
        return parse_mapping(builtin_text(name_or_path), f"built-in mapping {name_or_path}")
    path = Path(name_or_path)
    if not path.is_file():
        raise PlanError(
            f"There is no mapping '{name_or_path}'.",
            remedy=f"Give a file, or one of the built-in mappings: {', '.join(builtin_names())}.",
        )
    if path.stat().st_size > _MAXIMUM_BYTES:
        raise PlanError("This is too large to be a mapping.", where=str(path), remedy="Give a YAML mapping file.")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise PlanError("This is not a text file.", where=str(path), remedy="Save the mapping as UTF-8.") from None
    except OSError as error:
        raise PlanError(f"The mapping cannot be read: {error.strerror or error}.", where=str(path)) from None
    return parse_mapping(text, str(path))


def parse_mapping(text: str, name: str) -> Mapping:
    """A mapping from YAML text; `name` is the file's, for messages."""
    document, lines = read_mapping(
        text, name, what="a mapping", remedy="Start from a built-in one: calliper mapping show calliper."
    )
    try:
        return Mapping.model_validate(document)
    except ValidationError as error:
        raise PlanError("\n".join(_message(fault, lines, name, document) for fault in error.errors())) from None


def _message(fault: Any, lines: dict[str, int], name: str, document: dict[str, Any]) -> str:
    steps = [step for step in fault["loc"] if not _is_union_step(step)]
    path = ""
    for step in steps:
        below = f"{path}[{step}]" if isinstance(step, int) else f"{path}.{step}" if path else str(step)
        if below not in lines and fault["type"] != "missing":
            break
        path = below
    line = next((lines[part] for part in _outward(path) if part in lines), 1)
    text = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        key = str(fault["loc"][-1])
        text = f"`{key}` is not known here. {suggestion(key, _known_keys(fault['loc']))}"
    elif fault["type"] == "missing":
        text = f"`{fault['loc'][-1]}` is missing"
    elif "input" in fault and not isinstance(fault["input"], dict | list):
        text = f"{text[0].lower()}{text[1:]}, not {fault['input']!r}"
    end = "" if text.endswith(("?", ".")) else "."
    return f"{name}, line {line}{f', {path}' if path else ''}: {text}{end}"


def _is_union_step(step: Any) -> bool:
    """Pydantic names the branch of a union in the path; a person did not write that."""
    return isinstance(step, str) and (
        step in {"str", "int", "float", "bool", "dict[str,str]"} or step.startswith(("function-", "literal[", "list["))
    )


def _outward(path: str) -> list[str]:
    """`path` and what encloses it, from the inside out."""
    found = [path]
    while path:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
        found.append(path)
    return found


def _known_keys(location: tuple[Any, ...]) -> list[str]:
    """The keys that are allowed where an unknown one was found."""
    parts: dict[str, type[BaseModel]] = {
        "options": Options, "sources": SourceRule, "columns": Value, "where": Condition, "join": Join,
        "values": WideValue, "attributes": Attribute, "method": Value, "device": Value, "visit": Value,
        "subjects": TableRule, "scans": TableRule, "readings": TableRule,
    }  # fmt: skip
    model = next((parts[step] for step in reversed(location[:-1]) if step in parts), Mapping)
    return [field.alias or name for name, field in model.model_fields.items()]
