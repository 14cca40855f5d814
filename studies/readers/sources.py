"""The entry: paths in, tables out, all faults of all files at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from studies.errors import DataError, Faults, Where
from studies.readers.folders import folder_contents
from studies.readers.formats import check_format
from studies.readers.options import ReaderOptions
from studies.readers.redcap import is_dictionary, is_export
from studies.readers.table import SourceTable


def open_sources(paths: Sequence[Path], *, options: ReaderOptions | None = None) -> list[SourceTable]:
    """Opens files, and the data files of folders (not of their sub-folders), as tables.

    Every file is checked as far as that needs no parsing: what it is, encoding, header, lines too long, cut ends.
    Raises Faults with one DataError for each thing that is wrong with any of the files. A name repeated in a header
    is tolerated beside a REDCap data dictionary, since REDCap's label exports repeat names.
    """
    options = options or ReaderOptions()
    faults: list[DataError] = []
    tables: list[SourceTable] = []
    for file in _files(paths):
        if isinstance(file, DataError):
            faults.append(file)
            continue
        where = Where(file=str(file))
        try:
            tables += _open_file(file, options)
        except Faults as error:
            faults += error.faults
        except DataError as error:
            faults.append(error)
        except PermissionError:
            faults.append(DataError("the file may not be read.", where=where, remedy="Ask its owner for permission."))
        except OSError as error:
            what = f"the file cannot be read ({error.strerror or error})."
            faults.append(DataError(what, where=where, remedy="Copy it to another place and try again."))
    dictionary = next((table for table in tables if is_dictionary(table)), None)
    for table in tables:
        faults += _name_faults(table, dictionary)
    if faults:
        raise Faults(faults)
    return tables


def _name_faults(table: SourceTable, dictionary: SourceTable | None) -> list[DataError]:
    """Faults of a header that its reader left to be judged here, beside the other files."""
    faults = list(getattr(table, "faults", []))
    header = getattr(table, "header", [])
    if not faults or (all(header) and dictionary is not None and is_export(table, dictionary)):
        return []
    if "Complete?" in header and dictionary is None:
        what = "it looks like a REDCap export with labels as column names, which can repeat."
        remedy = "Give the project's data dictionary with it, or export it with raw names."
        faults.append(DataError(what, where=table.where(), remedy=remedy))
    return faults


def _files(paths: Sequence[Path]) -> list[Path | DataError]:
    """The files meant by paths, each once, in the order given; a fault in the place of a folder without any."""
    if not paths:
        return [DataError("no file was given.", remedy="Name one or more files, or a folder with files.")]
    found: dict[Path, Path | DataError] = {}
    for path in map(Path, paths):
        if not path.is_dir():
            found.setdefault(path.resolve(), path)
            continue
        try:
            contents = folder_contents(path)
        except DataError as error:
            found.setdefault(path.resolve(), error)
            continue
        for file in contents.files:
            found.setdefault(file.resolve(), file)
        if not contents.files:
            others = f" (only {_some(contents.ignored)})" if contents.ignored else ""
            found[path.resolve()] = DataError(
                f"the folder has no data files in it{others}.",
                where=Where(file=str(path)),
                remedy="Calliper reads .csv, .tsv, .xlsx, .parquet and .xpt; sub-folders are not searched.",
            )
    return list(found.values())


def _open_file(path: Path, options: ReaderOptions) -> list[SourceTable]:
    kind = check_format(path, encoding=options.encoding)
    # Each reader is imported only when a file needs it.
    if kind == "csv":
        from studies.readers.delimited import open_delimited

        return [open_delimited(path, options)]
    if kind == "excel":
        from studies.readers.excel import open_excel

        return open_excel(path, options)
    if kind == "parquet":
        from studies.readers.parquet import open_parquet

        return [open_parquet(path)]
    from studies.readers.xport import open_xport

    return open_xport(path, options)


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
