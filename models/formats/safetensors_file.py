"""Safetensors files from strangers: the header is bounded and parsed, then every tensor is read piece by piece.

Format (https://github.com/huggingface/safetensors): the length of the header in eight bytes, it as JSON, the tensors.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open

from models.checkpoints.header import (
    LENGTH_BYTES,
    MAX_HEADER_BYTES,
    MAX_NAME_LENGTH,
    header_length,
    unique_names,
)
from models.formats.content import NAMELESS, TensorEntry
from search.errors import InvalidInputError

_PIECE_BYTES = 4 << 20
_METADATA = "__metadata__"
_EXPECTED = (
    "a safetensors file; write one with safetensors.torch.save_file(model.state_dict(), path)"
)

# Those that networks have; the others of the format are no numbers of whole bytes.
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def check_header(path: Path, field: str) -> None:
    """Refuse a header that is longer than any network's before a library parses it.

    Raises:
        InvalidInputError: It is too long, or the file ends before it does.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = header_length(file)
    if size < LENGTH_BYTES + 2 or length > size - LENGTH_BYTES:
        raise InvalidInputError(
            field,
            f"{NAMELESS}: {size} bytes, of which the header alone would take {length}",
            f"{_EXPECTED}; was it cut off?",
        )
    if length > MAX_HEADER_BYTES:
        raise InvalidInputError(
            field, f"{NAMELESS}: a header of {length} bytes", f"at most {MAX_HEADER_BYTES}"
        )


def check_tensors(path: Path, field: str) -> tuple[TensorEntry, ...]:
    """Read a whole upload piece by piece, and give what is in it.

    Raises:
        InvalidInputError: Names what is wrong: a broken header, offsets outside of the file, not finite.
    """
    check_header(path, field)
    try:
        # The library checks types, and that shapes and offsets cover the file without gaps.
        with safe_open(path, framework="pt") as opened:
            opened.keys()
        with path.open("rb") as file:
            length = header_length(file)
            header: dict[str, dict[str, Any]] = json.loads(
                file.read(length), object_pairs_hook=unique_names
            )
            header.pop(_METADATA, None)
            for name, entry in header.items():
                _check_tensor(file, length, name, entry, field)
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(field, f"{NAMELESS}: {error}", _EXPECTED) from error
    if not header:
        raise InvalidInputError(field, "a safetensors file without tensors", "one at least")
    return tuple(
        TensorEntry(name, tuple(entry["shape"]), entry["dtype"]) for name, entry in header.items()
    )


def _check_tensor(
    file: BinaryIO, header_bytes: int, name: str, entry: dict[str, Any], field: str
) -> None:
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidInputError(
            field,
            f"a tensor's name of {len(name)} characters, {name[:50]!a}...",
            f"names of at most {MAX_NAME_LENGTH}",
        )
    dtype = _DTYPES.get(entry["dtype"])
    if dtype is None or "\x00" in name or any("\ud800" <= letter <= "\udfff" for letter in name):
        raise InvalidInputError(
            field,
            f"{name[:100]!a} of type {entry['dtype']}",
            f"tensors with plain names, of type {', '.join(_DTYPES)}",
        )
    begin, end = entry["data_offsets"]
    if not dtype.is_floating_point:
        return
    file.seek(LENGTH_BYTES + header_bytes + begin)
    left = end - begin
    while left:
        piece = bytearray(file.read(min(left, _PIECE_BYTES)))
        left -= len(piece)
        if not torch.isfinite(torch.frombuffer(piece, dtype=dtype)).all():
            raise InvalidInputError(field, f"{name} with NaN or infinite values", "finite weights")
