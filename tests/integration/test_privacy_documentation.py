"""What docs/privacy.md and docs/audit.md say can be done as they say it, in their order, by a user at a shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from studies.plan import load_plan, template_text
from studies.privacy.remnants import find_traces
from studies.registry.trail import verify_trail
from studies.registry.workspace import open_registry

DOCS = Path(__file__).parents[2] / "docs"
PRIVACY, AUDIT = ((DOCS / name).read_text(encoding="utf-8") for name in ("privacy.md", "audit.md"))


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


@pytest.fixture
def shell(tmp_path: Path):
    """Runs the lines of a block one after the other, as a person types them; `calliper` is this checkout's."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "calliper"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m calliper "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    (tmp_path / "plan.yaml").write_text(template_text("blank").replace("seed: 1", "seed: 2"), encoding="utf-8")
    people = "".join(f"S{number},F,{30 + number % 9},walks\n" for number in range(1, 21))
    source = tmp_path / "source"
    source.mkdir()
    (source / "subjects.csv").write_text(f"subject_id,sex,age,habit\n{people}", encoding="utf-8")

    def run(lines: str) -> str:
        environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "CALLIPER_ACTOR": "tester"}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", lines], cwd=tmp_path, env=environment, capture_output=True, text=True,
            timeout=540, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{lines}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


def test_the_commands_of_both_pages(shell, tmp_path: Path) -> None:
    printed = shell("\n".join(blocks(AUDIT, "sh")))
    assert "The audit trail is whole: 2 events." in printed
    assert "The audit trail is whole and fits its 2 anchors: 3 events." in printed
    printed = shell("\n".join(blocks(PRIVACY, "sh")))
    assert "Nothing is there that must not be." in printed
    assert "nothing of the person is left there" in printed
    workspace = tmp_path / "calliper-workspace"
    assert (tmp_path / "export-S2" / "subject.html").is_file()
    assert len((tmp_path / "released" / "subjects.csv").read_text(encoding="utf-8-sig").splitlines()) == 20
    with open_registry(workspace) as registry:
        assert verify_trail(registry).whole
    key = (tmp_path / "key.txt").read_bytes().strip()
    assert not list(find_traces(workspace, {"the key": key}))


def test_the_program_of_the_page_on_the_trail(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_registry("calliper-workspace", create=True).close()
    (program,) = blocks(AUDIT, "python")
    exec(compile(program, "docs/audit.md", "exec"), {})


def test_the_periods_of_the_page_are_a_plan() -> None:
    (periods,) = blocks(PRIVACY, "yaml")
    text = "calliper_plan: 1\ntitle: t\nmeasurand: bmi\nreference: a\nindex: b\n" + periods
    assert load_plan(text).privacy.retention.model_dump() == yaml.safe_load(periods)["privacy"]["retention"]
