"""A bundle recomputes elsewhere, byte for byte, and tells nothing of who the people are."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import signed_study

from reports import archive
from reports.archive import bundle_report, identifier_in
from reports.recomputing import recompute
from reports.verification import verify
from studies.errors import DataError, StorageError, UsageError
from studies.frozen import files_of_zip, zip_of
from studies.registry import audit
from studies.registry.reports import forget_inputs


@pytest.fixture(scope="session")
def bundle(signed_workspace, tmp_path_factory) -> Path:
    """The bundle of report trial/1, with two signatures."""
    from studies.registry.workspace import open_registry

    path = tmp_path_factory.mktemp("bundle") / "trial-1.zip"
    copy = path.parent / "workspace"  # the export is an event, which other tests do not count with
    shutil.copytree(signed_workspace, copy)
    with open_registry(copy) as registry:
        bundle_report(registry, "trial/1", path)
    return path


def changed(bundle: Path, to: Path, **files: bytes | None) -> Path:
    """The bundle with other files; None takes one away."""
    content = files_of_zip(bundle.read_bytes(), "bundle")
    for name, data in files.items():
        name = name.replace("__", "/").replace("_dot_", ".")
        if data is None:
            del content[name]
        else:
            content[name] = data
    to.write_bytes(zip_of(content))
    return to


def test_it_verifies_and_recomputes_with_nothing_else_at_hand(bundle, told) -> None:
    found = verify(bundle, None)
    assert not found.failed, told(found, "bad")
    assert found.reproduced
    assert found.report == "trial/1"
    assert [item["holds"] for item in found.signatures] == [True, None]
    assert found.results == files_of_zip(bundle.read_bytes(), "bundle")["results.json"]


def test_it_holds_all_that_is_promised(bundle) -> None:
    files = files_of_zip(bundle.read_bytes(), "bundle")
    wanted = {
        "README.md", "manifest.json", "recompute", "plan.yaml", "software.json", "requirements.txt", "disclosure.json",
        "results.json", "report.html", "report.pdf", "signatures.json", "signatures.html", "signatures.pdf",
        "inputs/inputs.json", "inputs/subjects.csv", "inputs/visits.csv", "inputs/measurements.csv", "inputs/scans.csv",
        "inputs/codebook.csv",
    }  # fmt: skip
    assert set(files) == wanted
    requirements = files["requirements.txt"].decode()
    assert "calliper==" in requirements
    assert "numpy==" in requirements
    readme = files["README.md"].decode()
    assert "calliper report verify" in readme
    assert "A. Signer (author" in readme
    from studies.plan import load_plan, plan_hash

    plan = load_plan(files["plan.yaml"].decode())
    assert plan_hash(plan) == json.loads(files["results.json"])["plan"]["hash"]


def test_it_tells_nothing_of_who_they_are(bundle) -> None:
    for name, content in files_of_zip(bundle.read_bytes(), "bundle").items():
        if name.endswith(".pdf"):
            continue
        text = content.decode()
        for words in (signed_study.REMARK, "ANNA", "phone1"):
            assert words not in text, f"{words} in {name}"


def test_people_come_in_no_order_of_their_identifiers(bundle, signed_workspace) -> None:
    """Codes are dealt by chance: the ages in the order of the codes are not those in the order of the identifiers."""
    import pandas as pd

    from studies.registry.catalogue import find_study
    from studies.registry.frames import study_frames
    from studies.registry.workspace import open_registry

    with open_registry(signed_workspace) as registry, registry.reading() as connection:
        before = study_frames(connection, find_study(connection, "trial").id).subjects["age"].tolist()
    files = files_of_zip(bundle.read_bytes(), "bundle")
    after = pd.read_csv(io.BytesIO(files["inputs/subjects.csv"]))["age"].tolist()
    assert sorted(before) == sorted(after)
    assert sum(old == new for old, new in zip(before, after, strict=True)) < len(before) / 3


def test_the_same_report_gives_the_same_bytes(signed, tmp_path, bundle) -> None:
    first = bundle_report(signed.registry, "1", tmp_path / "a.zip", study="trial")
    second = bundle_report(signed.registry, "trial/1", tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes() == bundle.read_bytes()
    assert first.sha256 == second.sha256
    with zipfile.ZipFile(bundle) as packed:
        assert {member.date_time for member in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_its_export_is_in_the_trail(signed, tmp_path) -> None:
    made = bundle_report(signed.registry, "trial/1", tmp_path / "a.zip")
    with signed.registry.reading() as connection:
        event = audit.newest_events(connection, 1)[0]
    assert (event["action"], event["entity_key"], event["detail"]["bundle"]) == ("export", "trial/1", made.sha256)


def test_a_registry_at_hand_says_what_came_after(signed, bundle, told) -> None:
    signed.sign(meaning="reviewer")
    found = verify(bundle, signed.registry, recompute=False)
    assert not found.failed
    assert "The registry at hand knows the report as trial/1, with the same hash." in told(found, "good")
    notes = told(found, "note")
    assert any(sentence.startswith("Superseded: report trial/2") for sentence in notes)
    assert "The registry has 3 signatures of it; the bundle was made when there were 2." in notes
    assert [item["holds"] for item in found.signatures] == [True, True]


def test_unpacked_it_is_verified_by_its_script(bundle, tmp_path) -> None:
    folder = tmp_path / "unpacked"
    with zipfile.ZipFile(bundle) as packed:
        packed.extractall(folder)
    found = verify(folder, None, recompute=False)
    assert not found.failed
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    (folder / "recompute").chmod(0o755)
    ended = subprocess.run(
        ["./recompute"], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert (folder / "recomputed.json").read_bytes() == (folder / "results.json").read_bytes()
    (folder / "plan.yaml").write_text("changed")
    assert verify(folder, None, recompute=False).failed


# Altered bundles ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"README_dot_md": b"other"}, "README.md was altered"),
        ({"report_dot_html": None}, "report.html is missing from the bundle."),
        ({"extra_dot_txt": b"x"}, "extra.txt is no file of the bundle: it was added."),
        ({"signatures_dot_json": b"{}"}, "The bundle was made with 2 signatures, and has 0."),
        ({"inputs__codebook_dot_csv": b"x"}, "The report's hash does not cover this inputs"),
    ],
)
def test_what_was_altered_is_named(bundle, tmp_path, told, files, says) -> None:
    found = verify(changed(bundle, tmp_path / "b.zip", **files), None, recompute=False)
    assert found.failed
    assert any(says in sentence for sentence in told(found, "bad")), told(found, "bad")


def test_altered_results_with_a_manifest_to_fit_do_not_fit_the_signed_hash(bundle, tmp_path, told) -> None:
    """Whoever changes a file and writes the bundle's manifest anew is found by the hash that was signed."""
    files = files_of_zip(bundle.read_bytes(), "bundle")
    results = files["results.json"].replace(b'"estimate": 2', b'"estimate": 1', 1)
    assert results != files["results.json"]
    manifest = json.loads(files["manifest.json"])
    for item in manifest["files"]:
        if item["name"] == "results.json":
            item.update(sha256=archive.sha256_of(results), bytes=len(results))
    path = changed(
        bundle, tmp_path / "b.zip", results_dot_json=results, manifest_dot_json=json.dumps(manifest).encode()
    )
    bad = told(verify(path, None, recompute=False), "bad")
    assert bad == [
        "The report's hash does not cover this results.json: it is not the one that the report was made with."
    ]


