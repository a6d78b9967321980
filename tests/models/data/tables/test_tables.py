"""Tests of reading tables: what is read, and what is refused with its file and place."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from models.data.tables import lines
from models.data.tables import source as limits
from models.data.tables.rows import table_rows
from models.data.tables.source import Row, TableSource, format_of
from search.errors import DataError, InvalidInputError

COLUMNS = ("text", "label")


def table(
    folder: Path, content: bytes | str, name: str = "data.csv", **options: Any
) -> TableSource:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return TableSource(
        path,
        "dataset.path",
        options.pop("format", None) or format_of(path, "dataset.path"),
        **options,
    )


def rows(source: TableSource) -> list[Row]:
    return list(table_rows(source, COLUMNS))


def test_columns_are_found_by_name_and_rows_by_line(tmp_path: Path) -> None:
    content = 'label, text ,id\npos,"a, ""b""\nc",1\n\nneg,d,2\r\n'
    assert rows(table(tmp_path, content)) == [
        ("line 2", ('a, "b"\nc', "pos")),
        ("line 5", ("d", "neg")),
    ]


def test_a_mark_before_utf8_is_no_part_of_a_column(tmp_path: Path) -> None:
    assert rows(table(tmp_path, b"\xef\xbb\xbftext,label\na,b\n")) == [("line 2", ("a", "b"))]


def test_other_encodings_are_read_where_they_are_named(tmp_path: Path) -> None:
    content = "text,label\nCafé,ü\n"
    for encoding in ("latin-1", "utf-16"):
        source = table(tmp_path, content.encode(encoding), encoding=encoding)
        assert rows(source) == [("line 2", ("Café", "ü"))]


def test_in_tsv_quotation_marks_are_letters(tmp_path: Path) -> None:
    content = 'text\tlabel\n"Hi" he said\t1\n"never closed\t0\n'
    assert rows(table(tmp_path, content, "data.tsv")) == [
        ("line 2", ('"Hi" he said', "1")),
        ("line 3", ('"never closed', "0")),
    ]


def test_json_lines_keep_their_types_and_null_what_lacks(tmp_path: Path) -> None:
    content = '{"text": "a", "label": 1, "more": [1]}\n\n{"text": "b"}\n'
    assert rows(table(tmp_path, content, "data.jsonl")) == [
        ("line 1", ("a", 1)),
        ("line 3", ("b", None)),
    ]


REFUSED: dict[str, tuple[str, bytes | str, dict[str, Any], str]] = {
    "empty": ("data.csv", "", {}, "data.csv: an empty file"),
    "empty line": ("data.csv", "\n\n", {}, "no column 'text'"),
    "near column": (
        "data.csv",
        "texts,label\na,b\n",
        {},
        "no column 'text' given, expected one of: 'texts', 'label'; did you mean 'texts'?",
    ),
    "twice": ("data.csv", "text,label,text\na,b,c\n", {}, "2 columns named 'text'"),
    "semicolons": ("data.csv", "text;label\na;b\n", {}, "delimited by ';': set dataset.delimiter"),
    "ragged": (
        "data.csv",
        "text,label\na,b\na,b,c\n",
        {},
        "data.csv line 3: 3 fields given, expected 2",
    ),
    "open quote": (
        "data.csv",
        'text,label\na,b\n"c,d\ne,f\n',
        {},
        'data.csv line 3: unexpected end of data, reached line 4 .*set dataset.quoting to "none"',
    ),
    "stray quote": ("data.csv", 'text,label\n"a" b,c\n', {}, "data.csv line 2: ',' expected after"),
    "swallowed": (
        "data.csv",
        'text,label\n"' + "a,b\n" * 40_000,
        {},
        "data.csv line 2: field larger than field limit",
    ),
    "one line": (
        "data.csv",
        "text," * 300_000,
        {},
        "line 1: no end of the row within 1,048,576 characters",
    ),
    "many columns": ("data.csv", "a," * 20_000 + "\n", {}, "20001 columns given, expected at most"),
    "NUL": ("data.csv", "text,label\na\0,b\n", {}, "data.csv line 2: a NUL byte"),
    "latin-1": (
        "data.csv",
        "text,label\nok,a\nCafé,b\n".encode("latin-1"),
        {},
        "data.csv line 3: byte 0xe9 at byte 20 of the file given, expected text in utf-8; or its own encoding named "
        "in dataset.encoding",
    ),
    "utf-16": ("data.csv", "text,label\n".encode("utf-16"), {}, "begins as utf-16 does: name it"),
    "far byte": (
        "data.csv",
        b"text,label\n" + b"a,b\n" * 50_000 + b"\xff\n",
        {},
        "data.csv line 50002: byte 0xff at byte 200,012 of the file",
    ),
    "not ascii": ("data.csv", "text,label\né,b\n", {"encoding": "ascii"}, "line 2: byte 0xc3"),
    "cut utf-8": ("data.csv", b"text,label\na,\xc3", {}, "line 2: byte 0xc3 at byte 14"),
    "no JSON": (
        "data.jsonl",
        '{"text": "a", "label": 1}\n{"text"\n',
        {},
        r"data.jsonl line 2: no JSON \(Expecting ':' delimiter at character 9\)",
    ),
    "nested": ("data.jsonl", "[" * 100_000 + "\n", {}, r"line 1: no JSON \(nested too deeply\)"),
    "long number": ("data.jsonl", "1" * 10_000 + "\n", {}, "line 1: no JSON .Exceeds the limit"),
    "a list": ("data.jsonl", "[1, 2]\n", {}, "data.jsonl line 1: a JSON list"),
    "near key": ("data.jsonl", '{"Text": 1, "label": 2}\n', {}, "did you mean 'Text'?"),
    "no parquet": ("data.parquet", "text,label\na,b\n", {}, "data.parquet: .*parquet file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path: Path, case: str) -> None:
    name, content, options, expected = REFUSED[case]
    with pytest.raises(DataError, match=rf"^dataset\.path: .*{expected}"):
        rows(table(tmp_path, content, name, **options))


def test_a_suffix_that_says_nothing_is_refused_with_those_that_do() -> None:
    with pytest.raises(InvalidInputError, match=r"'data\.xlsx' .*\.csv, \.tsv"):
        format_of(Path("data.xlsx"), "dataset.path")


@pytest.mark.parametrize("name", ["data.csv", "data.jsonl", "data.parquet"])
def test_a_gigabyte_is_refused_before_it_is_read(tmp_path: Path, name: str) -> None:
    source = table(tmp_path, "text\n", name)
    with source.path.open("r+b") as file:
        file.truncate(1 << 30)
    start = time.process_time()
    with pytest.raises(DataError, match="1,073,741,824 bytes given, expected at most 268,435,456"):
        rows(source)
    # Seconds, or minutes, if it were read; pyarrow alone takes one to load.
    assert time.process_time() - start < 0.5


def test_many_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_ROWS", 3)
    with pytest.raises(DataError, match="more than 3 rows"):
        rows(table(tmp_path, "text,label\n" + "a,b\n" * 4))
    with pytest.raises(DataError, match="more than 3 rows"):
        rows(table(tmp_path, '{"text": "a", "label": 1}\n' * 4, "data.jsonl"))


def test_a_row_over_many_lines_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_ROW_CHARACTERS", 100)
    fine = "text,label\n" + '"a\nb",c\n' * 50
    assert len(rows(table(tmp_path, fine))) == 50
    with pytest.raises(DataError, match="line 11: no end of the row within 1"):
        rows(table(tmp_path, 'text,label\n"' + "a b c d e\n" * 50 + '",b\n'))
