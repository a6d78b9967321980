"""Rows of jsonl files: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from models.data.tables.lines import open_lines
from models.data.tables.source import Row, TableSource


def json_rows(source: TableSource, columns: Sequence[str]) -> Iterator[Row]:
    """Read the keys asked for; a key that a later line lacks is null there.

    Raises:
        DataError: A line is no JSON object, or the first one lacks a key; names the line.
    """
    count = 0
    with open_lines(source) as lines:
        for line in lines:
            lines.start_row()
            place = f"line {lines.number}"
            if line.isspace():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise source.error(
                    f"no JSON ({_reason(error)})", "one JSON object in every line", place
                ) from error
            if not isinstance(value, dict):
                raise source.error(
                    f"a JSON {type(value).__name__}",
                    'a JSON object in every line, {"text": "...", "label": "..."} say',
                    place,
                )
            if count == 0:
                source.positions(list(value), columns)
            count += 1
            source.check_row_count(count)
            yield Row(place, tuple(value.get(name) for name in columns))


def _reason(error: Exception) -> str:
    """What is wrong with a line, and where in it: to its parser every line is the first."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos + 1}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    # Behind the semicolon: which function of Python would raise the limit.
    return str(error).partition(";")[0][:200]
