"""Reports are registered, signed, verified and forgotten alike on SQLite and on PostgreSQL."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "signing_support"))
import signed_study

from reports.listing import listed_reports
from reports.signing import sign_report
from reports.verification import verify
from studies.registry.reports import forget_inputs


def test_a_report_from_making_to_forgetting(registry, tmp_path) -> None:
    signed_study.fill(registry, tmp_path / "sources")
    path = signed_study.make_report(registry, ("json",))["json"]
    sign_report(registry, "trial/1", name="A. Signer", role="Reader", meaning="author", reason="read")
    found = verify(path, registry)
    assert not found.failed, found.findings
    assert found.reproduced

    refused = [f"DELETE FROM {table}" for table in ("report", "signature")]
    refused += ["UPDATE report SET kind = 'x'", "UPDATE signature SET value = 'x'"]
    if registry.engine.dialect.name == "postgresql":
        refused += ["TRUNCATE report CASCADE", "TRUNCATE signature"]
    for statement in refused:
        with pytest.raises(DBAPIError, match="never changed or removed"), registry.engine.begin() as connection:
            connection.execute(text(statement))

    with registry.reading() as connection:
        row = listed_reports(connection, "trial")[0]
    assert (row["report"], row["signed"], row["inputs"]) == ("trial/1", "A. Signer (author)", "kept")
    with registry.writing() as connection:
        assert forget_inputs(registry, connection, "trial", because="a subject was erased") == [1]
    with registry.reading() as connection:
        assert listed_reports(connection)[0]["inputs"] == "removed"
    found = verify(path, registry)
    assert (found.failed, found.reproduced) == (False, None)
