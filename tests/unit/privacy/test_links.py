"""The link table: apart, random, stable, and the only way back to an identifier."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from studies.errors import PlanError, StorageError, UsageError
from studies.plan import load_template
from studies.privacy.links import LinkTable, open_links
from studies.privacy.relink import pseudonym_of, relink
from studies.registry import audit
from studies.registry.catalogue import create_study


@pytest.fixture
def links(tmp_path: Path, monkeypatch):
    (tmp_path / "apart").mkdir()
    monkeypatch.setenv("CALLIPER_LINKS", str(tmp_path / "apart" / "links.db"))
    with open_links(tmp_path / "workspace", "registry-1") as opened:
        yield opened


def test_there_is_none_where_none_is_named(tmp_path: Path) -> None:
    assert open_links(tmp_path, "registry-1") is None


def test_pseudonyms_are_random_stable_and_one_for_each(links: LinkTable) -> None:
    identifiers = [f"MRN-{number:04d}" for number in range(900)]
    first = links.pseudonyms("trial", identifiers)
    assert links.pseudonyms("trial", reversed(identifiers)) == first
    assert len(set(first.values())) == 900
    assert all(re.fullmatch(r"P-[0-9A-HJKMNP-TV-Z]{8}", name) for name in first.values())
    assert not set(links.pseudonyms("other study", identifiers).values()) & set(first.values())


def test_a_pseudonym_stands_for_itself(links: LinkTable) -> None:
    (name,) = links.pseudonyms("trial", ["MRN-1"]).values()
    assert links.pseudonyms("trial", [name, "MRN-1"]) == {name: name, "MRN-1": name}


def test_a_dry_run_writes_nothing_down(links: LinkTable) -> None:
    links.pseudonyms("trial", ["MRN-1"], keep=False)
    assert links.pseudonym_of("trial", "MRN-1") is None


def test_registries_share_a_link_table_and_no_links(links: LinkTable) -> None:
    mine = links.pseudonyms("trial", ["MRN-1"])
    with LinkTable(links.engine, "registry-2") as other:
        assert other.pseudonym_of("trial", "MRN-1") is None
        assert other.pseudonyms("trial", ["MRN-1"]) != mine


def test_the_file_is_for_its_owner_alone(links: LinkTable, tmp_path: Path) -> None:
    assert (tmp_path / "apart" / "links.db").stat().st_mode & 0o077 == 0


def test_a_removed_link_leaves_nothing_in_the_file(links: LinkTable, tmp_path: Path) -> None:
    (name,) = links.pseudonyms("trial", ["MRN-0815"]).values()
    links.pseudonyms("trial", ["MRN-2000"])
    assert links.remove("trial", name)
    assert not links.remove("trial", name)
    for path in (tmp_path / "apart").iterdir():
        assert b"MRN-0815" not in path.read_bytes()
        assert name.encode() not in path.read_bytes()
    assert links.pseudonym_of("trial", "MRN-2000")


def test_a_place_inside_the_workspace_or_without_a_folder_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CALLIPER_LINKS", str(tmp_path / "workspace" / "links.db"))
    with pytest.raises(PlanError, match="inside the workspace"):
        open_links(tmp_path / "workspace", "registry-1")
    monkeypatch.setenv("CALLIPER_LINKS", str(tmp_path / "nowhere" / "links.db"))
    with pytest.raises(StorageError, match="folder of the link table is not there"):
        open_links(tmp_path / "workspace", "registry-1")


def test_the_registrys_own_database_is_refused(tmp_path: Path, monkeypatch) -> None:
    for name in ("CALLIPER_LINKS", "CALLIPER_DATABASE_URL"):
        monkeypatch.setenv(name, "postgresql://u:p@localhost/registry")
    with pytest.raises(PlanError, match="the registry's own database"):
        open_links(tmp_path / "workspace", "registry-1")


def test_postgresql_can_hold_it(postgresql_url: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("CALLIPER_LINKS", postgresql_url)
    with open_links(tmp_path / "workspace", "registry-1") as links:
        (name,) = links.pseudonyms("trial", ["MRN-1"]).values()
        assert links.identifier_of("trial", name) == "MRN-1"
        assert links.remove("trial", name)


def test_looking_up_is_audited_and_the_identifier_is_not_in_the_trail(store, links: LinkTable) -> None:
    create_study(store, "trial", load_template("blank"))
    (name,) = links.pseudonyms("trial", ["MRN-0815"]).values()
    assert relink(store, links, name, study="trial", reason="an incidental finding") == "MRN-0815"
    assert pseudonym_of(store, links, "MRN-0815", study="trial", reason="a withdrawal") == name
    with store.reading() as connection:
        events = audit.newest_events(connection, 2, "trial", subject=name)
    assert [(event["action"], event["entity_key"]) for event in events] == [("relink", name)] * 2
    assert events[1]["detail"]["reason"] == "an incidental finding"
    assert "MRN-0815" not in repr(events)


def test_what_is_not_there_or_not_reasoned_is_told(store, links: LinkTable) -> None:
    create_study(store, "trial", load_template("blank"))
    (name,) = links.pseudonyms("trial", ["MRN-1"]).values()
    for look_up, one, reason, told in (
        (relink, name, " ", "needs a reason"), (relink, "P-00000000", "x", "no pseudonym 'P-00000000'"),
        (pseudonym_of, "MRN-2", "x", "no such identifier"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=told):
            look_up(store, links, one, study="trial", reason=reason)
