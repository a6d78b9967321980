"""Rows of csv and tsv files, by Python's own csv module."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence

from models.data.tables.lines import Lines, open_lines
from models.data.tables.source import MAX_VALUE_CHARACTERS, Row, TableSource

MAX_COLUMNS = 10_000
_QUOTES = {"double": '"', "single": "'"}
_OTHER_DELIMITERS = (";", "\t", "|", ",")


def delimited_rows(source: TableSource, columns: Sequence[str]) -> Iterator[Row]:
    """Read the columns asked for; the first row names the columns, empty lines are passed over.

    Raises:
        DataError: A column is missing, a row has another number of fields, a quote is not closed; names the line.
    """
    delimiter = source.delimiter or ("\t" if source.format == "tsv" else ",")
    with open_lines(source) as lines:
        reader = _reader(lines, source, delimiter)
        header = _next_row(reader, lines, source)
        if header is None:
            raise source.error("no line", "a first line that names the columns")
        if len(header) > MAX_COLUMNS:
            raise source.error(f"{len(header)} columns", f"at most {MAX_COLUMNS}", "line 1")
        names = [name.strip() for name in header]
        positions = source.positions(names, columns, _delimiter_hint(header, delimiter, source))
        count = 0
        while True:
            first_line = lines.number + 1
            row = _next_row(reader, lines, source)
            if row is None:
                return
            if not row:
                continue
            if len(row) != len(header):
                raise source.error(
                    f"{len(row)} fields",
                    f"{len(header)}, as the first line has; a field that contains the delimiter "
                    "{!r} must be quoted".format(delimiter),
                    f"line {first_line}",
                )
            count += 1
            source.check_row_count(count)
            yield Row(f"line {first_line}", tuple(row[position] for position in positions))


def _reader(lines: Lines, source: TableSource, delimiter: str) -> Iterator[list[str]]:
    quoting = source.quoting
    if quoting == "auto":
        # Tab-separated files are mostly written without quoting: a quotation mark is then a letter like others, and
        # reading it as more would join rows without a word.
        quoting = "none" if source.format == "tsv" else "double"
    if quoting == "none":
        return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
    return csv.reader(lines, delimiter=delimiter, quotechar=_QUOTES[quoting], strict=True)


def _next_row(reader: Iterator[list[str]], lines: Lines, source: TableSource) -> list[str] | None:
    """One row, an empty one for an empty line; None at the end."""
    lines.start_row()
    first_line = lines.number + 1
    try:
        return next(reader, None)
    except csv.Error as error:
        reached = f", reached line {lines.number}" if lines.number > first_line else ""
        raise source.error(
            f"{error}{reached}",
            f"rows in which every opened quote is closed and no field has more than {MAX_VALUE_CHARACTERS:,} "
            f'characters; where quotation marks are letters, set {source.parent}.quoting to "none"',
            f"line {first_line}",
        ) from error


def _delimiter_hint(header: Sequence[str], delimiter: str, source: TableSource) -> str:
    """A word on the delimiter, where the whole header is one column."""
    if len(header) != 1:
        return ""
    for other in _OTHER_DELIMITERS:
        if other != delimiter and other in header[0]:
            return f"; columns seem to be delimited by {other!r}: set {source.parent}.delimiter"
    return "; the first line names the columns"
