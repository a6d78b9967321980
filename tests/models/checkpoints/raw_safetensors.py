"""Safetensors files written byte by byte, so that they can be wrong."""

from __future__ import annotations

import json
import struct
from pathlib import Path

FLOAT = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'


def write_raw(path: Path, header: object, data: bytes = b"\0" * 4) -> Path:
    """Write a header, as JSON or as it is, and the bytes after it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def entry(dtype: str = "F32", shape: tuple[int, ...] = (1,), end: int = 4) -> dict[str, object]:
    """One tensor of a header, its bytes from 0 on."""
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [0, end]}
