"""The validation of the software itself: requirements, the tests that check each, and how they ended.

python -m tools.documentation.validation            runs the tests of tests/requirements.yaml, writes docs/validation.md
python -m tools.documentation.validation tests.xml  takes the results from a JUnit file of pytest instead
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import yaml

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "validation.md"
BEGIN, END = "<!-- generated: python -m tools.documentation.validation -->\n", "<!-- end -->"


def areas() -> list[dict]:
    """The requirements, area by area, as tests/requirements.yaml has them."""
    return yaml.safe_load((TESTS / "requirements.yaml").read_text(encoding="utf-8"))


def named_tests() -> list[str]:
    """Every test that a requirement names."""
    return [test for area in areas() for requirement in area["requirements"] for test in requirement["tests"]]


def outcomes(junit: Path) -> dict[str, Counter]:
    """How the cases of each test ended, by FILE::FUNCTION: passed, failed, skipped."""
    ended: dict[str, Counter] = defaultdict(Counter)
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
        parts = case.get("classname", "").split(".")
        if parts[0] == "tests":
            parts = parts[1:]
        kinds = {child.tag for child in case}
        how = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        ended[f"{'/'.join(parts)}.py::{case.get('name', '').partition('[')[0]}"][how] += 1
    return ended


def table(ended: dict[str, Counter], when: datetime) -> str:
    """The generated part of the page."""
    total = sum((ended.get(test, Counter()) for test in set(named_tests())), Counter())
    count = sum(len(area["requirements"]) for area in areas())
    lines = [
        f"{count} requirements, {len(set(named_tests()))} tests with {sum(total.values()):,} cases: {_told(total)}. "
        f"Run on {when:%Y-%m-%d} with Calliper {_version()}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}.",
        "",
    ]
    for area in areas():
        lines += [f"### {area['area']}", "", "| | requirement | tests | result |", "|---|---|---|---|"]
        for entry in area["requirements"]:
            result = sum((ended.get(test, Counter({"not run": 1})) for test in entry["tests"]), Counter())
            tests = "<br>".join(f"`{test.replace('::', '` `')}`" for test in entry["tests"])
            lines.append(f"| {entry['id']} | {entry['says']} | {tests} | {_told(result)} |")
        lines.append("")
    return "\n".join(lines)


def page(text: str, generated: str) -> str:
    """The page with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{generated}\n{END}{rest.partition(END)[2]}"


def _told(result: Counter) -> str:
    order = ("failed", "not run", "skipped", "passed")
    return ", ".join(f"{result[how]:,} {'**' if how == 'failed' else ''}{how}{'**' if how == 'failed' else ''}"
                     for how in order if result[how]) or "none"  # fmt: skip


def _version() -> str:
    found = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else "?"


def run(junit: Path) -> None:
    """Run the tests that are named; failures are results, not errors."""
    names = [str(TESTS / test) for test in dict.fromkeys(named_tests())]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", f"--junit-xml={junit}", *names]
    subprocess.run(command, cwd=ROOT, check=False)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        file = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "tests.xml"
        if len(sys.argv) == 1:
            run(file)
        made = table(outcomes(file), datetime.now(UTC))
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), made), encoding="utf-8")
