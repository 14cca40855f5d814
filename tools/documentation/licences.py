"""The table of docs/licences.md: what Calliper stands on, under which licence, by what the installed packages say.

python -m tools.documentation.licences      writes it anew
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "licences.md"
BEGIN, END = "<!-- generated: python -m tools.documentation.licences -->\n", "<!-- end -->"
EXTRAS = ("dask", "postgresql", "smpl")  # what users may install; tools for tests and documentation are not handed out
# Packages whose metadata name no licence, or name it at length: read in the files that come with them.
READ = {"smplx": "Max-Planck-Gesellschaft, non-commercial research only"}


def licence(package: str) -> str:
    """The licence that a package's metadata name: its SPDX expression, else its classifiers, else its free text."""
    if package in READ:
        return READ[package]
    told = metadata(package)
    expression = told.get("License-Expression")
    if expression:
        return expression
    classes = [line.rpartition(" :: ")[2] for line in told.get_all("Classifier", []) if line.startswith("License")]
    classes = [name for name in classes if name not in ("OSI Approved", "Other/Proprietary License")]
    if classes:
        return ", ".join(classes)
    free = (told.get("License") or "").strip().splitlines()
    return re.sub(r"\s+", " ", free[0])[:80] if free else "not stated in its metadata"


def needed(requirements: list[str], extra_of: tuple[str, ...] = ()) -> set[str]:
    """These packages and all that they need in turn, on this machine."""
    found: set[str] = set()
    waiting = [(Requirement(text), extra_of) for text in requirements]
    while waiting:
        requirement, extras = waiting.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            continue
        try:
            below = requires(name) or []
        except PackageNotFoundError:
            continue  # for another kind of machine
        if name not in found:
            found.add(name)
            waiting += [(Requirement(text), tuple(requirement.extras)) for text in below]
    return found


def table() -> str:
    """The generated part of the page."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = {"always": needed(project["dependencies"])}
    for extra in EXTRAS:
        groups[extra] = needed(project["optional-dependencies"][extra]) - groups["always"]
    asked = [*project["dependencies"], *(text for extra in EXTRAS for text in project["optional-dependencies"][extra])]
    direct = {canonicalize_name(Requirement(text).name) for text in asked}
    lines = []
    for group, packages in groups.items():
        title = "Always installed" if group == "always" else f"With the extra `{group}`"
        lines += [f"### {title}", "", "| licence | packages (bold: those that Calliper itself asks for) |", "|---|---|"]
        by_licence: dict[str, list[str]] = defaultdict(list)
        for package in sorted(packages):
            by_licence[licence(package)].append(f"**{package}**" if package in direct else package)
        for name in sorted(by_licence, key=str.lower):
            lines.append(f"| {name.replace('|', '/')} | {', '.join(by_licence[name])} |")
        lines.append("")
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
