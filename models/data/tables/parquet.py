"""Rows of parquet files, column by column, with pyarrow: the optional extra ``parquet``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from models.data.tables.source import MAX_FILE_BYTES, MAX_VALUE_CHARACTERS, Row, TableSource
from search.errors import InvalidInputError

BATCH_ROWS = 1024
# Of what describes the file: no table of texts comes near, and a forged one is refused before it is believed.
MAX_DESCRIPTION_BYTES = 16 << 20
# Four bytes are the most that a character takes.
MAX_VALUE_BYTES = 4 * MAX_VALUE_CHARACTERS


def parquet_rows(source: TableSource, columns: Sequence[str]) -> Iterator[Row]:
    """Read the columns asked for, and no others.

    Raises:
        InvalidInputError: pyarrow is not installed; names the extra.
        DataError: The file is broken, a column is missing or of a type that is neither text, integer nor boolean.
    """
    source.check_size()
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise InvalidInputError(
            source.field,
            f"{source.path.name}, and pyarrow is not installed",
            "the extra parquet, pip install 'transfermask[parquet]'; or a csv or jsonl file",
        ) from error
    try:
        with pq.ParquetFile(
            source.path,
            thrift_string_size_limit=MAX_DESCRIPTION_BYTES,
            thrift_container_size_limit=MAX_DESCRIPTION_BYTES,
        ) as file:
            texts = _check(source, file, columns, pa)
        # As dictionaries: a text that stands in many rows is held once, however often a forged file repeats it.
        with pq.ParquetFile(source.path, read_dictionary=texts) as file:
            yield from _rows(source, file, columns)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise source.error(str(error)[:300], "a parquet file that pyarrow can read") from error


def _check(source: TableSource, file: Any, columns: Sequence[str], pa: Any) -> list[str]:
    """Refuse what cannot be read in bounded memory; gives the columns that hold text."""
    schema, description = file.schema_arrow, file.metadata
    positions = source.positions(schema.names, columns)
    source.check_row_count(description.num_rows)
    texts = []
    for name, position in zip(columns, positions, strict=True):
        kind = schema.types[position]
        inner = kind.value_type if pa.types.is_dictionary(kind) else kind
        is_text = pa.types.is_string(inner) or pa.types.is_large_string(inner)
        if not (is_text or pa.types.is_integer(inner) or pa.types.is_boolean(inner)):
            raise source.error(
                f"column {name!r} of type {kind}", "text; for labels and groups also integers"
            )
        if is_text:
            texts.append(name)
    wanted = set(columns)
    size = sum(
        chunk.total_uncompressed_size
        for group in range(description.num_row_groups)
        for chunk in map(description.row_group(group).column, range(description.num_columns))
        if chunk.path_in_schema in wanted
    )
    if size > MAX_FILE_BYTES:
        raise source.error(f"{size:,} bytes when unpacked", f"at most {MAX_FILE_BYTES:,}")
    return texts


def _rows(source: TableSource, file: Any, columns: Sequence[str]) -> Iterator[Row]:
    count, size = 0, 0
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns)):
        readable = [batch.column(name) for name in columns]
        for number in range(batch.num_rows):
            count += 1
            place = f"row {count}"
            source.check_row_count(count)
            values = []
            for array, name in zip(readable, columns, strict=True):
                value = array[number]
                size += _bytes_of(value, name, source, place)
                values.append(value.as_py())
            if size > MAX_FILE_BYTES:
                raise source.error(
                    f"more than {MAX_FILE_BYTES:,} bytes of text", "less text", place
                )
            yield Row(place, tuple(values))


def _bytes_of(value: Any, name: str, source: TableSource, place: str) -> int:
    """Length of a text, before it is made a string."""
    inner = value.value if hasattr(value, "dictionary") else value
    buffer = inner.as_buffer() if hasattr(inner, "as_buffer") else None
    length = 0 if buffer is None else int(buffer.size)
    if length > MAX_VALUE_BYTES:
        raise source.error(
            f"{length:,} bytes in column {name!r}", f"at most {MAX_VALUE_BYTES:,}", place
        )
    return length
