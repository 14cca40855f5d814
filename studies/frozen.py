"""What results were computed from, as files that outlive the registry: CSV tables, a codebook, and JSON for all else.

The same inputs give the same bytes, and what is read back gives the same results to the last digit: numbers are written
with as many digits as they need, and the type of every column is noted.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv as arrow_csv

from studies.errors import DataError
from studies.plan import plan_from_document

FORMAT = 1
FACTS, CODEBOOK = "inputs.json", "codebook.csv"
_ARROW = {
    "text": pa.string(), "json": pa.string(), "number": pa.float64(), "integer": pa.int64(), "yes or no": pa.bool_(),
    "time": pa.timestamp("us"),
}  # fmt: skip

_MEANINGS = {
    "subject_id": "code of the subject in these files; stands for nothing outside them",
    "site": "site of the study where the subject was enrolled",
    "sex": "F or M",
    "age": "age at enrolment in years",
    "ethnicity": "ethnicity as the study recorded it",
    "enrolled_on": "date of enrolment, shifted by an unknown number of days for each subject",
    "visit": "label of the visit",
    "date": "date of the visit, shifted like all dates of the subject",
    "sequence": "place of the visit in the study's order of visits",
    "measurement_id": "number of the measurement among those of its kind in these files",
    "measured_at": "time of the measurement, shifted like all dates of the subject",
    "measurand": "what was measured",
    "method": "how it was measured",
    "device": "device it was measured with, or captured with",
    "value": "value, of a measurement in its `unit`, of a scan the prediction of the plan's measurand",
    "unit": "unit of the value",
    "replicate": "number of a repeat at the same visit by the same method and device",
    "flags": "data checks that doubt the measurement, comma-separated",
    "rendered": "whether the photos behind it were made by a renderer and not by a camera",
    "kind": "reading (came in) or prediction (made of a scan by a run)",
    "scan": "number of the scan at its visit",
    "captured_at": "time of the capture, shifted like all dates of the subject",
    "status": "what became of the scan in the run: determinate, indeterminate or unreachable",
    "reason": "why the scan has no prediction",
    "low": "lower end of the prediction's 90 % interval",
    "high": "upper end of the prediction's 90 % interval",
    "batch": "number of the ingest that it came in with",
    "findings": "what quality control found of the scan, as a JSON list",
    "in_training_data": "whether the subject was in the training data of a checkpoint whose predictions are analysed",
    "finite": "whether the measurement has a value",
    "scan_id": "number of the scan in the registry",
    "baseline": "value that the baseline predicted of the scan",
    "candidate": "value that the candidate predicted of the scan",
}


def freeze(inputs: Mapping[str, Any]) -> dict[str, bytes]:
    """The inputs of results as files, name -> content.

    inputs: tables (data frames), `plan` where there is one, and plain JSON for all else; of an analysis those of
    `studies.registry.analysis.study_inputs`.
    """
    tables = {name: item for name, item in inputs.items() if isinstance(item, pd.DataFrame)}
    columns = {name: {str(column): _kind(frame[column]) for column in frame} for name, frame in tables.items()}
    facts = {
        "calliper_inputs": FORMAT,
        **{name: _finite(item) for name, item in inputs.items() if name not in tables and name != "plan"},
        **({"plan": inputs["plan"].document()} if "plan" in inputs else {}),
        "tables": columns,
    }
    files = {FACTS: (json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()}
    for name, frame in tables.items():
        files[f"{name}.csv"] = _csv(frame, columns[name])
    files[CODEBOOK] = _codebook(columns)
    return dict(sorted(files.items()))


def thaw(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The inputs that `freeze` wrote. Raises `DataError` where a file is missing or is not what it should be."""
    try:
        facts = json.loads(files[FACTS])
        known = facts["calliper_inputs"]
        if known != FORMAT:
            raise DataError(
                f"These inputs are of format {known}; this version of Calliper reads format {FORMAT}.",
                where=FACTS, remedy="Recompute them with the version of Calliper that made them.",
            )  # fmt: skip
        tables = {name: _frame(files[f"{name}.csv"], columns) for name, columns in facts["tables"].items()}
        stated = {name: item for name, item in facts.items() if name not in ("calliper_inputs", "plan", "tables")}
        plan = {"plan": plan_from_document(facts["plan"])} if "plan" in facts else {}
    except KeyError as error:
        raise DataError(f"The frozen inputs lack {error}.", remedy="They are not whole: take them anew.") from None
    except (ValueError, TypeError, AttributeError, pa.ArrowException) as error:
        raise DataError(
            f"The frozen inputs cannot be read: {error}.", remedy="They are not as they were written: take them anew."
        ) from None
    return {**stated, **plan, **tables}


