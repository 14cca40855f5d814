"""Contact sheets: laid out, and saying that nobody on them is real."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.errors import BodyRequestError
from models.render import contact_sheet
from models.render.contact_sheet import Cell, Row, bad_captures_sheet, places_sheet, sheet, some_people, write_sheets


def test_a_sheet_holds_its_pictures_and_the_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    write = contact_sheet.ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        contact_sheet.ImageDraw.ImageDraw,
        "text",
        lambda self, at, text, *a, **k: (said.append(text), write(self, at, text, *a, **k)),
    )
    green = np.zeros((40, 30, 3), np.uint8)
    green[..., 1] = 200
    page = sheet("Things", [Row("first\nline", [Cell(green, "one"), Cell(green)]), Row("second", [Cell(green)])])
    assert (page == [0, 200, 0]).all(2).sum() == 3 * 40 * 30
    assert said[:2] == ["Things", contact_sheet.NOTICE]
    assert "No real person" in contact_sheet.NOTICE
    assert {"first", "line", "one", "second"} <= set(said)


def test_an_empty_sheet_is_refused() -> None:
    for rows in ([], [Row("none", [])]):
        with pytest.raises(BodyRequestError, match="at least one row"):
            sheet("Nothing", rows)


def test_people_of_a_sheet_are_drawn_from_a_seed(body) -> None:
    one, other = (some_people(body, 3, seed=4) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert one[1:] == other[1:]
    assert np.isfinite(one[0]).all()


def test_sheets_show_every_family_and_fault(body) -> None:
    places = places_sheet(body, columns=1)
    faults = bad_captures_sheet(body, columns=1)
    assert places.shape[0] > 9 * 184
    assert faults.shape[0] > 7 * 184


def test_the_command_writes_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(contact_sheet, "places_sheet", lambda body: np.zeros((10, 12, 3), np.uint8))
    for name in ("jpg", "png"):
        arguments = ["contact_sheet", "--out", str(tmp_path / name), "--sheet", "places", "--format", name]
        monkeypatch.setattr(sys, "argv", arguments)
        contact_sheet.main()
        path = tmp_path / name / f"places.{name}"
        assert capsys.readouterr().out.strip() == str(path)
        with Image.open(path) as image:
            assert image.size == (12, 10)


def test_other_sheets_and_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BodyRequestError, match="no contact sheet"):
        write_sheets(tmp_path, ["cats"])
    with pytest.raises(BodyRequestError, match="jpg or png"):
        write_sheets(tmp_path, ["places"], file_format="gif")
