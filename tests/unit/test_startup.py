"""The command answers at once: what is heavy is imported only by the commands that need it."""

from __future__ import annotations

import subprocess
import sys

import pytest

# pydantic is not among them: typer itself looks for it where a command has parameters.
HEAVY = (
    "alembic", "great_expectations", "matplotlib", "numpy", "pandas", "PIL", "psycopg", "pyarrow",
    "pyreadstat", "scipy", "sqlalchemy", "torch", "typst", "yaml",
)  # fmt: skip


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that are loaded after a statement, in a fresh interpreter."""
    code = f"import sys\n{statement}\nprint('LOADED', *sorted(name.split('.')[0] for name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.rsplit("LOADED", 1)[1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["study", "--help"], ["ingest", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    run = (
        "from calliper.app import app\n"
        f"try:\n    app(args={arguments!r}, prog_name='calliper')\nexcept SystemExit as end:\n    assert not end.code"
    )
    assert loaded_after(run) & set(HEAVY) == set()


@pytest.mark.parametrize("package", ["calliper", "dashboards", "models", "reports", "studies", "validation"])
def test_a_package_alone_imports_nothing_heavy(package: str) -> None:
    assert loaded_after(f"import {package}") & set(HEAVY) == set()
