"""Folders that belong to a process while it works in them."""

from __future__ import annotations

import threading
from pathlib import Path

from studies.registry.claims import abandoned, claim


def test_a_folder_that_has_gone_meanwhile_is_not_abandoned(tmp_path: Path) -> None:
    assert not abandoned(tmp_path / "named")
    assert not abandoned(tmp_path / ".claiming-renamed")


def test_looking_for_what_was_left_while_others_come_and_go(tmp_path: Path) -> None:
    """As a command does at its start, beside another that claims one folder after the other and removes them."""
    done = threading.Event()

    def come_and_go() -> None:
        while not done.is_set():
            with claim(tmp_path / "mine") as mine:
                mine.rmdir()

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        seen = 0
        while seen < 2000:
            for folder in tmp_path.iterdir():
                abandoned(folder)
                seen += 1
    finally:
        done.set()
        other.join()
