"""YAML for documents that people write and others rely on: nothing in it may say something else than it seems to.

Safe tags only; duplicate keys, aliases and keys that YAML takes for something other than text are refused. Every value
keeps its line, so that a fault found later can name it.
"""

from __future__ import annotations

from typing import Any

import yaml

from studies.errors import PlanError


def read_mapping(text: str, name: str, *, what: str, remedy: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The mapping that `text` holds, and the line of each path in it (``subgroups[1].cut_points``; "" is all).

    `name` is the file's, for messages; `what` the kind of document expected; `remedy` what to do where `text` is not a
    mapping at all. Raises `PlanError` with the line.
    """
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            lines: dict[str, int] = {}
            if node is not None:
                _inspect(node, "", lines, name, set())
            document = None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}, line {mark.line + 1}, column {mark.column + 1}" if mark else name
        raise PlanError(
            f"This is not YAML: {error.problem or error.context}.",
            where=place,
            remedy="Check the indentation (spaces, no tabs), the colons and the quotes around this place.",
        ) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise PlanError(
            f"There is a character that YAML does not allow: {error.character!r}.", where=f"{name}, line {line}",
            remedy="Remove it.",
        ) from None  # fmt: skip
    except RecursionError:
        raise PlanError(f"The document is nested too deeply to be {what}.", where=name) from None
    except ValueError as error:
        # SafeLoader builds dates and numbers itself, and tells of an impossible one with a bare ValueError.
        raise PlanError(f"A value cannot be read: {error}.", where=name, remedy="Put it in quotes.") from None
    if not isinstance(document, dict):
        raise PlanError(f"This is not {what}.", where=name, remedy=remedy)
    return document, lines


def _inspect(node: yaml.Node, path: str, lines: dict[str, int], name: str, seen: set[int]) -> None:
    """Note the line of every path; refuse what would make a plan say something else than it seems to."""
    place = f"{name}, line {node.start_mark.line + 1}" + (f", {path}" if path else "")
    if id(node) in seen:
        # Also what keeps a few lines of nested aliases from growing into gigabytes.
        raise PlanError("A YAML alias (*name) is not allowed here.", where=place, remedy="Write the value out.")
    seen.add(id(node))
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        for position, child in enumerate(node.value):
            _inspect(child, f"{path}[{position}]", lines, name, seen)
    elif isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                word = key.value if isinstance(key, yaml.ScalarNode) else "this key"
                raise PlanError(
                    f"YAML reads the key {word} as something other than text.", where=f"{name}, line {line}",
                    remedy=f'Put it in quotes: "{word}".',
                )  # fmt: skip
            below = f"{path}.{key.value}" if path else key.value
            if key.value in first:
                raise PlanError(
                    f"`{key.value}` is written twice, on line {first[key.value]} and again here.",
                    where=f"{name}, line {line}, {below}", remedy="Keep one of them.",
                )  # fmt: skip
            first[key.value] = line
            _inspect(value, below, lines, name, seen)
            lines[below] = line
