"""A file is told for what it is: as registered, altered (and how), superseded, unknown; and its results come again."""

from __future__ import annotations

import json
import re
import shutil

import pytest
import signed_study

from reports import recomputing, verification
from reports.differences import alteration, changed_values, likeness
from reports.recomputing import recompute
from studies.errors import DataError, UsageError
from studies.frozen import files_of_zip
from studies.registry import reports as registered
from studies.registry.reports import forget_inputs


@pytest.mark.parametrize("name", ["report.html", "report.pdf", "results.json", "inputs.zip"])
def test_every_file_is_known_wherever_it_lies(shelf, told, tmp_path, name) -> None:
    copy = tmp_path / f"sent-{name}"
    shutil.copy(shelf.report / name, copy)
    found = shelf.verify(copy)
    assert not found.failed
    assert found.report == "trial/1"
    assert "The report is not signed." in told(found, "note")


def test_the_results_come_out_again_byte_for_byte(shelf, told) -> None:
    found = shelf.verify(shelf.report / "report.pdf", recompute=True)
    assert found.reproduced
    assert found.results == (shelf.report / "results.json").read_bytes()
    assert any(sentence.startswith("Reproduced") for sentence in told(found, "good"))


def test_frozen_inputs_stay_when_the_data_change(shelf, told) -> None:
    """The registry's data go on; the report is computed from what it was made of."""
    from studies.ingest.ingest import ingest
    from studies.ingest.mapping import load_mapping

    folder = shelf.folder / "more"
    folder.mkdir()
    rows = f"subject_id,sex,age\n{signed_study.name_of(1)},F,60\nNEW-1,M,40\n"
    (folder / "subjects.csv").write_text(rows)
    ingest(shelf.registry, signed_study.STUDY, [folder], load_mapping("calliper"))
    found = shelf.verify(shelf.report / "results.json", recompute=True)
    assert found.reproduced
    signed_study.make_report(shelf.registry, ("json",))
    again = shelf.verify(shelf.report / "results.json")
    assert any(sentence.startswith("Superseded: report trial/2") for sentence in told(again, "note"))
    assert not again.failed


def test_an_altered_page_is_told_with_the_bytes(shelf, told, tmp_path) -> None:
    original = (shelf.report / "report.html").read_bytes()
    place = original.index(b"DXA")
    copy = tmp_path / "copy.html"
    copy.write_bytes(original[:place] + b"QQQ" + original[place + 3 :])
    found = shelf.verify(copy)
    assert found.failed
    line = original[:place].count(b"\n") + 1
    says = f"altered: 3 bytes differ, the first at byte {place + 1:,} (line {line:,})."
    assert any(says in sentence for sentence in told(found, "bad"))


def test_an_altered_result_is_told_with_the_value(shelf, told, tmp_path) -> None:
    results = json.loads((shelf.report / "results.json").read_bytes())
    old = results["tests"]["bia"]["mae"]["estimate"]
    text = (shelf.report / "results.json").read_text()
    copy = tmp_path / "results.json"
    copy.write_text(text.replace(json.dumps(old), "1.25", 1))
    bad = told(shelf.verify(copy), "bad")
    assert any(f"tests.bia.mae.estimate was {old} and is 1.25" in sentence for sentence in bad)


@pytest.mark.parametrize("cut", [1, 1000])
def test_a_cut_or_longer_pdf_is_told(shelf, told, tmp_path, cut) -> None:
    original = (shelf.report / "report.pdf").read_bytes()
    copy = tmp_path / "report.pdf"
    copy.write_bytes(original[:-cut])
    assert any(f"{cut:,} byte{'s' * (cut > 1)} shorter" in sentence for sentence in told(shelf.verify(copy), "bad"))
    copy.write_bytes(original + b" " * cut)
    assert any(f"{cut:,} byte{'s' * (cut > 1)} longer" in sentence for sentence in told(shelf.verify(copy), "bad"))


def test_a_file_altered_in_the_workspace_itself_is_told(shelf, told) -> None:
    path = shelf.report / "results.json"
    text = path.read_text()
    path.write_text(text.replace('"n": 72', '"n": 73', 1) if '"n": 72' in text else text.replace('"n": ', '"n": 1', 1))
    found = shelf.verify(path, recompute=True)
    bad = told(found, "bad")
    assert any("in the folder of report trial/1; it was altered" in sentence for sentence in bad)
    assert found.reproduced
    assert any(sentence.startswith("Changed values: n was") for sentence in bad)


def test_a_file_from_elsewhere_is_unknown(shelf, told, tmp_path) -> None:
    for name, content in (
        ("report.html", b"<html><p>Other</p></html>"),
        ("results.json", b'{"a": 1}'),
        ("x.docx", b""),
    ):
        (tmp_path / name).write_bytes(content)
        found = shelf.verify(tmp_path / name)
        assert found.failed
        assert found.report is None
        assert any(sentence.startswith("No report of this registry has this file") for sentence in told(found, "bad"))
    with pytest.raises(DataError, match="cannot be read"):
        shelf.verify(tmp_path / "absent.pdf")


def test_a_report_needs_its_workspace(shelf) -> None:
    with pytest.raises(UsageError, match="needs the workspace"):
        verification.verify(shelf.report / "report.pdf", None)


