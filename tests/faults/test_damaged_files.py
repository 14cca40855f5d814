"""Files damaged at random: each is read, or refused with a message; no other error, whatever the bytes are."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyreadstat
import pytest

from studies.errors import CalliperError
from studies.ingest.mapping import load_mapping
from studies.ingest.transform import Transformer, bind
from studies.readers import open_sources


def people(rows: int = 60) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "subject_id": [f"S{i:03}" for i in range(rows)],
            "sex": ["F", "M"] * (rows // 2),
            "age": [30 + i / 4 for i in range(rows)],
            "enrolled_on": "2024-01-10",
            "note": ['Zoë, "Ann"\nO\'Brien', "x"] * (rows // 2),
        }
    )


def workbook(_: Path) -> bytes:
    book = openpyxl.Workbook()
    table = people()
    for row in [list(table.columns), *table.to_numpy().tolist()]:
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def parquet(_: Path) -> bytes:
    buffer = io.BytesIO()
    people().to_parquet(buffer, index=False)
    return buffer.getvalue()


def transport(folder: Path) -> bytes:
    path = folder / "made.xpt"
    names = {"subject_id": "USUBJID", "sex": "SEX", "age": "AGE"}
    table = people()[list(names)].rename(columns=names)
    pyreadstat.write_xport(table, str(path), file_format_version=5, table_name="DM")
    return path.read_bytes()


KINDS: dict[str, tuple[str, str, Callable[[Path], bytes]]] = {
    "csv": ("subjects.csv", "calliper", lambda _: people().to_csv(index=False).encode()),
    "utf-16": ("subjects.csv", "calliper", lambda _: people().to_csv(index=False).encode("utf-16")),
    "excel": ("subjects.xlsx", "calliper", workbook),
    "parquet": ("subjects.parquet", "calliper", parquet),
    "xpt": ("dm.xpt", "sdtm", transport),
}


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut short, a stretch overwritten, bits turned, a stretch left out or doubled, as disks and mailers do it."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(data)))
        length = int(rng.integers(1, 64))
        match int(rng.integers(6)):
            case 0:
                del data[at:]
            case 1:
                data[at : at + length] = rng.bytes(length)
            case 2:
                data[at : at + length] = bytes(length)
            case 3:
                data[at] ^= 1 << int(rng.integers(8))
            case 4:
                del data[at : at + length]
            case 5:
                data[at:at] = data[at : at + length]
        if not data:
            break
    return bytes(data)


def read(path: Path, mapping: str) -> int:
    """Everything that an ingest does before it judges a row."""
    tables = open_sources([path])
    chosen = load_mapping(mapping)
    binding = bind(chosen, tables)
    if binding.faults:
        raise binding.faults[0]
    rows = 0
    for bound in binding.rules:
        transformer = Transformer(bound, chosen.options)
        transformer.observe_dates()
        rows += sum(map(len, transformer.chunks()))
    return rows


def check(folder: Path, kind: str, seeds: range) -> None:
    name, mapping, make = KINDS[kind]
    whole = make(folder)
    path = folder / name
    path.write_bytes(whole)
    assert read(path, mapping) == 60
    messages = []
    for seed in seeds:
        path.write_bytes(damaged(whole, np.random.default_rng(seed)))
        try:
            read(path, mapping)
        except CalliperError as error:
            messages.append(str(error))
        except Exception as error:
            pytest.fail(f"{kind}, seed {seed}: {type(error).__name__}: {error}")
    assert messages
    assert all(name in message for message in messages)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, kind: str) -> None:
    check(tmp_path, kind, range(150))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_damaged_files_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    check(tmp_path, kind, range(1000, 4000))
