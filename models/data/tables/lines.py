"""Lines of a text file: decoded as they are read, counted, and bounded in length."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from models.data.tables.source import TableSource
from search.errors import DataError

MAX_LINE_CHARACTERS = 1 << 20
# A quoted field may run over many lines; the row that has it is bounded as well.
MAX_ROW_CHARACTERS = 8 << 20
_PIECE_BYTES = 1 << 16
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Lines:
    """Gives lines with their ends; ``number`` is that of the last one, from 1."""

    def __init__(self, file: TextIO, source: TableSource) -> None:
        """Bind an open file."""
        self._file, self._source = file, source
        self.number = 0
        self._row_characters = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            line = self._file.readline(MAX_LINE_CHARACTERS + 1)
        except UnicodeDecodeError as error:
            raise undecodable(self._source) from error
        if not line:
            raise StopIteration
        self.number += 1
        self._row_characters += len(line)
        if len(line) > MAX_LINE_CHARACTERS or self._row_characters > MAX_ROW_CHARACTERS:
            raise self._source.error(
                f"no end of the row within {self._row_characters - 1:,} characters",
                "a line for each row, and every quote closed",
                f"line {self.number}",
            )
        if "\0" in line:
            raise self._source.error(
                "a NUL byte",
                f"text in {self._source.encoding}; is it utf-16, or no text at all?",
                f"line {self.number}",
            )
        return line

    def start_row(self) -> None:
        """Say that what was read so far belongs to rows that are done."""
        self._row_characters = 0


@contextmanager
def open_lines(source: TableSource) -> Iterator[Lines]:
    """Open a file for its lines.

    Raises:
        DataError: While lines are read: the file is in another encoding, or has lines without end.
    """
    source.check_size()
    # The mark that some programs put before UTF-8 is no part of the first column's name.
    encoding = "utf-8-sig" if source.encoding == "utf-8" else source.encoding
    with source.path.open(encoding=encoding, newline="") as file:
        yield Lines(file, source)


def undecodable(source: TableSource) -> DataError:
    """Find the first byte that is not in the encoding, for the error that names it."""
    decoder = codecs.getincrementaldecoder(source.encoding)()
    line, position = 1, 0
    with source.path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        while True:
            piece = file.read(_PIECE_BYTES)
            position += len(piece)
            try:
                line += decoder.decode(piece, final=not piece).count("\n")
            except UnicodeDecodeError as error:
                # What the decoder looked at ends where the file was read to.
                offset = position - len(error.object) + error.start
                before = error.object[: error.start].decode(source.encoding, "ignore")
                line += before.count("\n")
                byte = error.object[error.start]
                break
            if not piece:
                return source.error("letters that cannot be read", f"text in {source.encoding}")
    mark = next((name for known, name in _MARKS.items() if start.startswith(known)), None)
    way_out = (
        f"the file begins as {mark} does: name it in {source.parent}.encoding"
        if mark
        else f"or its own encoding named in {source.parent}.encoding, latin-1 or cp1252 say"
    )
    return source.error(
        f"byte 0x{byte:02x} at byte {offset + 1:,} of the file",
        f"text in {source.encoding}; {way_out}",
        f"line {line}",
    )
