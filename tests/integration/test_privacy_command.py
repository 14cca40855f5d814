"""`calliper privacy` and `calliper audit` as a user meets them: what is printed, and the exit codes."""

from __future__ import annotations

import io
import json

import pytest

from studies.registry.trail import chain_head
from studies.registry.workspace import open_registry


@pytest.fixture
def filled(command, desk):
    """A study with two people, as the command line sees it."""
    desk.write("subjects.csv", "subject_id,sex,age,consent\nANNA-001,F,41,photos\nBERT-002,M,52,none\n")
    desk.write("readings.csv", "subject_id,visit,measurand,method,value,unit\nANNA-001,1,body_fat_percent,dxa,31,%\n")
    desk.ingest()
    return command


def test_a_person_from_question_to_erasure(filled, tmp_path, monkeypatch) -> None:
    answers = io.StringIO("n\n")
    monkeypatch.setattr("sys.stdin", answers)
    refused = filled("privacy", "erase", "ANNA-001", "--reason", "asked for")
    assert refused.code == 2
    assert "there is: subject (1), visits (1), readings (1)" in refused.error
    assert "Nothing was erased." in refused.error

    exported = filled("privacy", "export", "ANNA-001", "--out", tmp_path / "out", "--reason", "asked for")
    assert (exported.code, (tmp_path / "out" / "subject.html").is_file()) == (0, True)
    assert json.loads((tmp_path / "out" / "subject.json").read_text())["readings"][0]["value"] == 31
    assert filled("privacy", "export", "ANNA-001", "--out", tmp_path / "out").code == 2  # never into an old folder

    events = json.loads(
        filled("audit", "show", "--study", "trial", "--subject", "ANNA-001", "--json").out
    )  # fmt: skip
    assert [(event["action"], event["detail"]["reason"]) for event in events] == [("export", "asked for")]

    erased = filled("privacy", "erase", "ANNA-001", "--reason", "asked for", "--yes")
    assert erased.code == 0
    assert "nothing of the person is left there" in erased.out
    assert "backups" in erased.error
    again = filled("privacy", "erase", "ANNA-001", "--reason", "asked for", "--yes")
    assert (again.code, "Nothing is held on a subject 'ANNA-001'" in again.error) == (2, True)
    assert "asked for" in filled("privacy", "erasures", "trial").out
    shown = filled("audit", "show").out
    assert "(erased with the person)" in shown
    assert "ANNA-001" not in shown
    assert filled("audit", "verify").code == 0


def test_a_sweep_ends_with_5_until_what_must_not_be_there_is_gone(filled, tmp_path) -> None:
    orphan = tmp_path / "workspace" / "photos" / "ab" / f"{'ab' * 32}.jpg"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"\xff\xd8\xff")
    found = filled("privacy", "sweep", "trial")
    assert (found.code, "no row of the registry holds it" in found.out) == (5, True)
    assert json.loads(filled("privacy", "sweep", "--json").out)["clean"] is False
    done = filled("privacy", "sweep", "--delete")
    assert (done.code, orphan.exists()) == (0, False)
    assert "Nothing is there that must not be." in done.out


def test_keys_and_links_say_what_is_wrong(filled, monkeypatch) -> None:
    assert len(filled("privacy", "new-key").out.strip()) == 44
    plain = filled("privacy", "rotate-key")
    assert (plain.code, "CALLIPER_PHOTO_KEY is not set" in plain.error) == (4, True)
    monkeypatch.setenv("CALLIPER_PHOTO_KEY", "0" * 64)
    assert filled("privacy", "rotate-key", "--decrypt").code == 4
    assert "encrypted with key" in filled("privacy", "rotate-key").out
    unlinked = filled("privacy", "relink", "P-1", "--study", "trial", "--reason", "x")
    assert (unlinked.code, "CALLIPER_LINKS does not say" in unlinked.error) == (4, True)


def test_an_anchor_finds_a_trail_that_was_cut(filled, tmp_path) -> None:
    with open_registry(tmp_path / "workspace") as registry:
        head = chain_head(registry)
    assert filled("audit", "anchor").out.strip() == str(head)
    ahead = filled("audit", "verify", "--anchor", f"{head.number + 3}:{head.hash}")
    assert ahead.code == 5
    assert f"broken at event {head.number + 1}" in ahead.error
    assert filled("audit", "verify", "--anchor", head, "--json").code == 0


def test_looking_at_a_study_is_in_the_trail(filled) -> None:
    filled("study", "show", "trial")
    events = json.loads(filled("audit", "show", "--last", "1", "--json").out)
    assert [(event["action"], event["entity"], event["entity_key"]) for event in events] == [("view", "study", "trial")]
