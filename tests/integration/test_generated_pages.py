"""The pages that are generated are as they would be generated now, and what they are made from is there."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # tools/ is no part of what is installed
from tools.documentation import accuracy, diagrams, licences, validation  # noqa: E402


def test_every_test_that_a_requirement_names_exists() -> None:
    for name in validation.named_tests():
        file, _, function = name.partition("::")
        tree = ast.parse((validation.TESTS / file).read_text(encoding="utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name


def test_requirements_have_numbers_of_their_own() -> None:
    numbers = [entry["id"] for area in validation.areas() for entry in area["requirements"]]
    assert len(numbers) == len(set(numbers)) > 30
    for area in validation.areas():
        assert all(entry["says"] and entry["tests"] for entry in area["requirements"])


def test_the_page_has_every_requirement_with_its_tests_and_a_result() -> None:
    page = validation.PAGE.read_text(encoding="utf-8")
    for area in validation.areas():
        assert f"### {area['area']}\n" in page
        for entry in area["requirements"]:
            tests = "<br>".join(f"`{test.replace('::', '` `')}`" for test in entry["tests"])
            assert f"| {entry['id']} | {entry['says']} | {tests} | " in page, f"{entry['id']}: run make validation"
    assert "not run" not in page


def test_results_are_those_of_the_junit_file(tmp_path: Path) -> None:
    first, second = validation.named_tests()[:2]
    cases = [(first, "[a]", ""), (first, "[b]", "<failure/>"), (second, "", "<skipped/>")]
    cases.append(("unit/test_x.py::test_y", "", ""))
    written = "".join(
        f'<testcase classname="tests.{name.partition("::")[0][:-3].replace("/", ".")}" '
        f'name="{name.partition("::")[2]}{case}">{how}</testcase>'
        for name, case, how in cases
    )
    file = tmp_path / "tests.xml"
    file.write_text(f"<testsuites><testsuite>{written}</testsuite></testsuites>", encoding="utf-8")
    ended = validation.outcomes(file)
    assert ended[first] == Counter(passed=1, failed=1)
    assert ended[second] == Counter(skipped=1)
    made = validation.table(ended, datetime(2026, 1, 2, tzinfo=UTC))
    assert "3 cases: 1 **failed**, 1 skipped, 1 passed. Run on 2026-01-02" in made
    assert "not run" in made


def test_the_accuracy_told_is_that_of_the_packaged_checkpoints() -> None:
    page = accuracy.PAGE.read_text(encoding="utf-8")
    assert accuracy.page(page) == page, "Run python -m tools.documentation.accuracy"
    for kind in ("photo-segmenter@", "silhouette-avatar@", "body-fat@"):
        assert f"### {kind}" in page


def test_the_licences_are_those_of_what_is_installed() -> None:
    for package in ("dask", "distributed", "psycopg", "smplx"):
        if find_spec(package) is None:  # importing them takes long
            pytest.skip("needs every extra: make setup installs them")
    page = licences.PAGE.read_text(encoding="utf-8")
    assert licences.page(page) == page, "Run python -m tools.documentation.licences"
    assert "not stated" not in page


def test_licences_that_ask_for_care_are_told() -> None:
    page = licences.PAGE.read_text(encoding="utf-8")
    care = page.partition("## Data and models")[0]
    always = page.partition("### Always installed")[2].partition("###")[0]
    assert "| `smplx`" in care
    assert "| `psycopg` | LGPL" in care
    assert "GPL" not in always  # so that the sentence on what is always installed stays true


def test_every_diagram_is_drawn_and_no_other() -> None:
    drawn = set(diagrams.PICTURES.glob("*.svg"))
    assert drawn == {diagrams.file_of(text) for text in diagrams.sources()}
    for file in drawn:
        assert "@import" not in file.read_text(encoding="utf-8")
        assert "<script" not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("latex", [r"\frac{1}{2", r"x + \unknowncommand{y}"])
def test_a_formula_that_is_not_understood_is_an_error(latex: str) -> None:
    pytest.importorskip("latex2mathml", reason="needs latex2mathml: make setup installs it")
    from tools.documentation.formulas import mathml

    with pytest.raises(ValueError, match=r"is not understood|unknown command"):
        mathml(latex, display="inline")
