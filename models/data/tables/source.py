"""One file of rows and columns: where it lies, how it is spelled, and what may be wrong with any of them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from search.errors import DataError, InvalidInputError

Format = Literal["csv", "tsv", "jsonl", "parquet"]
Quoting = Literal["auto", "double", "single", "none"]
# Those that cost no more than they hold: decoders of escape sequences or compressed text are not among them.
Encoding = Literal[
    "utf-8",
    "utf-16",
    "utf-32",
    "ascii",
    "latin-1",
    "iso-8859-2",
    "iso-8859-15",
    "cp1250",
    "cp1251",
    "cp1252",
    "koi8-r",
    "big5",
    "gb18030",
    "shift_jis",
    "euc_jp",
    "euc_kr",
]

# Bounds that hold for every format, so that no file can take memory or time without end.
MAX_FILE_BYTES = 256 << 20
MAX_ROWS = 1_000_000
# Python's csv module has this limit too; of texts, tokens beyond the first few thousand are cut off anyway.
MAX_VALUE_CHARACTERS = 131_072
SHOWN_COLUMNS = 20

_FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


class Row(NamedTuple):
    """One row: its place in the file, as people find it, and the values of the columns asked for, in their order."""

    place: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class TableSource:
    """A file and how to read it.

    Attributes:
        path: The file, found and checked to lie where it may.
        field: Where it stood in the spec, for errors.
        format: How rows are written.
        encoding: Of the letters; parquet has its own.
        delimiter: Between columns; None for the usual one.
        quoting: What encloses fields that contain delimiters.
    """

    path: Path
    field: str
    format: Format
    encoding: Encoding = "utf-8"
    delimiter: str | None = None
    quoting: Quoting = "auto"

    @property
    def parent(self) -> str:
        """Where the data set that names the file stood in the spec."""
        return self.field.rpartition(".")[0]

    def error(self, given: str, expected: str, place: str = "") -> DataError:
        """Name the file and the place in it."""
        where = f"{self.path.name} {place}" if place else self.path.name
        return DataError(self.field, f"{where}: {given}", expected)

    def check_size(self) -> None:
        """Refuse a file that is empty, or larger than is ever read.

        Raises:
            DataError: Names both sizes.
        """
        size = self.path.stat().st_size
        if size == 0:
            raise self.error("an empty file", "a file with rows")
        if size > MAX_FILE_BYTES:
            raise self.error(
                f"{size:,} bytes", f"at most {MAX_FILE_BYTES:,}; the rows that are used, say"
            )

    def check_row_count(self, count: int) -> None:
        """Refuse more rows than are ever read."""
        if count > MAX_ROWS:
            raise self.error(f"more than {MAX_ROWS:,} rows", "fewer; the rows that are used, say")

    def positions(self, present: Sequence[str], wanted: Sequence[str], hint: str = "") -> list[int]:
        """Find columns by name.

        Args:
            present: Columns that the file has.
            wanted: Those that are needed.
            hint: What else may be wrong, for the error.

        Raises:
            DataError: One is missing, or there twice; names those that exist and the nearest.
        """
        for name in wanted:
            count = present.count(name)
            if count > 1:
                raise self.error(f"{count} columns named {name!r}", "one of that name")
            if count == 0:
                near = difflib.get_close_matches(name, present, n=1)
                nearest = f"; did you mean {near[0]!r}?" if near else ""
                raise self.error(
                    f"no column {name!r}", f"one of: {shown_names(present)}{nearest}{hint}"
                )
        return [present.index(name) for name in wanted]


def format_of(path: Path, field: str) -> Format:
    """Tell the format by the file's suffix.

    Raises:
        InvalidInputError: The suffix is of no known format.
    """
    found = _FORMATS.get(path.suffix.lower())
    if found is None:
        raise InvalidInputError(
            field,
            f"{path.name!r} without a known suffix",
            f"one of {', '.join(_FORMATS)}; or name the format beside it",
        )
    return found


def shown_names(names: Sequence[str]) -> str:
    """Some names for an error, short enough to be read."""
    some = ", ".join(
        repr(name if len(name) <= 50 else f"{name[:50]}...") for name in names[:SHOWN_COLUMNS]
    )
    left = len(names) - SHOWN_COLUMNS
    return f"{some} and {left} more" if left > 0 else some
