"""The examples of docs/signing.md run as they stand there, and what the commands say and end with is as told."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "signing_support"))
import signed_study  # noqa: E402

from studies.registry.workspace import open_registry  # noqa: E402

PAGE = (ROOT / "docs" / "signing.md").read_text(encoding="utf-8")
EXAMPLES = "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)).replace("\\\n", " ").splitlines()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled")
    with open_registry(folder / "calliper-workspace", create=True) as registry:
        signed_study.fill(registry, folder / "sources")
    (folder / "passphrase.txt").write_text("correct horse battery\n")
    return folder


def test_the_examples_of_the_page_run(filled, command, monkeypatch) -> None:
    monkeypatch.chdir(filled)
    monkeypatch.setenv("CALLIPER_WORKSPACE", "calliper-workspace")
    said = {}
    for line in filter(None, EXAMPLES):
        words = shlex.split(line)
        assert words[0] == "calliper"
        outcome = command(*words[1:])
        assert outcome.code == 0, f"{line}: {outcome.error}{outcome.out}"
        said[" ".join(words[1:4])] = outcome
    assert "trial/1" in said["report list"].out
    assert (
        "A. Example has signed report trial/1 as author, signature 1."
        in [line for outcome in said.values() for line in outcome.out.splitlines()]
        or "B. Example has signed report trial/1 as approver, signature 2." in said["report sign trial/1"].out
    )
    verified = said["report verify calliper-workspace/reports/trial-1/report.pdf"].out
    assert "verified" in verified
    assert "Signed by A. Example, Biostatistician, as author" in verified
    assert "Reproduced: results.json" in verified
    assert "the same, byte for byte" in said["report verify trial-1.zip"].out

    # Elsewhere, with the bundle alone.
    elsewhere = filled / "elsewhere"
    elsewhere.mkdir()
    (filled / "trial-1.zip").rename(elsewhere / "trial-1.zip")
    monkeypatch.chdir(elsewhere)
    monkeypatch.delenv("CALLIPER_WORKSPACE")
    outcome = command("report", "verify", "trial-1.zip", "--json", "--results", "again.json")
    assert outcome.code == 0, outcome.error
    told = json.loads(outcome.out)
    assert (told["verified"], told["reproduced"]) == (True, True)
    results = filled / "calliper-workspace" / "reports" / "trial-1" / "results.json"
    assert (elsewhere / "again.json").read_bytes() == results.read_bytes()

    # Altered, and unknown.
    (elsewhere / "results.json").write_bytes(results.read_bytes().replace(b"2", b"3", 1))
    outcome = command("report", "verify", "results.json", "--no-recompute", "-w", filled / "calliper-workspace")
    assert outcome.code == 3
    assert "NOT verified" in outcome.out
    outcome = command("report", "verify", "results.json")
    assert outcome.code == 2
    assert "needs the workspace" in outcome.error
    outcome = command("report", "verify", "results.json", "-w", elsewhere / "nowhere")
    assert outcome.code == 5


def test_the_page_names_what_there_is() -> None:
    from reports.signing import MEANINGS

    for meaning in MEANINGS:
        assert f"- `{meaning}`:" in PAGE
    assert "complian" not in PAGE
    for picture in re.findall(r"\]\((pictures/[^)]+)\)", PAGE):
        assert (ROOT / "docs" / picture).is_file()
