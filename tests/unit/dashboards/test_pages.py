"""Pages as functions of their address: right numbers, helpful words where there is nothing to show."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import pytest
from asking import ask, text_of, walk
from flask.testing import FlaskClient
from small_study import STUDY
from sqlalchemy import insert, select

from dashboards.app import create_app
from dashboards.pages import PAGES
from dashboards.worker import work_once
from reports.results import results_json
from studies.plan import load_template
from studies.registry import audit
from studies.registry.analysis import analyze_study
from studies.registry.audit import newest_events
from studies.registry.catalogue import create_study, find_study
from studies.registry.schema import Report, Silhouette
from studies.registry.workspace import Registry
from validation.proportions import wilson
from validation.robust import passing_bablok

BASE = f"/study/{STUDY}"
Asked = Callable[[str], dict[str, Any]]
ADDRESSES = [f"{BASE}/{page.slug}" for page in PAGES if not page.of_item] + [f"{BASE}/subject/S-0000"]
FILTERED = "sex=F&age=20-70"


# What reads or writes the registry; how pages are made of what was read is the same for both.
BOTH = pytest.mark.parametrize("registry", ["sqlite", "postgresql"], indirect=True)


def bound(layout: Any) -> list[tuple[str, str]]:
    """Where each number on a page comes from, and its full value."""
    props = [node["props"] for node in walk(layout)]
    return [(item["data-source"], item["data-value"]) for item in props if "data-source" in item]


def at(results: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        results = results[int(key)] if isinstance(results, list) else results[key]
    return results


def exported(client: FlaskClient, query: str = "") -> dict[str, Any]:
    return json.loads(client.get(f"/export{BASE}/results.json?{query}").data)


@BOTH
@pytest.mark.parametrize("address", ADDRESSES)
def test_every_page_shows_its_content(page: Asked, address: str) -> None:
    text = text_of(page(address))
    assert "cannot be shown" not in text
    assert "synthetic" in text, "the page does not say what is not real"


@pytest.mark.parametrize("query", ["", FILTERED])
@pytest.mark.parametrize("name", ["overview", "agreement", "subgroups", "cohort", "precision"])
def test_every_number_is_that_of_the_results(client: FlaskClient, name: str, query: str) -> None:
    # Where filters do not hold, numbers are those of the whole study.
    whole, chosen = exported(client), exported(client, query)
    results = whole if name in ("cohort", "precision") else chosen
    found = bound(ask(client, f"{BASE}/{name}?{query}"))
    assert len(found) > 20 or (query and name == "subgroups"), "the results of a selection have no groups"
    for pointer, value in found:
        expected = at(results, pointer)
        shown = "" if expected is None else repr(expected) if isinstance(expected, float) else str(expected)
        assert value == shown, pointer


@BOTH
def test_the_results_are_those_of_the_analysis(client: FlaskClient, registry: Registry) -> None:
    assert client.get(f"/export{BASE}/results.json").data == results_json(analyze_study(registry, STUDY).results)


@pytest.mark.parametrize("query", ["", FILTERED])
@pytest.mark.parametrize("address", ADDRESSES)
def test_every_table_and_chart_can_be_exported(client: FlaskClient, address: str, query: str) -> None:
    layout = ask(client, f"{address}?{query}")
    links = {
        node["props"]["href"] for node in walk(layout) if str(node["props"].get("href", "")).startswith("/export/")
    }
    assert links or address.endswith(("/checkpoints", "/reports")), "nothing of this page can be exported"
    for link in links:
        answer = client.get(link)
        assert answer.status_code == 200, link
        assert answer.mimetype == "text/csv"
        assert len(pd.read_csv(io.BytesIO(answer.data)).columns) > 1, link


def test_an_exported_table_has_full_precision(client: FlaskClient) -> None:
    table = pd.read_csv(io.BytesIO(client.get(f"/export{BASE}/agreement/table-errors.csv").data)).set_index("Method")
    mae = exported(client)["tests"]["scan"]["mae"]
    assert [table.loc["Scan", f"MAE (pp){end}"] for end in ("", " low", " high")] == [
        mae[end] for end in ("estimate", "low", "high")
    ]


def test_filters_leave_only_whom_they_let_through(client: FlaskClient) -> None:
    address = f"/export{BASE}/agreement/bland-altman-scan.csv"
    everybody = pd.read_csv(io.BytesIO(client.get(address).data))
    women = pd.read_csv(io.BytesIO(client.get(f"{address}?sex=F").data))
    odd = everybody["subject_id"].str[-4:].astype(int) % 2 == 1  # of `small_study`: men
    assert set(women["subject_id"]) == set(everybody.loc[~odd, "subject_id"])
    assert exported(client, "sex=F")["n"] < exported(client)["n"]


@BOTH
def test_a_run_can_be_chosen(client: FlaskClient, registry: Registry) -> None:
    text = text_of(ask(client, f"{BASE}/overview?run=1"))
    assert "Waiting for the worker" in text
    while work_once(registry):
        pass
    assert exported(client, "run=1")["tests"]["scan"]["mae"] != exported(client)["tests"]["scan"]["mae"]
    assert exported(client, "run=2") == exported(client), "the newest run is the one that is shown anyway"


@BOTH
def test_two_runs_are_compared(client: FlaskClient, registry: Registry) -> None:
    ask(client, f"{BASE}/checkpoints")
    while work_once(registry):
        pass
    text = text_of(ask(client, f"{BASE}/checkpoints"))
    assert "Run 2 is better than run 1" in text
    assert "Scans that moved most" in text


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/study/trail/overview", ["There is no study 'trail'", "trial"]),
        (f"{BASE}/overview?run=9", ["no run 9", "1, 2"]),
        (f"{BASE}/agreement?run=first", ["'first' in the address is not the number of a run"]),
        (f"{BASE}/agreement?age=forty", ["'forty' in the address is not understood", "age=40-60"]),
        (f"{BASE}/agreement?age=60-40", ["Nobody is at least 60"]),
        (f"{BASE}/agreement?site=site-9", ["site 'site-9'", "site-1, site-2"]),
        (f"{BASE}/agreement?age=1-2", ["Nobody has a pair", "Take away some of the filters"]),
        (f"{BASE}/agreement?age=20-21", ["Fewer than 10 subjects"]),
        (f"{BASE}/agreement?measurand=hip_cm", ["no 'hip_cm' in common", "waist_cm"]),
        (f"{BASE}/subject/S-9999", ["no subject 'S-9999'"]),
        ("/nowhere", ["There is no such page"]),
        (f"{BASE}/agreement?method=nothing&scale=x&limits=y", ["Bias and limits of agreement"]),
    ],
)
def test_bad_addresses_are_answered_in_words(page: Asked, address: str, words: list[str]) -> None:
    text = text_of(page(address))
    assert all(word in text for word in words), text
    assert "Traceback" not in text


@BOTH
def test_a_study_without_data_says_so(client: FlaskClient, registry: Registry) -> None:
    create_study(registry, "empty", load_template("demo"))
    ask(client, "/study/empty/overview")
    while work_once(registry):
        pass
    text = text_of(ask(client, "/study/empty/overview"))
    assert "failed" in text
    assert "no subjects" in text
    assert "Empty" not in text_of(ask(client, "/"))
    for address in ("/study/empty/checkpoints", "/study/empty/reports"):
        assert "No r" in text_of(ask(client, address))


@BOTH
def test_new_data_make_a_new_analysis(client: FlaskClient, registry: Registry) -> None:
    from small_study import make_study

    before = client.get(f"/export{BASE}/results.json").data
    make_study(registry, subjects=20, name="second")
    text = text_of(ask(client, f"{BASE}/overview"))
    assert "Waiting for the worker" in text, "something was ingested, and the old analysis is still shown"
    while work_once(registry):
        pass
    assert client.get(f"/export{BASE}/results.json").data == before


@BOTH
def test_a_database_that_goes_away_and_comes_back(client: FlaskClient, registry: Registry, away: Any) -> None:
    ask(client, f"{BASE}/overview")
    sqlite = registry.engine.dialect.name == "sqlite"
    with away():
        answer = client.get("/")
    assert answer.status_code == 503
    assert ("database is not where it was" if sqlite else "CALLIPER_DATABASE_URL is right") in answer.text
    assert "Traceback" not in answer.text
    assert "Body fat" in text_of(ask(client, f"{BASE}/overview"))


@BOTH
def test_every_look_at_a_subject_is_audited(client: FlaskClient, registry: Registry) -> None:
    ask(client, f"{BASE}/subject/S-0003")
    with registry.reading() as connection:
        event = newest_events(connection, 1)[0]
    assert (event["action"], event["entity"], event["entity_key"]) == ("view", "subject", "S-0003")
    assert event["actor"] == "local"


@BOTH
def test_photos_are_shown_only_of_those_who_keep_them(client: FlaskClient) -> None:
    def pictures(code: str) -> list[str]:
        layout = ask(client, f"{BASE}/subject/{code}")
        sources = [str(node["props"].get("src", "")) for node in walk(layout)]
        return [src for src in sources if src.startswith("/picture/")]

    kept, silhouettes, nothing = (pictures(code) for code in ("S-0000", "S-0001", "S-0002"))
    assert any("/photo/" in src for src in kept)
    assert silhouettes
    assert all("/silhouette/" in src for src in silhouettes)
    assert not nothing
    for src in [*kept, *silhouettes]:
        assert client.get(src).mimetype == "image/png"
    number = int(urlsplit(silhouettes[0]).path.split("/")[4])
    assert client.get(f"/picture/{STUDY}/S-0001/{number}/photo/front").status_code == 404


@BOTH
def test_the_avatar_is_drawn_over_the_silhouettes_that_are_kept(client: FlaskClient, registry: Registry) -> None:
    text = text_of(ask(client, f"{BASE}/subject/S-0001"))
    overlap = re.search(r"Front: overlap (\d+) %", text)
    assert int(overlap[1]) > 95, "the silhouette is of the very same body and pose"
    assert "a typical phone" in text
    assert "Of this subject photos are kept, and no silhouettes" in text_of(ask(client, f"{BASE}/subject/S-0000"))
    assert "Of this subject only numbers are kept" in text_of(ask(client, f"{BASE}/subject/S-0002"))
    with registry.reading() as connection:
        file = connection.execute(select(Silhouette.sha256, Silhouette.media_type)).first()
    registry.photos.remove(file.sha256, file.media_type)
    text = text_of(ask(create_app(registry).server.test_client(), f"{BASE}/subject/S-0001"))
    assert "Front: its file is not in the workspace any more" in text


@pytest.mark.parametrize("name", ["agreement", "subgroups"])
def test_another_measurand_is_exploratory_and_its_numbers_those_of_the_results(client: FlaskClient, name: str) -> None:
    layout = ask(client, f"{BASE}/{name}?measurand=waist_cm")
    assert "Waist girth is exploratory" in text_of(layout)
    assert "exploratory" not in text_of(ask(client, f"{BASE}/{name}")).replace("Exploratory", "")
    found = exported(client, "measurand=waist_cm")
    whole = exported(client)["body_measurements"]["waist_cm"]
    assert found["tests"] == {"scan": whole["agreement"]}
    assert (found["n"], found["reference"], found["measurand"]["unit"]) == (whole["n"], "tape", "cm")
    for pointer, value in bound(layout):
        expected = at(found, pointer)
        assert value == ("" if expected is None else repr(expected) if isinstance(expected, float) else str(expected))
    pairs = pd.read_csv(
        io.BytesIO(client.get(f"/export{BASE}/agreement/bland-altman-scan.csv?measurand=waist_cm").data)
    )
    assert len(pairs) == found["n"]
    assert pairs["difference"].abs().mean() == pytest.approx(whole["agreement"]["mae"]["estimate"])


@BOTH
def test_another_measurand_can_be_filtered_and_is_shown_of_a_subject(client: FlaskClient) -> None:
    everybody, women = (exported(client, f"measurand=waist_cm{more}") for more in ("", "&sex=F"))
    assert 0 < women["n"] < everybody["n"]
    assert women["measurand"]["name"] == "waist_cm"
    timeline = pd.read_csv(io.BytesIO(client.get(f"/export{BASE}/subject/S-0001/timeline.csv?measurand=waist_cm").data))
    assert set(timeline["method"]) == {"tape", "scan"}
    # Pages that know the plan's measurand alone go on showing that.
    assert "Body fat percentage" in text_of(ask(client, f"{BASE}/overview?measurand=waist_cm"))


def test_passing_and_bablok_of_a_selection(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = pd.read_csv(io.BytesIO(client.get(f"/export{BASE}/agreement/identity-scan.csv?sex=F").data))
    slope = float(passing_bablok(pairs["test"], pairs["reference"], subject=pairs["subject_id"]).slope)
    assert exported(client, "sex=F")["tests"]["scan"]["passing_bablok"]["slope"]["estimate"] == pytest.approx(slope)
    monkeypatch.setattr("dashboards.selection.AT_ONCE", 10)
    monkeypatch.setattr("dashboards.pages.agreement.AT_ONCE", 10)
    line = exported(client, "sex=M")["tests"]["scan"]["passing_bablok"]["slope"]
    assert (line["estimate"], "until it is asked for" in line["reason"]) == (None, True)
    assert exported(client, "sex=M&lines=all")["tests"]["scan"]["passing_bablok"]["slope"]["estimate"] is not None
    assert "computed, which takes seconds" in text_of(ask(client, f"{BASE}/agreement?sex=M"))


@BOTH
def test_two_applications_in_one_process_do_not_meet(
    registry: Registry, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from studies.registry.workspace import open_registry

    monkeypatch.delenv("CALLIPER_DATABASE_URL", raising=False)
    with open_registry(tmp_path / "other", create=True) as other:
        create_study(other, "elsewhere", load_template("demo"))
        here, there = (create_app(one).server.test_client() for one in (registry, other))
        assert STUDY in text_of(ask(here, "/"))
        text = text_of(ask(there, "/"))
        assert "elsewhere" in text
        assert STUDY not in text


def _groups(client: FlaskClient, query: str) -> pd.DataFrame:
    address = f"/export{BASE}/subgroups/table-groups.csv?{query}"
    return pd.read_csv(io.BytesIO(client.get(address).data), keep_default_na=False)


@pytest.mark.parametrize("measure", ["mae", "bias"])
def test_two_attributes_at_once_have_the_numbers_of_the_results(client: FlaskClient, measure: str) -> None:
    found = exported(client)["intersections"]["sex*age_band"]
    shown = {name: item for name, item in found["by_group"].items() if not item.get("suppressed")}
    assert len(shown) > 1
    # The same people, whichever attribute is named first; the filter lets everybody through, and the page computes.
    for query in ("by=sex&cross=age_band", "by=age_band&cross=sex", "by=sex&cross=age_band&sex=F&sex=M"):
        table = _groups(client, f"{query}&groups=both&measure={measure}")
        name = next(column for column in table if column.endswith("(pp)"))
        mine = [row for row in table.to_dict("records") if row["n"]]
        assert len(mine) == len(shown)
        expected = {item["tests"]["scan"][measure]["estimate"]: item["tests"]["scan"] for item in shown.values()}
        for row in mine:
            item = expected[min(expected, key=lambda value, row=row: abs(value - float(row[name])))]
            assert [float(row[f"{name}{end}"]) for end in ("", " low", " high")] == pytest.approx(
                [item[measure][end] for end in ("estimate", "low", "high")]
            )
            assert int(row["n"]) == item["n"]


def test_what_the_crossing_of_two_attributes_hides(client: FlaskClient) -> None:
    def heat(query: str) -> pd.DataFrame:
        address = f"/export{BASE}/subgroups/heat.csv?by=sex&cross=bmi_class{query}"
        return pd.read_csv(io.BytesIO(client.get(address).data)).set_index(["sex", "BMI class"])

    counts = heat("")
    hidden = exported(client)["intersections"]["sex*bmi_class"]["by_group"]
    assert counts["n"].isna().sum() >= sum(bool(item.get("suppressed")) for item in hidden.values()) > 0
    assert counts[["estimate", "low", "high"]].isna().all(axis=1).equals(counts["n"].isna())
    for test in ("scale", "deurenberg"):  # what another test adds could be subtracted
        assert heat(f"&method={test}").loc[counts["n"].isna(), "n"].isna().all()


def test_p_values_and_verdicts_of_groups_are_those_of_the_results(client: FlaskClient) -> None:
    results = exported(client)
    answer = client.get(f"/export{BASE}/subgroups/table-equality.csv")
    table = pd.read_csv(io.BytesIO(answer.data)).set_index("Attribute")
    for where in ("fairness", "intersections"):
        for part in results[where].values():
            for heading, key in (("MAE", "equal mae"), ("Bias", "equal bias"), ("Spread", "equal spread")):
                expected = part["tests"].get(key)
                if expected is not None:
                    assert float(table.loc[part["label"], f"{heading} p, adjusted"]) == expected["p_adjusted"]
    table = _groups(client, "by=age_band").set_index("Age (years)")
    said = results["fairness"]["age_band"]
    assert table["Verdict"].to_dict() | said["verdicts"]["mae"]["groups"] == table["Verdict"].to_dict()
    for group, item in said["pooled"]["mae"]["groups"].items():
        assert float(table.loc[group, "Shrunken"]) == item["estimate"]


def _table(client: FlaskClient, place: str) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(client.get(f"/export{BASE}/{place}.csv").data), keep_default_na=False)


def test_what_is_new_since_the_last_time(client: FlaskClient, registry: Registry, monkeypatch: Any) -> None:
    def passed(hours: float) -> None:
        now = audit.utc_now()
        monkeypatch.setattr("dashboards.last_time.audit.utc_now", lambda: now + timedelta(hours=hours))

    def overview() -> str:
        return text_of(ask(client, f"{BASE}/overview"))

    assert "for the first time" in overview()
    passed(0.1)
    assert "for the first time" in overview(), "the same visit"
    passed(2)
    assert "Nothing has changed since you looked last" in overview()
    with registry.writing() as connection:
        audit.append(connection, [audit.Event("revise", "analysis_plan", f"{STUDY}@2", {}, STUDY)])
        audit.append(connection, [audit.Event("view", "subject", "S-0000", {}, STUDY)] * 300)
    while "Waiting for the worker" in overview():
        work_once(registry)
    assert "One thing has changed since you looked last" in overview(), "looks are no changes"
    news = _table(client, "overview/table-news")
    assert [row["What"] for row in news.to_dict("records") if row["What"].endswith("new")] == [
        "The plan was revised new"
    ]
    passed(2)
    assert "Nothing has changed since you looked last" in overview()
    other = create_app(registry).server.test_client()
    other.set_cookie("calliper_seen_0", "forged")
    assert "for the first time" in text_of(ask(other, f"{BASE}/overview"))


def test_numbers_beside_those_of_the_newest_report(client: FlaskClient, registry: Registry) -> None:
    results = exported(client)
    assert "newest validation report" not in text_of(ask(client, f"{BASE}/overview"))
    then = json.loads(json.dumps(results))
    then["tests"]["scan"]["mae"]["estimate"] = 9.87654321
    with registry.writing() as connection:
        connection.execute(
            insert(Report).values(
                study_id=find_study(connection, STUDY).id, number=1, kind="validation", results_sha256="0" * 64,
                files=[{"format": "json", "name": "results.json"}], created_at=audit.utc_now(), created_by="tester",
                manifest="", sha256="",
            )
        )  # fmt: skip
    text = text_of(ask(client, f"{BASE}/overview"))
    assert "not in the workspace any more" in text
    folder = registry.reports / f"{STUDY}-1"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(then))
    client = create_app(registry).server.test_client()
    table = _table(client, "overview/table-since").set_index("Of the index test")
    before, now = (table.loc["Mean absolute error (pp)", name] for name in (table.columns[0], "Now"))
    assert (float(before), float(now)) == (9.87654321, results["tests"]["scan"]["mae"]["estimate"])
    assert "table-since" not in str(ask(client, f"{BASE}/overview?sex=F")), "a selection is not compared with a report"


def test_every_refused_row_has_its_remedy(client: FlaskClient) -> None:
    rows = _table(client, "cohort/table-refused").to_dict("records")
    assert rows == [
        {
            "Ingest": 1, "File": "readings.csv", "Row": 7, "Column": "value", "Value": 0.3,
            "Reason": "0.3 % is too low", "What to do": "Correct the value.",
        }
    ]  # fmt: skip
    assert _table(client, "cohort/table-ingests")["In quarantine"].tolist() == [1]


def test_capture_by_site_and_phone(client: FlaskClient) -> None:
    quality = _table(client, "cohort/table-quality").set_index(["Site", "Phone"])
    findings = _table(client, "cohort/table-findings").set_index(["Site", "Phone"])
    scans = [number for number in range(80) for _ in range(1 + (number % 4 == 0))]  # of `small_study`
    assert quality["Scans"].astype(int).sum() == len(scans)
    assert findings["Pose"].sum() == sum(number % 10 == 3 for number in scans), "a scan with two such views is one"
    site, phone = ("site-1", "phone-b")  # numbers 1, 5, 9 ...
    mine = [number for number in scans if number % 4 == 1]
    assert findings.loc[(site, phone), "Pose"] == sum(number % 10 == 3 for number in mine)
    faulty = sum(number % 17 == 5 for number in mine)
    expected = wilson(faulty, len(mine))
    found = [float(quality.loc[(site, phone), f"Indeterminate (%){end}"]) for end in ("", " low", " high")]
    assert found == pytest.approx([100 * getattr(expected, end) for end in ("estimate", "low", "high")])


@BOTH
def test_looks_at_pictures_and_exports_are_audited(client: FlaskClient, registry: Registry) -> None:
    def events(action: str) -> list[tuple[str, str]]:
        with registry.reading() as connection:
            found = newest_events(connection, 50)
        return [(event["entity_key"], event["actor"]) for event in reversed(found) if event["action"] == action]

    with registry.reading() as connection:
        scan = connection.execute(select(Silhouette.scan_id).order_by(Silhouette.scan_id)).scalars().first()
    picture = f"/picture/{STUDY}/S-0001/{scan}/silhouette/front"
    before = len(events("view"))
    assert client.get(picture).status_code == 200
    assert events("view")[before:] == [("S-0001", "local")], "nobody looked at the page before"
    client.get(picture)
    ask(client, f"{BASE}/subject/S-0004")
    assert len(events("view")) == before + 2, "the second picture belongs to the first look"
    assert client.get(f"/picture/{STUDY}/S-0002/{scan}/silhouette/front").status_code == 404
    client.get(f"/export{BASE}/agreement/bland-altman-scan.csv?sex=F")
    exported(client)
    assert events("export")[-2:] == [("agreement/bland-altman-scan.csv", "local"), ("results.json", "local")]
