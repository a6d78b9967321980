"""What a safetensors file says of its tensors; nothing of a tensor is read.

Format: 8 bytes little-endian with the length of a JSON header, the header, the tensors
(https://github.com/huggingface/safetensors#format).  The library checks shapes, types and offsets against the file;
what it lets pass is refused here: names that stand twice, of which it takes the last, and headers that are giant.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError, safe_open

from models.formats.signatures import known_by_start
from search.errors import InvalidInputError

# A tensor takes about 100 bytes: room for 160,000 of them.  The library's own limit, 100 MB, would let a parsed header
# take gigabytes.
MAX_HEADER_BYTES = 16 * 1024 * 1024
MAX_NAME_LENGTH = 1000
LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """One tensor: ``dtype`` as the format spells it, ``"F32"`` say."""

    shape: tuple[int, ...]
    dtype: str


def read_headers(path: Path, field: str) -> dict[str, TensorHeader]:
    """Every tensor of a file.

    Args:
        path: The file.
        field: Where its path stood in the spec, for errors.

    Raises:
        InvalidInputError: It is no safetensors file, or its header is too large, or names a tensor twice.
    """
    try:
        _check_length(path, field)
        with safe_open(path, framework="pt") as file:
            headers = {name: _header(file.get_slice(name)) for name in file.keys()}  # noqa: SIM118
        _check_names(path, field)
    except (SafetensorError, OSError) as error:
        raise unreadable(path, field, error) from error
    if any(len(name) > MAX_NAME_LENGTH for name in headers):
        raise unreadable(path, field, f"a tensor has a name of over {MAX_NAME_LENGTH} characters")
    return headers


def unreadable(path: Path, field: str, error: object) -> InvalidInputError:
    """The error for a file that is no safetensors file."""
    return InvalidInputError(
        field,
        f"{path.name}: {error}",
        "a safetensors file; write one with safetensors.torch.save_file(model.state_dict(), path), or with "
        "`transfermask convert` from a .pth file",
    )


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For ``json``'s ``object_pairs_hook``: an object whose keys are all different.

    Raises:
        ValueError: A key stands twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"{twice[:MAX_NAME_LENGTH]} stands twice")
    return found


def header_length(file: BinaryIO) -> int:
    """Bytes that the header claims to take, from the beginning of a file; the header comes next."""
    return int.from_bytes(file.read(LENGTH_BYTES), "little")


def _check_length(path: Path, field: str) -> None:
    """Refuse a giant header before anything of it is read."""
    with path.open("rb") as file:
        length = header_length(file)
    if length > MAX_HEADER_BYTES:
        # The first bytes of a pickle or of a zip archive make such a number too.
        cause = f"its header claims {length:,} bytes; at most {MAX_HEADER_BYTES:,} are read"
        raise unreadable(path, field, known_by_start(path) or cause)


def _check_names(path: Path, field: str) -> None:
    """Refuse a name that stands twice in a header that the library has found to be well-formed."""
    with path.open("rb") as file:
        text = file.read(header_length(file))
    try:
        json.loads(text, object_pairs_hook=unique_names)
    except ValueError as error:
        raise unreadable(path, field, f"its header cannot be trusted: {error}") from error


def _header(view: Any) -> TensorHeader:
    return TensorHeader(tuple(view.get_shape()), str(view.get_dtype()))
