"""The dashboard in a real browser: every page, filters, deep links, clicks, jobs, sign-in, roles, sign-out."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runs_support"))

from readable import faults
from scan_study import ScanStudy
from served import serving
from small_checkpoints import bright_person, write_small
from small_study import STUDY

from dashboards import worker
from dashboards.pages import PAGES
from dashboards.settings import Settings
from studies.registry.audit import newest_events
from studies.registry.checkpoints import add_checkpoint
from studies.registry.jobs import newest_jobs
from studies.registry.users import add_user
from studies.registry.workspace import Registry, open_registry

BASE = f"/study/{STUDY}"
PASSWORD = "long enough to be good"
RUN_SCANS = 6
LINKED = [page for page in PAGES if page.linked]
Opened = Callable[..., Any]


def settled(page: Any, title: str) -> None:
    """The page with this heading is there, with its charts drawn, and nothing is on its way."""
    page.wait_for_selector(f"main h1:text-is('{title}')")
    page.wait_for_selector("progress", state="detached")
    page.wait_for_load_state("networkidle")
    for graph in page.locator(".graph").all():
        graph.locator(".js-plotly-plot").wait_for()


def test_every_page_from_the_list_of_studies_on(address: str, open_page: Opened) -> None:
    page = open_page(address)
    page.goto(address)
    page.click(f"a[href='{PAGES[0].path(STUDY)}']")
    for entry in LINKED:
        page.click(f"nav a:text-is('{entry.title}')")
        settled(page, entry.title)
        assert page.url == f"{address}{entry.path(STUDY)}"
        assert entry.title in page.title()
        assert page.locator("main").inner_text().count("cannot be shown") == 0


def test_filters_are_in_the_address_and_hold_across_pages(address: str, open_page: Opened) -> None:
    page = open_page(address)
    page.goto(f"{address}{BASE}/agreement")
    settled(page, "Agreement")
    page.click("#filters summary")
    page.locator("[aria-label='Sex'] button.dash-dropdown").click()
    page.get_by_text("Women", exact=True).last.click()
    page.wait_for_url("**/agreement?sex=F")
    page.wait_for_selector("text=Filters are set")
    page.keyboard.press("Escape")
    page.locator(".ages input").first.fill("30")
    page.locator(".ages input").first.press("Enter")
    page.wait_for_url("**/agreement?sex=F&age=30-")
    page.wait_for_selector("#filters summary:has-text('at least 30 years')")
    settled(page, "Agreement")
    n = page.locator("#table-agreement tbody tr").first.locator("td").first.inner_text()
    page.click("nav a:text-is('Overview')")
    page.wait_for_url("**/overview?sex=F&age=30-")
    settled(page, "Overview")
    assert page.locator("#table-headline tbody tr").first.locator("td").nth(1).inner_text() == n
    shared = open_page(address)
    shared.goto(page.url)
    settled(shared, "Overview")
    assert shared.locator("#table-headline").inner_text() == page.locator("#table-headline").inner_text()
    page.click("#clear-filters")
    page.wait_for_url(f"{address}{BASE}/overview")
    page.wait_for_selector("text=everybody is shown")
    page.go_back()
    page.wait_for_url("**/overview?sex=F&age=30-")
    page.wait_for_selector("text=Filters are set")


def test_a_point_opens_its_subject(address: str, open_page: Opened, registry: Registry) -> None:
    page = open_page(address)
    page.goto(f"{address}{BASE}/agreement?method=scan")
    settled(page, "Agreement")
    points = page.locator("#chart-bland-altman-scan .scatterlayer .points path")
    points.first.wait_for()
    # Of points that overlap, the uppermost is hit.
    box = points.last.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector(".hovertext", state="attached")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_url("**/subject/S-*")
    settled(page, "Subject")
    code = page.url.rpartition("/")[2].partition("?")[0]
    assert page.locator(".facts dd").first.inner_text() == code
    with registry.reading() as connection:
        seen = [event["entity_key"] for event in newest_events(connection, 5) if event["action"] == "view"]
    assert code in seen


def test_the_avatar_at_another_body_fat(address: str, open_page: Opened) -> None:
    page = open_page(address)
    page.goto(f"{address}{BASE}/subject/S-0000")
    settled(page, "Subject")
    page.locator("#chart-avatar canvas").first.wait_for()
    before = page.locator("#table-avatar").inner_text()
    thumb = page.locator(".slider [role=slider]")
    thumb.focus()
    value = int(thumb.get_attribute("aria-valuenow"))
    thumb.press("ArrowRight")
    page.wait_for_url(f"**?fat={value + 1}")
    page.wait_for_selector(f"#table-avatar:has-text('{value + 1}.0')")
    assert page.locator("#table-avatar").inner_text() != before


def test_another_measurand_holds_across_pages(address: str, open_page: Opened) -> None:
    page = open_page(address)
    page.goto(f"{address}{BASE}/agreement")
    settled(page, "Agreement")
    page.click(".switch a:text-is('waist girth')")
    page.wait_for_url("**/agreement?measurand=waist_cm")
    page.wait_for_selector("text=Waist girth is exploratory")
    page.click("nav a:text-is('Subgroups')")
    page.wait_for_url("**/subgroups?measurand=waist_cm")
    settled(page, "Subgroups")
    assert page.locator("text=Waist girth is exploratory").count() == 1
    page.click(".switch a:text-is('body fat percentage')")
    page.wait_for_url(f"{address}{BASE}/subgroups")
    page.wait_for_selector("text=Waist girth is exploratory", state="detached")


def test_the_fit_is_drawn_over_the_silhouettes(address: str, open_page: Opened) -> None:
    page = open_page(address)
    page.goto(f"{address}{BASE}/subject/S-0001")
    settled(page, "Subject")
    picture = page.locator("#fit img").first
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 384
    assert "overlap" in picture.get_attribute("alt")


def test_a_run_is_started_and_followed_to_its_end(browser: Any, tmp_path: Path, open_page: Opened) -> None:
    names = {kind: write_small(tmp_path / "files", kind) for kind in ("segmenter", "avatar", "estimator")}
    with open_registry(tmp_path / "scanned", create=True) as registry:
        study = ScanStudy(registry, RUN_SCANS, photo=bright_person, consents=("silhouettes",))
        references = {kind: add_checkpoint(registry, path)[0].reference for kind, path in names.items()}
        with serving(registry, working=False) as base:
            page = open_page(base)
            page.goto(f"{base}{BASE}/checkpoints")
            settled(page, "Checkpoints")
            assert "No run has been made" in page.inner_text("main")
            for kind, reference in references.items():
                page.locator(f"[aria-label='{kind}'] button.dash-dropdown").click()
                page.get_by_text(reference, exact=True).last.click()
                page.wait_for_selector(f"[aria-label='{kind}'] button:has-text('{reference}')")
                page.keyboard.press("Escape")
            page.click("button:text-is('Start a run')")
            page.wait_for_selector("text=Waiting for the worker")
            assert page.locator("button:text-is('Start a run')").is_disabled(), "one at a time"
            assert worker.work_once(registry)
            # Nobody touches the page: it sees by itself that the run is done.
            page.wait_for_selector("#table-runs")
            settled(page, "Checkpoints")
            row = page.locator("#table-runs tbody tr")
            assert row.count() == 1
            told = row.inner_text()
            assert all(reference in told for reference in references.values())
            assert "finished" in told
            counts = row.locator("td").all_inner_texts()[-3:]
            assert sum(map(int, counts)) == RUN_SCANS
        assert len(study.outcomes()) == RUN_SCANS
        with registry.reading() as connection:
            filed = [event for event in newest_events(connection, 50) if event["entity"] == "job"]
        assert [(event["action"], event["actor"]) for event in filed] == [("file", "local")]


def test_a_report_is_made_and_taken(address: str, open_page: Opened) -> None:
    page = open_page(address)
    page.goto(f"{address}{BASE}/reports")
    settled(page, "Reports")
    page.click("button:text-is('Validation report')")
    page.wait_for_selector("#table-reports", timeout=240_000)
    with page.expect_popup() as opened:
        page.click("#table-reports a:text-is('HTML')")
    opened.value.wait_for_load_state()
    assert "Scan against DXA" in opened.value.inner_text("body")


def test_charts_and_tables_are_taken_as_files(address: str, open_page: Opened) -> None:
    page = open_page(address)
    page.goto(f"{address}{BASE}/subgroups")
    settled(page, "Subgroups")
    figure = page.locator("figure.chart").first

    def taken(what: Any) -> bytes:
        with page.expect_download() as download:
            what.click()
        return Path(download.value.path()).read_bytes()

    svg = taken(figure.locator("button:text-is('SVG')")).decode()
    assert svg.startswith("<svg")
    assert "Mean absolute error by sex" in svg, "a file says what it shows"
    assert "synthetic" in svg, "a file says what is not real"
    white = (255, 255, 255, 255)
    for theme in ("light", "dark"):  # on paper's own ground, whatever the page is like
        page.emulate_media(color_scheme=theme)
        picture = Image.open(io.BytesIO(taken(figure.locator("button:text-is('PNG')"))))
        assert picture.convert("RGBA").getpixel((1, 1)) == white
    assert b"estimate" in taken(figure.locator("a:text-is('CSV')"))
    page.goto(f"{address}{BASE}/cohort")
    settled(page, "Cohort and data quality")
    flow = page.locator("#figure-flow")
    assert taken(flow.locator("button:text-is('SVG')")).lstrip().startswith((b"<?xml", b"<svg"))
    picture = Image.open(io.BytesIO(taken(flow.locator("button:text-is('PNG')"))))
    assert picture.convert("RGBA").getpixel((1, 1)) == white
    assert len(picture.getcolors(1 << 24)) > 10
    assert b"Subjects of the study" in taken(flow.locator("a:text-is('CSV')"))


@pytest.mark.parametrize("width", [390, 3840])
def test_it_fits_on_a_phone_and_a_wall(address: str, open_page: Opened, width: int) -> None:
    page = open_page(address, viewport={"width": width, "height": 900})
    for entry in LINKED:
        page.goto(f"{address}{entry.path(STUDY)}")
        settled(page, entry.title)
        assert page.locator("html").evaluate("element => element.scrollWidth") <= width, entry.title
        if entry.slug == "agreement":
            size = "text => parseFloat(getComputedStyle(text).fontSize)"
            page.wait_for_function(f"Math.min(...[...document.querySelectorAll('.xtick text')].map({size})) >= 12")
            if width > 3000:  # the text of charts grows with the page
                page.wait_for_function(f"Math.min(...[...document.querySelectorAll('.xtick text')].map({size})) >= 15")


def test_the_keyboard_reaches_everything(address: str, open_page: Opened) -> None:
    page = open_page(address)
    page.goto(f"{address}{BASE}/agreement")
    settled(page, "Agreement")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.locator(":focus").get_attribute("id") == "content"
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.locator(":focus").evaluate("element => element.textContent.slice(0, 20)"))
        if {"percent of the mean", "SVG"} <= seen:
            break
    assert {"percent of the mean", "SVG"} <= seen


def test_every_picture_and_field_has_a_name(address: str, open_page: Opened) -> None:
    page = open_page(address)
    for entry in LINKED:
        page.goto(f"{address}{entry.path(STUDY)}")
        settled(page, entry.title)
        assert page.locator("img:not([alt])").count() == 0
        assert page.locator("main h1").count() == 1
        assert page.locator("html[lang=en]").count() == 1
        for graph in page.locator(".graph").all():
            assert len(graph.get_attribute("aria-label")) > 20
        for table in page.locator("main table").all():
            assert table.locator("th[scope]").count() > 0


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_can_be_read_by_everyone(address: str, open_page: Opened, theme: str) -> None:
    page = open_page(address, color_scheme=theme)
    places = [(entry.path(STUDY), entry.title) for entry in LINKED]
    places += [(f"{BASE}/subject/S-0001", "Subject"), (f"{BASE}/agreement?sex=F", "Agreement")]
    for path, title in places:
        page.goto(f"{address}{path}")
        settled(page, title)
        assert faults(page) == [], path
    page.locator("[aria-label='Sex'] button.dash-dropdown").click()
    page.get_by_text("Women", exact=True).last.wait_for()
    assert faults(page) == [], "a list that is open"


def test_unreadable_pages_are_found(browser: Any) -> None:
    page = browser.new_page()
    page.set_content(
        "<!DOCTYPE html><title>t</title><html lang=en><main><h1>One</h1><h3>Three</h3><p style='color:#aaa'>pale</p>"
        "<button></button><input><img src='data:,'width=9 height=9><div id=a>a</div><div id=a>b</div>"
        "<p style='color:#777;background:#fff;opacity:1'>just too pale</p></main>"
    )
    found = faults(page)
    page.close()
    for word in (
        "pale",
        "just too pale",
        "no name: button",
        "no name: input",
        "no name: img",
        "id twice: a",
        "level 3",
    ):
        assert any(word in fault for fault in found), (word, found)


def test_on_paper_no_table_is_cut_off(address: str, open_page: Opened) -> None:
    page = open_page(address, viewport={"width": 720, "height": 1000})  # about A4 between its margins
    page.emulate_media(media="print")
    for name in ("overview", "subgroups"):
        page.goto(f"{address}{BASE}/{name}")
        page.wait_for_load_state("networkidle")
        page.locator("main table").first.wait_for()
        assert not page.locator(".top nav").is_visible()
        for table in page.locator("main table").all():
            box = table.bounding_box()
            assert box["x"] + box["width"] <= 720


def test_a_database_that_goes_away_while_a_page_is_open(address: str, open_page: Opened, registry: Registry) -> None:
    page = open_page(address, allowed=("503",))
    page.goto(f"{address}{BASE}/overview")
    settled(page, "Overview")
    database = registry.folder / "registry.db"
    database.rename(database.with_suffix(".away"))
    page.click("nav a:text-is('Agreement')")
    page.wait_for_selector("text=database is not where it was")
    assert "Traceback" not in page.content()
    database.with_suffix(".away").rename(database)
    page.goto(f"{address}{BASE}/agreement")
    settled(page, "Agreement")


def test_filters_stay_when_a_report_is_asked_for(browser: Any, registry: Registry, open_page: Opened) -> None:
    with serving(registry, working=False) as base:
        page = open_page(base)
        page.goto(f"{base}{BASE}/checkpoints?sex=F")
        settled(page, "Checkpoints")
        page.click("text=Make a report of this comparison")
        page.wait_for_url("**/reports?sex=F&job=*")
        page.wait_for_selector("text=Waiting for the worker")
        with registry.reading() as connection:
            asked = newest_jobs(connection, STUDY, kinds=("report",))[0]
        assert asked.parameters == {"kind": "comparison", "runs": [1, 2]}
        page.click("nav a:text-is('Overview')")
        page.wait_for_url("**/overview?sex=F")
        settled(page, "Overview")


def test_photos_in_the_browser_of_a_viewer_and_of_an_analyst(
    browser: Any, registry: Registry, open_page: Opened
) -> None:
    for role in ("viewer", "analyst"):
        add_user(registry, f"the-{role}", role, PASSWORD)
    with serving(registry, Settings()) as base:
        for role, may in (("viewer", False), ("analyst", True)):
            page = open_page(base)
            page.goto(f"{base}{BASE}/subject/S-0000")
            page.fill("#name", f"the-{role}")
            page.fill("#password", PASSWORD)
            page.click("button[type=submit]")
            settled(page, "Subject")
            assert (page.locator("img[src*='/photo/']").count() > 0) == may
            answer = page.request.get(f"{base}/picture/{STUDY}/S-0000/1/photo/front")
            assert answer.status == (200 if may else 403)


def test_the_theme_stays_as_chosen(address: str, open_page: Opened) -> None:
    page = open_page(address, color_scheme="light")
    page.goto(f"{address}{BASE}/overview")
    settled(page, "Overview")

    def back() -> str:
        return page.locator("body").evaluate("element => getComputedStyle(element).backgroundColor")

    light = back()
    page.click("#theme")
    dark = back()
    assert dark != light
    page.reload()
    settled(page, "Overview")
    assert back() == dark


def test_sign_in_roles_and_sign_out(browser: Any, registry: Registry, open_page: Opened) -> None:
    for role in ("viewer", "admin"):
        add_user(registry, f"the-{role}", role, PASSWORD)
    with serving(registry, Settings()) as base:
        page = open_page(base, allowed=("401",))
        page.goto(f"{base}{BASE}/overview")
        assert page.url.startswith(f"{base}/sign-in?next=")
        page.fill("#name", "the-viewer")
        page.fill("#password", "not this one")
        page.click("button[type=submit]")
        assert "do not fit" in page.inner_text("#problem")
        page.fill("#name", "the-viewer")
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        settled(page, "Overview")
        assert page.url == f"{base}{BASE}/overview"
        assert page.locator("nav a:text-is('Audit')").count() == 0
        page.click("nav a:text-is('Reports')")
        settled(page, "Reports")
        assert page.locator("button:text-is('Validation report')").count() == 0
        page.click("text=Sign out")
        page.wait_for_url(f"{base}/sign-in")
        page.fill("#name", "the-admin")
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_selector("h1:text-is('Studies')")
        page.goto(f"{base}{BASE}/audit")
        settled(page, "Audit")
        assert "sign-in refused" in page.inner_text("#table-trail")
        # A session that ends while a page is open leads to the sign-in page with the next click.
        page.context.clear_cookies()
        page.click("nav a:text-is('Overview')")
        page.wait_for_url("**/sign-in?next=**")
        page.wait_for_load_state("networkidle")


def test_numbers_on_screen_are_those_of_the_results(address: str, open_page: Opened) -> None:
    page = open_page(address)
    page.goto(f"{address}{BASE}/agreement")
    settled(page, "Agreement")
    results = json.loads(page.request.get(f"{address}/export{BASE}/results.json").body())
    mae = results["tests"]["scan"]["mae"]["estimate"]
    cell = page.locator("[data-source='/tests/scan/mae/estimate']").first
    assert float(cell.get_attribute("data-value")) == mae
    assert cell.inner_text() == f"{mae:.2f}"
