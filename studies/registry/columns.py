"""The rows of a query as columns. A frame made of a million rows, cell by cell in Python, takes many seconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, Select

# So few at a time that the rows are gone again before Python's collector counts them among the lasting objects.
_FETCHED = 5_000


def column_parts(connection: Connection, query: Select[Any], schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of a query in small tables, at least one; `schema` names and types the columns. Missing is null."""
    nothing = True
    for rows in connection.execute(query.execution_options(yield_per=_FETCHED)).partitions():
        columns = zip(zip(*rows, strict=True), schema.types, strict=True)
        yield pa.table([pa.array(values, kind) for values, kind in columns], schema=schema)
        nothing = False
    if nothing:
        yield schema.empty_table()