def test_altered_inputs_do_not_recompute(bundle, tmp_path, told) -> None:
    files = files_of_zip(bundle.read_bytes(), "bundle")
    lines = files["inputs/measurements.csv"].decode().splitlines(keepends=True)
    line = next(number for number, text in enumerate(lines) if '"bia"' in text)
    lines[line] = lines[line].replace('"%"', '"%"').replace('"bia"', '"bib"')
    path = changed(bundle, tmp_path / "b.zip", **{"inputs__measurements_dot_csv": "".join(lines).encode()})
    found = verify(path, None)
    assert found.reproduced is False
    assert any(sentence.startswith("Not reproduced") for sentence in told(found, "bad"))


@pytest.mark.parametrize(
    "content",
    [b"PK\x03\x04 nothing more", b"", b"%PDF-1.7", None],
    ids=["no zip", "empty", "pdf", "no manifest of a bundle"],
)
def test_what_is_no_bundle_is_said_to_be_none(tmp_path, bundle, content) -> None:
    path = tmp_path / "b.zip"
    if content is None:
        changed(bundle, path, manifest_dot_json=b'{"calliper_bundle": 1}')
    else:
        path.write_bytes(content)
    with pytest.raises((DataError, UsageError)):
        verify(path, None)
    with pytest.raises(UsageError, match="no bundle"):
        verify(tmp_path, None)


