"""Tests of parquet files, honest and forged."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.data.tables import parquet
from models.data.tables.rows import table_rows
from models.data.tables.source import TableSource
from search.errors import DataError, InvalidInputError

COLUMNS = ("text", "label")


def written(folder: Path, columns: dict[str, Any], **options: Any) -> TableSource:
    pq.write_table(pa.table(columns), folder / "data.parquet", **options)
    return TableSource(folder / "data.parquet", "dataset.path", "parquet")


def test_columns_of_several_row_groups_are_read_in_order(tmp_path: Path) -> None:
    columns = {"label": pa.array([1, 2, None] * 1000), "text": [f"é{row}" for row in range(3000)]}
    found = list(table_rows(written(tmp_path, columns, row_group_size=700), COLUMNS))
    assert found[:3] == [("row 1", ("é0", 1)), ("row 2", ("é1", 2)), ("row 3", ("é2", None))]
    assert found[-1] == ("row 3000", ("é2999", None))
    assert len(found) == 3000


def test_categories_and_booleans_are_read_as_values(tmp_path: Path) -> None:
    labels = pa.array(["a", "b", "a"]).dictionary_encode()
    source = written(
        tmp_path, {"text": pa.array(["x", "y", "z"], pa.large_string()), "label": labels}
    )
    assert [row.values for row in table_rows(source, COLUMNS)] == [
        ("x", "a"),
        ("y", "b"),
        ("z", "a"),
    ]
    source = written(tmp_path, {"text": ["x"], "label": [True]})
    assert [row.values for row in table_rows(source, COLUMNS)] == [("x", True)]


def test_a_column_that_is_missing_or_of_another_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match="no column 'label' given, expected one of: 'text', 'labels'"
    ):
        list(table_rows(written(tmp_path, {"text": ["a"], "labels": [1]}), COLUMNS))
    with pytest.raises(DataError, match="column 'label' of type double"):
        list(table_rows(written(tmp_path, {"text": ["a"], "label": [1.0]}), COLUMNS))
    with pytest.raises(DataError, match="column 'text' of type list"):
        list(table_rows(written(tmp_path, {"text": [["a"]], "label": [1]}), COLUMNS))


def test_text_that_is_too_large_when_unpacked_is_refused_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [str(row) + "a" * 100_000 for row in range(60)]
    source = written(tmp_path, {"text": texts, "label": [1] * 60}, compression="zstd")
    assert source.path.stat().st_size < 100_000
    monkeypatch.setattr(parquet, "MAX_FILE_BYTES", 1_000_000)
    with pytest.raises(DataError, match=r"data.parquet: 6,\d+,\d+ bytes when unpacked"):
        next(table_rows(source, COLUMNS))


def test_a_long_text_that_every_row_repeats_is_held_once_and_refused(tmp_path: Path) -> None:
    # As rows of their own these would be 100 GB.
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), ["a" * (5 << 20)])
    source = written(
        tmp_path,
        {"text": texts, "label": [1] * 20_000},
        compression="zstd",
        dictionary_pagesize_limit=64 << 20,
    )
    usual, pool = pa.default_memory_pool(), pa.proxy_memory_pool(pa.default_memory_pool())
    pa.set_memory_pool(pool)
    try:
        with pytest.raises(DataError, match="row 1: 5,242,880 bytes in column 'text'"):
            next(table_rows(source, COLUMNS))
    finally:
        pa.set_memory_pool(usual)
    assert 1 << 20 < pool.max_memory() < 100 << 20


def test_short_texts_that_are_too_many_together_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 5000, pa.int32()), ["a" * 1000])
    source = written(tmp_path, {"text": texts, "label": [1] * 5000})
    monkeypatch.setattr(parquet, "MAX_FILE_BYTES", 1_000_000)
    with pytest.raises(DataError, match="row 1001: more than 1,000,000 bytes of text"):
        list(table_rows(source, COLUMNS))


@pytest.mark.parametrize("part", [slice(0, 40), slice(0, -9), slice(60, None)])
def test_a_broken_file_is_refused(tmp_path: Path, part: slice) -> None:
    source = written(tmp_path, {"text": ["a"] * 50, "label": [1] * 50})
    source.path.write_bytes(source.path.read_bytes()[part])
    with pytest.raises(DataError, match=r"^dataset\.path: data\.parquet: "):
        list(table_rows(source, COLUMNS))


def test_without_pyarrow_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = written(tmp_path, {"text": ["a"], "label": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InvalidInputError, match=r"pip install 'transfermask\[parquet\]'"):
        next(table_rows(source, COLUMNS))
