"""Rows of a table as labelled texts: every value checked, every error with its row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from models.data.class_names import class_name
from models.data.tables.rows import table_rows
from models.data.tables.source import MAX_VALUE_CHARACTERS, TableSource

MAX_CLASSES = 10_000
SEPARATOR = "\n"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns mean what; several of text are joined by line breaks."""

    text: tuple[str, ...]
    label: str
    group: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of all columns that are read."""
        return (*self.text, self.label, *(() if self.group is None else (self.group,)))


class LabelledRow(NamedTuple):
    """One sample; ``group`` is empty where there are no groups."""

    place: str
    text: str
    label: str
    group: str


def labelled_rows(
    source: TableSource, columns: Sequence[str], n_texts: int
) -> Iterator[LabelledRow]:
    """Read samples row by row.

    Args:
        source: The file.
        columns: Those of text, then the label's, then the group's if there is one.
        n_texts: How many of them are text.

    Raises:
        InvalidInputError: A value is missing or not usable; names the file and the row.
    """
    for place, values in table_rows(source, columns):
        texts = [
            _text(value, name, source, place)
            for value, name in zip(values, columns[:n_texts], strict=False)
        ]
        text = SEPARATOR.join(texts)
        if not text.strip():
            raise source.error("no text", "text in every row; leave rows without out", place)
        try:
            label = class_name(values[n_texts])
        except ValueError as error:
            raise source.error(
                str(error),
                f"a word or an integer in column {columns[n_texts]!r} of every row; leave rows without out",
                place,
            ) from error
        group = _group(values[-1], columns[-1], source, place) if len(values) > n_texts + 1 else ""
        yield LabelledRow(place, text, label, group)


@dataclass(slots=True)
class LabelCounts:
    """How often each class occurs in one file, and where it occurred first."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    n_rows: int = 0


def count_labels(source: TableSource, columns: Columns) -> LabelCounts:
    """Read a file once, row by row, and check every row of it.

    Raises:
        InvalidInputError: A row is not usable, there is none, or there are too many classes.
    """
    found = LabelCounts()
    for row in labelled_rows(source, columns.names, len(columns.text)):
        found.n_rows += 1
        found.counts[row.label] += 1
        if found.counts[row.label] == 1:
            found.first[row.label] = row.place
            if len(found.counts) > MAX_CLASSES:
                raise source.error(
                    f"more than {MAX_CLASSES} classes in column {columns.label!r}",
                    "fewer; is it the column of labels?",
                    row.place,
                )
    if found.n_rows == 0:
        raise source.error("no rows", "at least one below the names of the columns")
    return found


def _text(value: object, name: str, source: TableSource, place: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise source.error(
            f"{str(value)[:100]!r} in column {name!r}, of type {type(value).__name__}",
            "text",
            place,
        )
    if len(value) > MAX_VALUE_CHARACTERS:
        raise source.error(
            f"{len(value):,} characters in column {name!r}",
            f"at most {MAX_VALUE_CHARACTERS:,}",
            place,
        )
    # JSON can spell both; no encoding has the second, and tokenizers refuse it.
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in _beyond_latin(value)):
        raise source.error(
            f"a NUL or half a surrogate pair in column {name!r}", "whole letters", place
        )
    return value


def _beyond_latin(text: str) -> str:
    """The text, or nothing of it where it is plain ASCII, which is quickly told."""
    return "" if text.isascii() else text


def _group(value: object, name: str, source: TableSource, place: str) -> str:
    if not isinstance(value, str | int) or not str(value).strip():
        given = "no group" if value is None or value == "" else f"the group {str(value)[:100]!r}"
        raise source.error(given, f"a word or an integer in column {name!r} of every row", place)
    return str(value).strip()
