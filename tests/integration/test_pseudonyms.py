"""A pseudonymised study: the site's identifiers, and columns that nobody asked for, never come into the workspace."""

from __future__ import annotations

import json

import pytest

from studies.errors import PlanError
from studies.plan import load_plan
from studies.privacy.links import open_links
from studies.privacy.remnants import find_traces
from studies.privacy.subject_data import collect_subject
from studies.registry.catalogue import revise_plan
from studies.registry.identity import identity_of

PLAN = """
calliper_plan: 1
title: t
measurand: body_fat_percent
reference: dxa
index: scan
privacy: {pseudonymise: true}
"""
MAPPING = """
calliper_mapping: 1
name: site
sources:
  people: {files: [people]}
  values: {files: [values]}
subjects:
  - from: people
    columns: {subject_id: record, sex: sex, age: age}
readings:
  - from: values
    columns: {subject_id: record, visit: visit, measurand: measurand, method: method, value: value, unit: unit}
"""
NEEDLES = {name: name.encode() for name in ("MRN-4711", "MRN-4712", "MRN-4713", "Quartermaine")}


@pytest.fixture
def pseudonymised(desk_on_both, tmp_path, monkeypatch):
    desk = desk_on_both
    (tmp_path / "apart").mkdir()
    monkeypatch.setenv("CALLIPER_LINKS", str(tmp_path / "apart" / "links.db"))
    revise_plan(desk.registry, desk.study, load_plan(PLAN), reason="pseudonyms")
    desk.write("people.csv", "record,surname,sex,age\nMRN-4711,Quartermaine,F,41\nMRN-4712,Quartermaine,X,52\n")
    desk.write(
        "values.csv",
        "record,visit,measurand,method,value,unit\nMRN-4711,1,body_fat_percent,dxa,30,%\n"
        "MRN-4713,1,body_fat_percent,dxa,30,%\nMRN-4711,1,waist_cm,tape,not MRN-4711,cm\n"
        "MRN-4711,1,body_fat_percent,scan,31,%,Quartermaine\n",
    )
    return desk


def links_of(desk):
    with desk.registry.reading() as connection:
        identity = identity_of(connection)
    return open_links(desk.registry.folder, identity)


def test_no_identifier_comes_into_the_workspace(pseudonymised, tmp_path) -> None:
    result = pseudonymised.ingest(mapping=MAPPING)
    assert result.rejected == 4
    assert not list(find_traces(tmp_path / "workspace", NEEDLES))
    with links_of(pseudonymised) as links:
        name = links.pseudonym_of("trial", "MRN-4711")
    assert pseudonymised.subjects().index.tolist() == [name]
    quarantined = {json.dumps(row.content) for row in pseudonymised.quarantined()}
    assert any(f'"record": "{name}"' in text and f"not {name}" in text for text in quarantined)
    assert any("not kept: the study is pseudonymised" in text for text in quarantined)
    assert not any("surname" in text for text in quarantined)
    assert len(collect_subject(pseudonymised.registry, name)["refused_rows"]) == 1


def test_the_same_people_keep_their_pseudonyms(pseudonymised) -> None:
    pseudonymised.ingest(mapping=MAPPING)
    before = pseudonymised.subjects().index.tolist()
    again = pseudonymised.ingest(mapping=MAPPING)
    assert again.report["status"] == "unchanged"
    assert pseudonymised.subjects().index.tolist() == before
    assert len(pseudonymised.quarantined()) == 4  # the same rows are not filed twice


def test_a_mended_refused_row_comes_in_under_its_pseudonym(pseudonymised) -> None:
    result = pseudonymised.ingest(mapping=MAPPING)
    text = (result.folder / "quarantine" / "people.csv").read_text(encoding="utf-8-sig").replace(",X,", ",F,")
    (pseudonymised.folder / "people.csv").write_text(text, encoding="utf-8")
    (pseudonymised.folder / "values.csv").unlink()
    assert pseudonymised.ingest(mapping=MAPPING).report["tables"]["subjects"]["new"] == 1
    with links_of(pseudonymised) as links:
        assert links.pseudonym_of("trial", "MRN-4712") in pseudonymised.subjects().index


def test_a_dry_run_leaves_no_link(pseudonymised, tmp_path) -> None:
    pseudonymised.ingest(mapping=MAPPING, dry_run=True)
    with links_of(pseudonymised) as links:
        assert links.pseudonym_of("trial", "MRN-4711") is None
    assert not list(find_traces(tmp_path / "workspace", NEEDLES))


def test_without_a_link_table_nothing_is_read(pseudonymised, monkeypatch) -> None:
    monkeypatch.delenv("CALLIPER_LINKS")
    with pytest.raises(PlanError, match="CALLIPER_LINKS does not say where the link table is"):
        pseudonymised.ingest(mapping=MAPPING)
