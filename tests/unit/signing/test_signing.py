"""A signature binds who, as what, why and when to the bytes of one report, and every change to it is found."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from sqlalchemy.exc import DBAPIError

from reports.signer_keys import make_key, open_key, public_of, register_key, revoke_key
from reports.signing import MEANINGS, check_all, signatures_of, signed_from
from studies.errors import StorageError, UsageError
from studies.registry import audit
from studies.registry.reports import canonical, sha256_of
from studies.registry.trail import head_of

AUTHOR = {"name": "B. Other", "role": "Clinical lead", "meaning": "approver", "reason": "released", "key": None}


def test_a_signature_names_all_that_it_binds(shelf) -> None:
    with shelf.registry.reading() as connection:
        head = head_of(connection)
    made, sheets = shelf.sign()
    record, said = shelf.record(), made.statement
    assert said["report"] == {"study": "trial", "number": 1, "kind": "validation", "sha256": record.sha256}
    assert said["signer"] == {"name": "A. Signer", "role": "Statistician", "account": "tester"}
    assert (said["meaning"], said["meaning_in_words"], said["reason"]) == ("author", MEANINGS["author"], "as planned")
    assert said["audit_trail"] == head.as_dict()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", said["signed_at"])
    assert record.sha256 == sha256_of(canonical(record.manifest))
    assert [path.name for path in sheets] == ["signatures-1.html", "signatures-1.pdf", "signatures-1.json"]
    with shelf.registry.reading() as connection:
        event = audit.newest_events(connection, 1)[0]
    assert (event["action"], event["entity_key"], event["detail"]["name"]) == ("sign", "trial/1", "A. Signer")


def test_signing_changes_no_byte_of_the_report(shelf) -> None:
    before = {path.name: path.read_bytes() for path in shelf.report.iterdir()}
    shelf.sign()
    after = {path.name: path.read_bytes() for path in shelf.report.iterdir()}
    assert {name: after[name] for name in before} == before
    assert sorted(set(after) - set(before)) == ["signatures-1.html", "signatures-1.json", "signatures-1.pdf"]


def test_several_sign_and_each_sheet_shows_all_so_far(shelf, told) -> None:
    shelf.sign()
    first = (shelf.report / "signatures-1.pdf").read_bytes()
    shelf.sign(**AUTHOR)
    assert (shelf.report / "signatures-1.pdf").read_bytes() == first
    page = (shelf.report / "signatures-2.html").read_text()
    assert "A. Signer" in page
    assert "B. Other" in page
    found = shelf.verify(shelf.report / "report.pdf")
    assert not found.failed
    assert [(item["name"], item["meaning"], item["holds"]) for item in found.signatures] == [
        ("A. Signer", "author", True),
        ("B. Other", "approver", True),
    ]
    found = shelf.verify(shelf.report / "signatures-1.html")
    assert "It shows 1 of now 2 signatures: there is a newer sheet." in told(found, "note")
    assert not found.failed


def test_the_sheet_is_tagged_searchable_and_says_what_it_must(shelf) -> None:
    shelf.sign()
    page = (shelf.report / "signatures-1.html").read_text()
    for words in ("A. Signer", "Statistician", "Author", MEANINGS["author"], "as planned", "UTC", "supports"):
        assert words in page
    assert "complian" not in page.lower()
    pdf = (shelf.report / "signatures-1.pdf").read_bytes()
    assert b"/MarkInfo" in pdf
    assert b"pdfaid" in pdf


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"role": " "}, "needs a role"),
        ({"reason": ""}, "needs a reason"),
        ({"meaning": "aprover"}, "Did you mean 'approver'?"),
        ({"name": "B. Other"}, "This key is that of A. Signer"),
        ({"name": None, "key": None}, "needs a name"),
        ({"report": "9"}, "There is no report 9"),
        ({"report": "trial/x"}, "names no report"),
    ],
)
def test_what_is_missing_is_asked_for(shelf, changes, says) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        shelf.sign(**changes)
    assert not list(shelf.report.glob("signatures-*"))


def test_nobody_signs_twice_as_the_same(shelf) -> None:
    shelf.sign()
    with pytest.raises(UsageError, match="has signed report trial/1 as author already"):
        shelf.sign()
    shelf.sign(meaning="reviewer")


def test_a_key_that_is_not_known_or_revoked_signs_nothing(shelf, tmp_path) -> None:
    make_key(tmp_path / "new.pem", "another passphrase")
    stranger = open_key(tmp_path / "new.pem", "another passphrase")
    with pytest.raises(UsageError, match="not registered"):
        shelf.sign(key=stranger)
    made = register_key(shelf.registry, "C. New", public_of(stranger))
    shelf.sign(key=stranger)
    revoke_key(shelf.registry, made.fingerprint[:12], reason="lost the file")
    with pytest.raises(UsageError, match="revoked: lost the file"):
        shelf.sign(key=stranger, meaning="reviewer")
    found = shelf.verify(shelf.report / "results.json")
    assert not found.failed
    assert any("was revoked" in finding.what for finding in found.findings if finding.state == "note")


# Keys -----------------------------------------------------------------------------------------------------------------


def test_a_key_file_opens_with_its_passphrase_alone(tmp_path) -> None:
    path = tmp_path / "key.pem"
    make_key(path, "correct horse battery")
    assert path.stat().st_mode & 0o077 == 0
    assert b"ENCRYPTED" in path.read_bytes()
    open_key(path, "correct horse battery")
    with pytest.raises(UsageError, match="passphrase is wrong"):
        open_key(path, "correct horse batterz")
    with pytest.raises(UsageError, match="never overwritten"):
        make_key(path, "correct horse battery")
    with pytest.raises(UsageError, match="at least 12"):
        make_key(tmp_path / "other.pem", "short")
    assert not (tmp_path / "other.pem").exists()
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(UsageError, match="cannot be opened"):
        open_key(path, "correct horse battery")


def test_the_key_of_a_workspace_is_its_owners_alone(shelf) -> None:
    shelf.sign(**AUTHOR)
    path = shelf.registry.folder / "keys" / "workspace.key"
    assert path.stat().st_mode & 0o077 == 0
    path.unlink()
    found = shelf.verify(shelf.report / "results.json")
    assert not found.failed
    assert found.signatures[0]["holds"] is None


# Tampering ------------------------------------------------------------------------------------------------------------


def test_the_database_refuses_changes_of_reports_and_signatures(signed) -> None:
    for statement in (
        "UPDATE signature SET signed_by = 'x'", "DELETE FROM signature", "UPDATE report SET kind = 'x'",
        "DELETE FROM report", "INSERT OR REPLACE INTO signature SELECT * FROM signature",
        "INSERT OR REPLACE INTO report SELECT * FROM report",
    ):  # fmt: skip
        with pytest.raises(DBAPIError, match="never changed or removed"), signed.registry.engine.begin() as connection:
            connection.exec_driver_sql(statement)
    assert not signed.verify(signed.report / "results.json").failed


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        (["UPDATE signature SET statement = replace(statement, 'Statistician', 'Chief') WHERE id = 1"],
         "Signature 1 does not hold"),
        (["UPDATE signature SET statement = replace(statement, 'released', 'rejected') WHERE id = 2"],
         "Signature 2 was changed"),
        (["UPDATE signature SET value = 'ab' || substr(value, 3) WHERE id = 1 AND value NOT LIKE 'ab%'"],
         "Signature 1 does not hold"),
        (["UPDATE signature SET algorithm = 'hmac-sha256' WHERE id = 1"], "Signature 1 was changed"),
        (["UPDATE signature SET algorithm = 'none' WHERE id = 1"], "unknown form"),
        (["DELETE FROM signature WHERE id = 1"], "does not follow the signature before it"),
        (["DELETE FROM signature WHERE id = 2"],
         "Signature 2 by B. Other (approver), which event"),
        (["DELETE FROM signature WHERE id = 1", "UPDATE signature SET number = 1 WHERE id = 2"],
         "Signature 1 was moved"),
        (["UPDATE signature SET number = 9 WHERE id = 1", "UPDATE signature SET number = 1 WHERE id = 2",
          "UPDATE signature SET number = 2 WHERE id = 1"], "was moved"),
        (["UPDATE signature SET report_id = 1, number = 3 WHERE id = 3"], "is not of this report"),
        (["UPDATE signer_key SET public_key = replace(public_key, substr(public_key, 1, 1), '0')"],
         "another key beside it"),
        (["UPDATE signer_key SET name = 'D. Else'"], "its key is D. Else's"),
        (["UPDATE signer_key SET revoked_at = '2000-01-01 00:00:00', revoked_because = 'x'"],
         "after its key was revoked"),
        (["UPDATE report SET manifest = replace(manifest, '\"number\":1', '\"number\":7') WHERE id = 1"],
         "manifest does not have the report's hash"),
        (["UPDATE report SET kind = 'precision' WHERE id = 1"], "does not say what its manifest says"),
        (["UPDATE report SET manifest = (SELECT manifest FROM report WHERE id = 2), "
          "sha256 = (SELECT sha256 FROM report WHERE id = 2) WHERE id = 1"], "does not say what its manifest says"),
        (["UPDATE audit_event SET detail = replace(detail, 'B. Other', 'E. Else') WHERE action = 'sign'"],
         "audit trail is broken"),
        (["DELETE FROM audit_event WHERE id = (SELECT max(id) FROM audit_event)"], "not in the audit trail"),
        (["DELETE FROM audit_event WHERE id >= (SELECT min(id) FROM audit_event WHERE action = 'sign') - 2"],
         "the trail ends at event"),
    ],
)  # fmt: skip
def test_whatever_is_changed_is_found(signed, told, statements, says) -> None:
    signed.tamper(*statements)
    report = "trial-2" if "max(id)" in statements[0] else "trial-1"
    found = signed.verify(signed.registry.reports / report / "results.json")
    assert found.failed
    assert any(says in sentence for sentence in told(found, "bad")), told(found, "bad")


def test_a_manifest_and_hash_written_anew_do_not_fit_the_trail_nor_the_signatures(signed, told) -> None:
    record = signed.record()
    text = canonical({**record.manifest, "made_by": "somebody else"})
    signed.tamper(f"UPDATE report SET manifest = '{text}', sha256 = '{sha256_of(text)}' WHERE id = 1")
    bad = told(signed.verify(signed.report / "results.json"), "bad")
    assert any("audit trail knows another hash" in sentence for sentence in bad)
    assert any("is not of this report" in sentence for sentence in bad)


def test_nothing_is_signed_on_a_report_that_was_altered(signed) -> None:
    path = signed.report / "report.html"
    original = path.read_bytes()
    path.write_bytes(original.replace(b"DXA", b"DXB", 1))
    with pytest.raises(StorageError, match=r"report\.html was changed"):
        signed.sign(meaning="reviewer")
    path.unlink()
    with pytest.raises(StorageError, match=r"report\.html cannot be read"):
        signed.sign(meaning="reviewer")
    path.write_bytes(original)
    signed.sign(meaning="reviewer")
    (signed.report / "inputs.zip").write_bytes(b"")
    with pytest.raises(StorageError, match="is not signed"):
        signed.sign(meaning="approver")


def test_nothing_is_signed_on_a_broken_trail(signed) -> None:
    signed.tamper("UPDATE audit_event SET actor = 'x' WHERE id = 2")
    with pytest.raises(StorageError, match="audit trail is broken"):
        signed.sign(meaning="reviewer")


def test_a_sheet_alone_is_checked_by_its_public_keys(signed, tmp_path, told) -> None:
    from reports.verification import verify

    path = tmp_path / "sheet.json"
    shutil.copy(signed.report / "signatures-2.json", path)
    found = verify(path, None)
    assert not found.failed
    assert [item["holds"] for item in found.signatures] == [True, None]
    text = (signed.report / "signatures-2.json").read_text()
    shorter = json.loads(text)
    shorter["signatures"].pop(0)
    for content, says in (
        (text.replace("as planned", "not planned"), "does not hold"),
        (text.replace('"kind": "validation"', '"kind": "precision"'), "manifest of report trial/1 was changed"),
        (json.dumps(shorter), "does not follow"),
    ):
        path.write_text(content)
        bad = told(verify(path, None), "bad")
        assert any(says in sentence for sentence in bad), bad


def test_a_signature_moved_to_another_report_does_not_hold(signed) -> None:
    with signed.registry.reading() as connection:
        signatures = signatures_of(connection, signed.record())
    other = signed.record("trial/2")
    assert all("is not of this report" in check.fault for check in check_all(signatures, other.sha256, signed.registry))
    assert [signed_from(item.to_dict()) for item in signatures] == signatures