def test_damaged_inputs_are_told(shelf, told) -> None:
    path = shelf.report / "inputs.zip"
    data = path.read_bytes()
    path.write_bytes(data[:2000] + b"\0" + data[2001:])
    found = shelf.verify(shelf.report / "results.json", recompute=True)
    assert found.failed
    assert any("damaged" in sentence or "changed" in sentence for sentence in told(found, "bad"))
    path.unlink()
    assert any(
        "cannot be read" in what for what in told(shelf.verify(shelf.report / "results.json", recompute=True), "bad")
    )


def test_after_an_erasure_it_is_said_why_nothing_can_be_recomputed(shelf, told) -> None:
    with shelf.registry.writing() as connection:
        removed = forget_inputs(shelf.registry, connection, "trial", because="a subject was erased")
    assert removed == [1]
    assert not (shelf.report / "inputs.zip").exists()
    found = shelf.verify(shelf.report / "report.pdf", recompute=True)
    assert not found.failed
    assert found.reproduced is None
    sentence = next(what for what in told(found, "note") if "cannot be recomputed" in what)
    pattern = (
        r"Report trial/1 cannot be recomputed any more: what it was computed from was removed on \d{4}-\d\d-\d\d, "
        r"because a subject was erased \(event \d+ of the audit trail\)\."
    )
    assert re.fullmatch(pattern, sentence)
    shelf.sign()  # what stands in the report stands


def test_reports_made_before_a_person_came_keep_their_inputs(shelf) -> None:
    later = shelf.record().created_at.replace(year=2100)
    with shelf.registry.writing() as connection:
        assert forget_inputs(shelf.registry, connection, "trial", because="x", since=later) == []
    assert shelf.verify(shelf.report / "results.json", recompute=True).reproduced


# Other software ------------------------------------------------------------------------------------------------------


def test_another_version_of_calliper_alone_is_told_as_such(shelf, told, monkeypatch) -> None:
    monkeypatch.setattr(recomputing, "results_json", lambda results: _with(results, ("calliper", "version"), "9.9"))
    monkeypatch.setattr(registered, "version", lambda name: "9.9" if name == "calliper" else "0")
    found = shelf.verify(shelf.report / "results.json", recompute=True)
    assert found.reproduced is False
    assert not found.failed
    note = next(sentence for sentence in told(found, "note") if sentence.startswith("Reproduced but for the version"))
    assert "every number is" in note
    assert "calliper was" in note


def test_other_numbers_by_other_software_are_told_with_their_size(shelf, told, monkeypatch) -> None:
    path = ("tests", "bia", "mae", "estimate")
    monkeypatch.setattr(recomputing, "results_json", lambda results: _with(results, path, None, factor=1 + 1e-12))
    monkeypatch.setattr(registered, "version", lambda name: "0")
    found = shelf.verify(shelf.report / "results.json", recompute=True)
    note = next(sentence for sentence in told(found, "note") if sentence.startswith("Not reproduced here"))
    assert "1 values differ, numbers by at most 1e-12 of their size: tests.bia.mae.estimate was" in note
    assert "numpy was" in note


def test_other_numbers_by_the_same_software_are_a_fault(shelf, told, monkeypatch) -> None:
    monkeypatch.setattr(recomputing, "results_json", lambda results: _with(results, ("n",), 1))
    found = shelf.verify(shelf.report / "results.json", recompute=True)
    assert found.failed
    assert any(sentence.startswith("Not reproduced: ") for sentence in told(found, "bad"))


def _with(results, path, value, factor=None) -> bytes:
    from reports.results import results_json

    changed = json.loads(results_json(results))
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value if factor is None else place[path[-1]] * factor
    return results_json(changed)


def test_the_inputs_hold_nothing_that_identifies(shelf) -> None:
    files = files_of_zip((shelf.report / "inputs.zip").read_bytes(), "inputs.zip")
    everything = b"\n".join(files.values()).decode()
    for words in (signed_study.REMARK, "ANNA", "phone"):
        assert words not in everything
    assert "hologic" in everything  # a device that many share
    assert recompute("validation", files) == (shelf.report / "results.json").read_bytes()


# How files differ -----------------------------------------------------------------------------------------------------


def test_alterations_in_words() -> None:
    assert alteration(b"abcdef", b"abXdeX") == "2 bytes differ, the first at byte 3 (line 1)"
    assert alteration(b"a\nb", b"a\nc") == "1 byte differs, the first at byte 3 (line 2)"
    assert alteration(b"abcdef", b"abef") == (
        "it is 2 bytes shorter; from byte 3 (line 1) on, 2 bytes were replaced by 0"
    )
    assert alteration(b"aa", b"aaa") == "it is 1 byte longer; from byte 3 (line 1) on, 0 bytes were replaced by 1"
    assert alteration(b"", b"x").startswith("it is 1 byte longer")


def test_changed_values_name_paths_types_and_what_is_gone() -> None:
    old, new = b'{"a": {"b": [1, 2]}, "c": 1, "d": null}', b'{"a": {"b": [1, 3]}, "c": 1.0, "e": "x"}'
    assert changed_values(old, new) == [("a.b[1]", 2, 3), ("c", 1, 1.0), ("d", None, None), ("e", None, "x")]
    assert changed_values(old, b"no json") is None
    assert changed_values(old, old) == []


def test_likeness_is_a_share() -> None:
    assert likeness(b"a\nb\n", b"a\nb\n") == 1
    assert likeness(b"", b"") == 1
    assert likeness(b"aa\nbb", b"cc\ndd") == 0
    assert 0.4 < likeness(b"aa\nbb", b"aa\ncc") < 0.6
