"""Whose row of a source it is, by the mapping that read it: refused rows are kept in their source's own columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from studies.canonical import TEXT_COLUMN

_WHOLE = re.compile(r"(-?\d+)\.0*")


def as_plain_code(value: Any) -> str | None:
    """A cell as a subject's code: without blanks around it, whole numbers without decimals; None where it is empty."""
    text = "" if value is None else str(value).strip()
    if whole := _WHOLE.fullmatch(text):
        text = whole[1]
    return text or None


def subject_columns(mapping: Mapping[str, Any]) -> frozenset[str]:
    """The columns (casefolded) from which a mapping (its document) reads the subject's code."""
    found: set[str] = set()
    for rule in _rules(mapping):
        found |= {column.casefold() for column in _columns(rule.get("columns", {}).get("subject_id"))}
    return frozenset(found)


def used_columns(mapping: Mapping[str, Any]) -> frozenset[str] | None:
    """The columns (casefolded) that a mapping reads anything from; None where it keeps all there are."""
    found: set[str] = set()
    for rule in _rules(mapping):
        if rule.get("attributes") == "all-other":
            return None
        for value in rule.get("columns", {}).values():
            found |= {column.casefold() for column in _columns(value)}
        for value in rule.get("values", []):
            found |= {column.casefold() for column in _columns(value)}
            for part in ("method", "device", "visit"):
                found |= {column.casefold() for column in _columns(value.get(part))}
        found |= {column.casefold() for attribute in rule.get("attributes", []) for column in _columns(attribute)}
        found |= {condition["column"].casefold() for condition in rule.get("where", [])}
        for join in rule.get("join", []):
            by = join["by"]
            found |= {name.casefold() for name in ([by] if isinstance(by, str) else by)}
    return frozenset(found)


def is_about(content: Mapping[str, Any], columns: frozenset[str], code: str) -> bool:
    """Whether a refused row (by column) is about the subject `code`. `columns`: of `subject_columns`.

    A row that fits no columns is about everybody whom its text names as a word of its own. Where the mapping has no
    column for the code, every column is looked at.
    """
    if TEXT_COLUMN in content:
        return mentions(str(content[TEXT_COLUMN]), code)
    for name, value in content.items():
        if (not columns or name.casefold() in columns) and as_plain_code(value) == code:
            return True
    return False


def mentions(text: str, code: str) -> bool:
    """Whether a text has the code as a word of its own."""
    return re.search(rf"(?<![\w-]){re.escape(code)}(?![\w-])", text) is not None


def _rules(mapping: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for table in ("subjects", "scans", "readings"):
        yield from mapping.get(table, [])


def _columns(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Mapping):
        return []
    return [value["column"]] if value.get("column") else list(value.get("first_of") or [])
