"""Mappings are read strictly, and faults are told with their line and what to write instead."""

from __future__ import annotations

import pytest

from studies.errors import PlanError
from studies.ingest.mapping import builtin_names, load_mapping, parse_mapping

GOOD = """\
calliper_mapping: 1
name: clinic
sources:
  people: {files: [people]}
subjects:
  - from: people
    columns: {subject_id: ID, sex: {column: S, recode: {"1": M}}}
readings:
  - from: people
    columns: {subject_id: ID, method: {constant: scale}}
    values: [{column: W, measurand: weight_kg, unit: lb}]
"""


def fault(text: str) -> str:
    with pytest.raises(PlanError) as error:
        parse_mapping(text, "clinic.yaml")
    return str(error.value)


def test_the_built_in_mappings_are_valid() -> None:
    assert builtin_names() == ["ansur2", "calliper", "nhanes-1999", "redcap", "sdtm"]
    for name in builtin_names():
        assert load_mapping(name).name == name


def test_the_hash_depends_on_what_a_mapping_says_alone() -> None:
    mapping = parse_mapping(GOOD, "a")
    reordered = GOOD.replace("name: clinic\n", "").replace(
        "calliper_mapping: 1\n", "# note\nname: clinic\ncalliper_mapping: 1\n"
    )
    assert parse_mapping(reordered, "b").sha256() == mapping.sha256()
    assert parse_mapping(GOOD.replace("unit: lb", "unit: kg"), "c").sha256() != mapping.sha256()


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        ("name: clinic", "name: clinic\ncolour: red", ["line 3", "`colour` is not known here"]),
        ("subject_id: ID, sex:", "subject_id: ID, sexx:", ["no canonical column `sexx`", "Did you mean 'sex'?"]),
        ("from: people\n    columns: {subject_id: ID, m", "from: peple\n    columns: {subject_id: ID, m",
         ["no source `peple`", "Did you mean 'people'?"]),
        ("measurand: weight_kg", "measurand: wieght_kg", ["line 11", "no measurand `wieght_kg`", "'weight_kg'"]),
        ("unit: lb", "unit: stones", ["`stones` is not a unit of weight_kg", "lb"]),
        ("{column: S, recode", "{column: S, constant: F, recode", ["exactly one of `column`, `first_of` and"]),
        (", method: {constant: scale}", "", ["`method` is missing"]),
        ("calliper_mapping: 1", "calliper_mapping: 2", ["calliper_mapping"]),
        ('{"1": M}', "{1: M}", ["line 7", "Put it in quotes"]),
        ("name: clinic", "name: clinic\nname: other", ["`name` is written twice"]),
    ],
)  # fmt: skip
def test_faults_name_the_place_and_the_remedy(written: str, instead: str, told: list[str]) -> None:
    message = fault(GOOD.replace(written, instead, 1))
    assert "clinic.yaml" in message
    for part in told:
        assert part in message


def test_all_faults_of_a_mapping_are_told_together() -> None:
    message = fault(GOOD.replace("weight_kg", "weight").replace("name: clinic", "name: clinic\ncolour: red"))
    assert "colour" in message
    assert "no measurand `weight`" in message


def test_an_unknown_mapping_lists_the_known_ones(tmp_path) -> None:
    with pytest.raises(PlanError, match="nhanes-1999"):
        load_mapping(str(tmp_path / "missing.yaml"))


def test_a_mapping_that_is_no_text_is_refused(tmp_path) -> None:
    path = tmp_path / "m.yaml"
    path.write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(PlanError, match="not a text file"):
        load_mapping(str(path))
