"""Rows of a table, whatever its format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from models.data.tables.delimited import delimited_rows
from models.data.tables.json_lines import json_rows
from models.data.tables.parquet import parquet_rows
from models.data.tables.source import Format, Row, TableSource

_READERS: dict[Format, Callable[[TableSource, Sequence[str]], Iterator[Row]]] = {
    "csv": delimited_rows,
    "tsv": delimited_rows,
    "jsonl": json_rows,
    "parquet": parquet_rows,
}


def table_rows(source: TableSource, columns: Sequence[str]) -> Iterator[Row]:
    """Read columns row by row; memory does not grow with the file.

    Raises:
        InvalidInputError: What is read cannot be what it should be; names the file and the place.
    """
    return _READERS[source.format](source, columns)