def hash_of(files: Mapping[str, bytes]) -> str:
    """One SHA-256 (hex) for the files, whatever holds them: over a line of hash and name for each, by name."""
    lines = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


# Zip files that are the same bytes for the same content ---------------------------------------------------------------


def zip_of(files: Mapping[str, bytes], *, runnable: tuple[str, ...] = ()) -> bytes:
    """The files as a zip in the order given, with a fixed date. `runnable`: names that may be executed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3  # as on Unix, wherever it is made
            member.external_attr = (0o100755 if name in runnable else 0o100644) << 16
            archive.writestr(member, content, compresslevel=6)
    return packed.getvalue()


MOST_BYTES = 4 << 30
"""No zip with more than this in it is opened: a small file can claim to hold everything."""


def files_of_zip(data: bytes, where: str) -> dict[str, bytes]:
    """The files in a zip. Raises `DataError` where it is damaged, names a file twice, or is far too large."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if sum(member.file_size for member in members) > MOST_BYTES:
                raise DataError("The archive claims to hold more than 4 GiB.", where=where, remedy="Do not open it.")
            files: dict[str, bytes] = {}
            for member in members:
                if member.filename in files:
                    raise DataError(f"The archive holds '{member.filename}' twice.", where=where)
                files[member.filename] = archive.read(member)
            return files
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise DataError(
            f"The archive is damaged: {error}.", where=where, remedy="Take the file anew from where it came from."
        ) from None


# Tables ---------------------------------------------------------------------------------------------------------------


def _kind(column: pd.Series) -> str:
    kind = column.dtype
    if pd.api.types.is_bool_dtype(kind):
        return "yes or no"
    if pd.api.types.is_integer_dtype(kind):
        return "integer"
    if pd.api.types.is_float_dtype(kind):
        return "number"
    if pd.api.types.is_datetime64_any_dtype(kind):
        return "time"
    if isinstance(kind, pd.StringDtype):
        return "text"
    return "text" if all(isinstance(value, str) for value in column.dropna()) else "json"


def _csv(frame: pd.DataFrame, kinds: Mapping[str, str]) -> bytes:
    arrays = []
    for name, kind in kinds.items():
        column = frame[name]
        if kind == "json":
            column = column.astype("object").map(lambda value: json.dumps(_plain(value)), na_action="ignore")
        missing = column.isna().to_numpy()
        if kind in ("text", "json"):
            values = column.astype("object").where(~missing, None).to_numpy()
        elif kind == "time":
            values = column.astype("datetime64[us]").to_numpy()
        elif kind == "number":
            values = column.to_numpy(dtype="float64", na_value=np.nan)
        else:
            values = column.astype("object").where(~missing, None).to_numpy()
        arrays.append(pa.array(values, type=_ARROW[kind], mask=missing))
    packed = io.BytesIO()
    table = pa.Table.from_arrays(arrays, names=list(kinds))
    arrow_csv.write_csv(table, packed, arrow_csv.WriteOptions(include_header=True, quoting_style="needed"))
    return packed.getvalue()


def _frame(data: bytes, kinds: Mapping[str, str]) -> pd.DataFrame:
    types = {name: _ARROW[kind] for name, kind in kinds.items()}
    table = arrow_csv.read_csv(
        io.BytesIO(data),
        read_options=arrow_csv.ReadOptions(use_threads=False),
        parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False,
            timestamp_parsers=[arrow_csv.ISO8601],
        ),
    )  # fmt: skip
    if table.column_names != list(kinds):
        raise ValueError(f"a table has the columns {table.column_names} instead of {list(kinds)}")
    columns: dict[str, pd.Series] = {}
    for name, kind in kinds.items():
        values = table[name]
        if kind == "integer":
            columns[name] = values.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
            if not values.null_count:
                columns[name] = columns[name].astype("int64")
        elif kind == "yes or no":
            whole = not values.null_count
            columns[name] = values.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
            columns[name] = columns[name].astype("bool") if whole else columns[name]
        elif kind == "json":
            columns[name] = values.to_pandas().astype("object").map(json.loads, na_action="ignore")
        elif kind == "time":
            columns[name] = values.to_pandas().astype("datetime64[us]")
        else:
            columns[name] = values.to_pandas().astype("str" if kind == "text" else "float64")
    return pd.DataFrame(columns, columns=list(kinds))


def _finite(value: Any) -> Any:
    """Without infinite numbers and NaN, which JSON has not; results have null in their place as well."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _codebook(columns: Mapping[str, Mapping[str, str]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["table", "column", "type", "meaning"])
    for table, kinds in columns.items():
        for name, kind in kinds.items():
            meaning = _MEANINGS.get(name, "attribute of the subject that the analysis plan names")
            writer.writerow([f"{table}.csv", name, kind, meaning])
    return text.getvalue().encode()
