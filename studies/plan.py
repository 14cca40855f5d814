"""The analysis plan: what a study will compute and what it must show, written before the data are looked at.

A plan is a YAML document (``calliper_plan: 1``). It is read strictly: an unknown key, a duplicate key or a number in
quotes is refused, with the file, the line, the path inside the document and what to write instead. Its hash depends on
what the plan says alone: not on the order of keys, comments or layout.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from studies.errors import PlanError
from studies.plan_model import (
    DERIVED_METHODS,
    METRICS,
    Criterion,
    CutOff,
    DecisionLevel,
    EligibilityRule,
    FaultAtError,
    Pairing,
    Plan,
    Privacy,
    Retention,
    Subgroup,
    class_labels,
)
from studies.strict_yaml import read_mapping
from studies.suggestions import suggestion

__all__ = [
    "DERIVED_METHODS",
    "METRICS",
    "Criterion",
    "CutOff",
    "DecisionLevel",
    "EligibilityRule",
    "Pairing",
    "Plan",
    "Privacy",
    "Retention",
    "Subgroup",
    "class_labels",
    "load_plan",
    "load_template",
    "plan_from_document",
    "plan_hash",
    "template_names",
    "template_text",
]

_MAXIMUM_BYTES = 1_000_000


def plan_hash(plan: Plan) -> str:
    """SHA-256 (hex) of the plan's canonical JSON: equal for equal plans, however they are written."""
    text = json.dumps(plan.document(), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


# Reading ------------------------------------------------------------------------------------------------------------


def load_plan(source: Path | str) -> Plan:
    """Read a plan from a file, or from YAML text (a `str` that holds a line break).

    Raises `PlanError`, with every fault that was found, each with its line and its path in the document.
    """
    if isinstance(source, str) and "\n" in source:
        return _parse(source, "plan")
    path = Path(source)
    try:
        data = path.read_bytes()
    except OSError as error:
        near = [candidate.name for candidate in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        raise PlanError(
            f"The plan cannot be read: {error.strerror or error}.",
            where=str(path),
            remedy=suggestion(path.name, near) if near else "Give the path of a YAML file.",
        ) from None
    if len(data) > _MAXIMUM_BYTES:
        raise PlanError(f"The file has {len(data):,} bytes; no plan is that long.", where=path.name)
    try:
        return _parse(data.decode("utf-8-sig"), path.name)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise PlanError(
            "The file is not UTF-8 text.", where=f"{path.name}, line {line}", remedy="Save it as UTF-8."
        ) from None


def plan_from_document(document: dict[str, Any], name: str = "plan") -> Plan:
    """The plan of a stored `Plan.document()`."""
    return _validate(document, name, {})


def template_names() -> list[str]:
    """Names of the plans that come with Calliper, in alphabetical order."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _templates().iterdir() if entry.name.endswith(".yaml"))


def template_text(name: str) -> str:
    """The YAML of a template with its comments, to copy and edit."""
    if name not in template_names():
        raise PlanError(f"There is no plan template '{name}'.", remedy=suggestion(name, template_names()))
    return (_templates() / f"{name}.yaml").read_text(encoding="utf-8")


def load_template(name: str) -> Plan:
    """A plan that comes with Calliper."""
    return _parse(template_text(name), f"template {name}")


def _templates() -> Traversable:
    return files("studies") / "templates"


def _parse(text: str, name: str) -> Plan:
    document, lines = read_mapping(
        text,
        name,
        what="an analysis plan",
        remedy="A plan begins with `calliper_plan: 1`; `calliper plan show blank` prints one to start from.",
    )
    return _validate(document, name, lines)


def _validate(document: dict[str, Any], name: str, lines: dict[str, int]) -> Plan:
    try:
        return Plan.model_validate(document)
    except ValidationError as error:
        faults = [_fault(detail, document, name, lines) for detail in _distinct(error)]
    if len(faults) == 1:
        raise faults[0]
    gathered = PlanError(
        f"{len(faults)} faults in the plan.\n" + "\n".join(f"  {fault}" for fault in faults), where=name
    )
    gathered.faults = faults  # type: ignore[attr-defined]
    raise gathered


_TYPES = {
    "string_type": "text", "list_type": "a list", "dict_type": "a mapping (key: value)", "float_type": "a number",
    "int_type": "a whole number", "model_type": "a mapping (key: value)", "bool_type": "yes or no (true or false)",
    "model_attributes_type": "a mapping (key: value)",
}  # fmt: skip

_EXAMPLES = {
    "calliper_plan": "calliper_plan: 1", "title": "title: Validation of the scan against DXA",
    "measurand": "measurand: body_fat_percent", "reference": "reference: dxa", "index": "index: scan",
    "name": "name: sex", "metric": "metric: mae",
}  # fmt: skip


def _distinct(error: ValidationError) -> list[dict[str, Any]]:
    """One detail a place: a union reports each of its branches, which a reader takes for several faults."""
    found: dict[tuple, dict[str, Any]] = {}
    for detail in error.errors(include_url=False):
        loc = tuple(part for part in detail["loc"] if not _is_branch(part))
        if loc in found and _is_union(detail["loc"]):
            found[loc].setdefault("also", []).append(detail)
        else:
            found.setdefault(loc, {**detail, "loc": loc})
    # A mapping with a fault inside is also "not a list" where a list was possible: only the fault inside helps.
    deeper = {loc[:-1] for loc in found}
    return [
        detail
        for loc, detail in found.items()
        if not (detail["type"] == "list_type" and isinstance(detail["input"], dict) and loc in deeper)
    ]


def _is_branch(part: str | int) -> bool:
    return isinstance(part, str) and bool(
        re.match(r"(list|dict|constrained-|function-|str$|bool$|float$|int$|tagged)", part)
    )


def _is_union(loc: tuple) -> bool:
    return any(_is_branch(part) for part in loc)


def _fault(detail: dict[str, Any], document: Any, name: str, lines: dict[str, int]) -> PlanError:
    loc, kind, context = detail["loc"], detail["type"], detail.get("ctx", {})
    inner = context.get("error")
    path = inner.path if isinstance(inner, FaultAtError) else _path(loc)
    line = _line(path, lines)
    where = f"{name}, line {line}" if line else name
    where += f", {path}" if path else ""
    what, remedy = f"{detail['msg']}.", None
    also = [other["type"] for other in detail.get("also", [])]
    if isinstance(inner, Exception):
        what = str(inner)
    elif kind == "missing":
        key = str(loc[-1])
        what, remedy = f"`{key}` is missing.", f"Add `{_EXAMPLES.get(key, f'{key}: …')}`."
    elif kind == "extra_forbidden":
        known = _keys_at(loc[:-1])
        what, remedy = f"`{loc[-1]}` is not a key of a plan here.", suggestion(loc[-1], known)
    elif kind == "literal_error":
        allowed = context["expected"].replace("'", "")
        what, remedy = f"{_shown(detail['input'])} is not one of: {allowed}.", None
        near = difflib.get_close_matches(str(detail["input"]), re.split(r", | or ", allowed), n=1)
        remedy = f"Did you mean '{near[0]}'?" if near else None
    elif kind in _TYPES:
        wanted = " or ".join(dict.fromkeys(_TYPES[each] for each in (kind, *also) if each in _TYPES))
        what = f"{_shown(detail['input'])} is not {wanted}."
        if kind in ("float_type", "int_type") and isinstance(detail["input"], str):
            remedy = "Write the number without quotes."
        elif kind == "string_type" and not isinstance(detail["input"], list | dict):
            remedy = f'Put it in quotes: "{detail["input"]}".' if detail["input"] is not None else "Give a value."
        elif kind == "list_type":
            remedy = (
                f"Write it in brackets: [{detail['input']}]."
                if isinstance(detail["input"], str | int | float)
                else None
            )
    elif kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        words = {
            "greater_than": "above",
            "greater_than_equal": "at least",
            "less_than": "below",
            "less_than_equal": "at most",
        }
        limit = next(iter(context.values()))
        what = f"{_shown(detail['input'])} must be {words[kind]} {limit:g}."
    elif kind in ("too_short", "string_too_short"):
        what, remedy = "Nothing is given here.", "Give a value, or remove the key."
        if context.get("min_length", 1) > 1:
            what, remedy = f"There must be {context['min_length']} values here.", None
    elif kind == "too_long":
        what = f"There must be {context['max_length']} values here."
    return PlanError(what, where=where, remedy=remedy or None)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f"'{value}'"
    if value is None:
        return "An empty value"
    if isinstance(value, bool):
        return str(value).lower()
    return "A mapping" if isinstance(value, dict) else "A list" if isinstance(value, list) else str(value)


def _path(loc: tuple) -> str:
    text = ""
    for part in loc:
        part = "in" if part == "in_" else part
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _line(path: str, lines: dict[str, int]) -> int | None:
    """The line of `path`, or of the nearest part of it that is in the document."""
    while path and path not in lines:
        path = re.sub(r"(\[\d+\]|\.?[^.\[\]]+)$", "", path)
    return lines.get(path)


def _keys_at(loc: tuple) -> list[str]:
    """The keys that the document may have at `loc`."""
    model: type[BaseModel] = Plan
    for part in loc:
        if isinstance(part, str):
            model = {
                "pairing": Pairing,
                "eligibility": EligibilityRule,
                "subgroups": Subgroup,
                "criteria": Criterion,
                "decision_levels": DecisionLevel,
                "cut_offs": CutOff,
                "privacy": Privacy,
                "retention": Retention,
            }.get(part, model)
    return [field.alias or key for key, field in model.model_fields.items()]
