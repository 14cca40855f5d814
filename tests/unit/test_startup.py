"""What is imported, and what is not, before a command has work to do: `--help` must answer at once."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "alembic", "argon2", "dash", "flask", "great_expectations", "matplotlib", "numpy", "openpyxl", "pandas", "PIL",
    "plotly", "pyarrow", "pydantic", "pyreadstat", "rich", "scipy", "sqlalchemy", "torch", "typst", "yaml",
}  # fmt: skip
_REPORT = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
_COMMAND = """
import sys
from calliper.__main__ import main
sys.argv = ["calliper", *{arguments!r}]
try:
    main()
except SystemExit as end:
    assert end.code in (0, None), end.code
"""


def _imported_after(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has imported after `code`."""
    done = subprocess.run([sys.executable, "-c", f"{code}\n{_REPORT}"], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_report_of_a_child_can_show_heavy_modules() -> None:
    assert {"numpy", "pandas"} <= _imported_after("import pandas")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    imported = _imported_after(_COMMAND.format(arguments=arguments))
    assert "calliper" in imported
    assert not imported & HEAVY


@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest", "--help"],
        ["study", "create", "--help"],
        ["report", "--help"],
        ["avatar", "--help"],
        ["checkpoint", "add", "--help"],
        ["cohort", "render", "--help"],
        ["dashboard", "--help"],
        ["user", "add", "--help"],
    ],
    ids=" ".join,
)
def test_help_of_a_command_imports_nothing_heavy_of_ours(arguments: list[str]) -> None:
    imported = _imported_after(_COMMAND.format(arguments=arguments))
    assert not imported & HEAVY - {"pydantic"}  # with which Typer itself reads arguments


@pytest.mark.parametrize(
    "package",
    [
        "calliper",
        "dashboards",
        "models",
        "models.avatar",
        "models.checkpoints",
        "reports",
        "studies",
        "studies.errors",
        "studies.readers",
        "validation",
    ],
)
def test_a_package_loads_its_parts_only_when_they_are_used(package: str) -> None:
    assert not _imported_after(f"import {package}") & HEAVY
