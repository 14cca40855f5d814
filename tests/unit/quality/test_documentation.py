"""The documentation of the rules says what the rules say."""

from pathlib import Path

from studies.quality.rules import ranges_as_markdown, rules_as_markdown


def test_the_rules_and_ranges_are_documented_as_they_are() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "data-quality.md").read_text(encoding="utf-8")
    assert rules_as_markdown() in text
    assert ranges_as_markdown() in text
