"""Imports point one way: calliper → dashboards → reports → studies → {validation, models}."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("calliper", "dashboards", "reports", "studies", "validation", "models")
MAY_IMPORT = {
    "calliper": {"dashboards", "reports", "studies", "validation", "models"},
    "dashboards": {"reports", "studies", "validation", "models"},
    "reports": {"studies", "validation", "models"},
    "studies": {"validation", "models"},
    "validation": set(),
    "models": set(),
}
# What works on plain frames knows no database.
WITHOUT_DATABASE = ("analysis", "cohort", "criteria", "derived", "disclosure", "frames", "pairing", "plan",
                    "plan_model", "readers", "quality", "subgroups", "synthetic", "tables")  # fmt: skip


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files_of(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package}
    wrong = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files_of(package)
        for module in imports_of(path)
        if module.split(".")[0] in PACKAGES and module.split(".")[0] not in allowed
    }
    assert wrong == set()


def test_what_works_on_frames_knows_no_database() -> None:
    wrong = set()
    for name in WITHOUT_DATABASE:
        folder = ROOT / "studies" / name
        for path in files_of(f"studies/{name}") if folder.is_dir() else [folder.with_suffix(".py")]:
            for module in imports_of(path):
                if module.startswith(("sqlalchemy", "alembic", "psycopg", "studies.registry", "studies.ingest")):
                    wrong.add(f"{path.relative_to(ROOT)} imports {module}")
    assert wrong == set()


def test_the_registry_knows_nothing_of_ingest() -> None:
    wrong = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files_of("studies/registry")
        for module in imports_of(path)
        if module.startswith(("studies.ingest", "studies.quality", "studies.readers"))
    }
    assert wrong == set()
