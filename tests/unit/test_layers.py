"""The layers of the project: imports point one way, wherever in a file they stand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What each package may import of the project, beside itself.
BELOW = {
    "calliper": {"dashboards", "reports", "studies", "validation", "models"},
    "dashboards": {"reports", "studies", "validation", "models"},
    "reports": {"studies", "validation", "models"},
    "studies": {"validation", "models"},
    "validation": set(),
    "models": set(),
}
# Modules that compute and know no database, whatever they import in turn.
PURE = ("studies.readers", "studies.plan", "studies.plan_model", "studies.pairing", "studies.analysis")
DATABASE = {"sqlalchemy", "alembic", "psycopg", "sqlite3"}


@cache
def modules() -> dict[str, Path]:
    """Every module of the project by its dotted name."""
    found = {}
    for package in BELOW:
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """The dotted names that a module imports anywhere: at its top, in functions, for type checkers or by name."""
    path = modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return frozenset(_imports(ast.parse(path.read_text(encoding="utf-8")), package))


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if f"{base}.{alias.name}" in modules())
        elif isinstance(node, ast.Call) and _name(node.func) in ("import_module", "__import__"):
            yield from (word.value for word in node.args[:1] if isinstance(word, ast.Constant))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _top(name: str) -> str:
    return name.partition(".")[0]


def _with_packages(name: str) -> Iterator[str]:
    """A module of the project and the packages around it, which Python imports first."""
    while name:
        if name in modules():
            yield name
        name = name.rpartition(".")[0]


def _loaded_late(package: str) -> set[str]:
    """The modules of a package that gives its names by `__getattr__`: any of them can be meant by its name."""
    path = modules()[package]
    if path.name != "__init__.py" or "def __getattr__" not in path.read_text(encoding="utf-8"):
        return set()
    return {name for name in modules() if name.rpartition(".")[0] == package}


def reached_from(module: str) -> dict[str, str]:
    """Every module of the project that a module imports, directly or not -> the module that imports it."""
    reached, waiting = {module: ""}, [module]
    while waiting:
        here = waiting.pop()
        for name in imports(here) | _loaded_late(here):
            for part in _with_packages(name):
                if part not in reached:
                    reached[part] = here
                    waiting.append(part)
    return reached


def test_every_package_of_the_project_is_in_a_layer() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages == set(BELOW)
    assert {"studies.errors", "studies.ingest.ingest", "validation.errors"} <= set(modules())


@pytest.mark.parametrize("package", BELOW)
def test_imports_point_down_only(package: str) -> None:
    allowed = BELOW[package] | {package}
    wrong = {
        f"{module} imports {name}"
        for module in modules()
        if _top(module) == package
        for name in imports(module)
        if _top(name) in BELOW and _top(name) not in allowed
    }
    assert not wrong


@pytest.mark.parametrize("start", PURE)
def test_what_computes_knows_no_database(start: str) -> None:
    inside = [name for name in modules() if name == start or name.startswith(f"{start}.")]
    assert inside
    for module in inside:
        for name, by in reached_from(module).items():
            assert not name.startswith("studies.registry"), f"{module} reaches {name} by {by}"
            assert not {_top(other) for other in imports(name)} & DATABASE, f"{module} reaches a database by {name}"


def test_quality_does_not_know_ingest() -> None:
    for module in modules():
        if module.startswith("studies.quality"):
            reached = reached_from(module)
            assert not [name for name in reached if name.startswith("studies.ingest")], module


def test_the_parts_of_studies_do_not_import_one_another_in_circles() -> None:
    """A part is a module or a package right inside `studies`."""
    parts: dict[str, set[str]] = {}
    for module in modules():
        if module.startswith("studies."):
            here = module.split(".")[1]
            there = {name.split(".")[1] for name in imports(module) if name.startswith("studies.")}
            parts.setdefault(here, set()).update(there - {here})
    while parts:
        free = {part for part, needs in parts.items() if not needs & set(parts)}
        assert free, f"a circle within { ({part: needs & set(parts) for part, needs in parts.items()}) }"
        parts = {part: needs for part, needs in parts.items() if part not in free}