def test_a_bundle_that_claims_to_be_huge_or_names_a_file_twice_is_not_opened(tmp_path, monkeypatch) -> None:
    path = tmp_path / "b.zip"
    path.write_bytes(zip_of({"manifest.json": b"x" * 5000}))
    monkeypatch.setattr("studies.frozen.MOST_BYTES", 1000)
    with pytest.raises(DataError, match="claims to hold more"):
        verify(path, None)
    monkeypatch.undo()
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("manifest.json", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            packed.writestr("manifest.json", b"2")
    with pytest.raises(DataError, match="twice"):
        verify(path, None)


# What is not bundled --------------------------------------------------------------------------------------------------


def test_nothing_is_bundled_of_a_report_that_was_altered(signed, tmp_path) -> None:
    path = signed.report / "report.html"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(StorageError, match=r"not bundled: Its file report\.html was changed"):
        bundle_report(signed.registry, "trial/1", tmp_path / "a.zip")
    assert not list(tmp_path.glob("*.zip"))


def test_nothing_is_bundled_after_an_erasure(signed, tmp_path) -> None:
    with signed.registry.writing() as connection:
        forget_inputs(signed.registry, connection, "trial", because="a subject was erased")
    with pytest.raises(StorageError, match=r"cannot be recomputed any more.*because a subject was erased"):
        bundle_report(signed.registry, "trial/1", tmp_path / "a.zip")


def test_a_bundle_that_does_not_recompute_is_not_given_out(signed, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(archive, "recompute", lambda *words, **more: recompute(*words, **more) + b" ")
    with pytest.raises(DataError, match="does not recompute"):
        bundle_report(signed.registry, "trial/1", tmp_path / "a.zip")
    assert not list(tmp_path.glob("*.zip"))


def test_strictly_small_groups_are_refused(signed, tmp_path) -> None:
    with pytest.raises(DataError, match="below the plan's minimum cell of 5"):
        bundle_report(signed.registry, "trial/1", tmp_path / "a.zip", strict=True)
    made = bundle_report(signed.registry, "trial/1", tmp_path / "a.zip")
    assert made.risk["below_minimum"] > 0
    assert "de-identified, not anonymous" in made.remarks[0]
    assert json.loads(files_of_zip(made.path.read_bytes(), "b")["disclosure.json"]) == made.risk


def test_identifiers_are_found_wherever_they_stand() -> None:
    names = {"ANNA-0001", "12345"}
    assert identifier_in({"a.json": b'{"x": ["12345"]}'}, names) == "a.json"
    assert identifier_in({"a.json": b'{"ANNA-0001": 1}'}, names) == "a.json"
    assert identifier_in({"a.json": b'{"x": 12345}'}, names) is None  # a number is no identifier
    assert identifier_in({"a.csv": b'"S1","ANNA-0001"\n'}, names) == "a.csv"
    assert identifier_in({"README.md": b"about ANNA-0001, who"}, names) == "README.md"
    assert identifier_in({"a.html": b"<td>ANNA-0001</td>"}, names) == "a.html"
    assert identifier_in({"README.md": b"12345 bytes"}, names) is None


def test_the_plan_cannot_carry_an_identifier_out(shelf, tmp_path) -> None:
    from studies.plan import plan_from_document
    from studies.registry.catalogue import revise_plan

    criteria = [{**signed_study.PLAN["criteria"][0], "name": signed_study.name_of(7)}]
    plan = plan_from_document({**signed_study.PLAN, "criteria": criteria})
    revise_plan(shelf.registry, "trial", plan, reason="a name in the wrong place")
    signed_study.make_report(shelf.registry, ("json",))
    with pytest.raises(DataError, match="would hold an identifier of a subject"):
        bundle_report(shelf.registry, "trial/2", tmp_path / "a.zip")
