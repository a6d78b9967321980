"""Files that are not what they claim to be: what each is, and what its refusal must say."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from typing import Any

import numpy as np
import torch
from numpy.lib import format as npy_format
from safetensors.torch import save

WEIGHTS = {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}
X, Y = np.arange(8, dtype=np.float32).reshape(4, 2), np.arange(4) % 2


def safetensors_of(header: Any, data: bytes = b"") -> bytes:
    """A file with any header."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: str = "F32", shape: tuple[int, ...] = (1,), end: int = 4) -> dict[str, Any]:
    """One tensor of a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}


def _twice() -> bytes:
    """Two tensors of one name; the safetensors library would take the last."""
    tensor = json.dumps(entry())
    text = f'{{"w": {tensor}, "w": {tensor}}}'.encode()
    return struct.pack("<Q", len(text)) + text + bytes(4)


def npz_of(*members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive with any members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def npy(array: Any, shape: tuple[int, ...] | None = None) -> bytes:
    """One array as a member, its header about another shape if asked for."""
    buffer = io.BytesIO()
    header = npy_format.header_data_from_array_1_0(array)
    npy_format.write_array_header_1_0(buffer, header | {"shape": shape or array.shape})
    buffer.write(array.tobytes())
    return buffer.getvalue()


def npz(**arrays: Any) -> bytes:
    """An archive as numpy writes it."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _many_members() -> bytes:
    """Members enough for a list that is longer than what is read at once."""
    return npz_of(*((f"{'a' * 190}{number}.npy", b"") for number in range(5000)))


def _torch_file() -> bytes:
    buffer = io.BytesIO()
    torch.save(WEIGHTS, buffer)
    return buffer.getvalue()


def _patched(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new)


NAN = torch.tensor([1.0, torch.nan])
TOO_LONG = struct.pack("<Q", 90_000_000) + b"{" + b" " * 100

HOSTILE: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "0 bytes"),
    "text": (b'{"weights": [1, 2, 3]}', "begins with"),
    "one npy array": (npy(X), "single npy array"),
    "pickle": (pickle.dumps({"w": [1.0]}), "pickle.*transfermask convert"),
    "torch checkpoint": (_torch_file(), r"\.pth.*transfermask convert"),
    "gzip": (b"\x1f\x8b" + bytes(50), "gzip"),
    "truncated tensors": (save(WEIGHTS)[:-4], "safetensors"),
    "truncated header": (save(WEIGHTS)[:20], "cut off"),
    "header beyond the file": (TOO_LONG, "cut off"),
    "header of 17 MiB": (
        struct.pack("<Q", 17 << 20) + b"{" + b" " * (17 << 20),
        "a header of 17825792 bytes given, expected at most 16777216",
    ),
    "header that is no JSON": (struct.pack("<Q", 8) + b"{{{{{{{{" + bytes(4), "safetensors"),
    "deeply nested header": (
        struct.pack("<Q", 100_001) + b"{" + b"[" * 100_000 + bytes(4),
        "safetensors",
    ),
    "offsets outside": (safetensors_of({"w": entry(end=4000)}, bytes(4)), "safetensors"),
    "offsets that overlap": (safetensors_of({"a": entry(), "b": entry()}, bytes(4)), "safetensors"),
    "shape that overflows": (
        safetensors_of({"w": entry(shape=(2**62, 2**62), end=4)}, bytes(4)),
        "safetensors",
    ),
    "shape of other bytes": (safetensors_of({"w": entry(shape=(3,))}, bytes(4)), "safetensors"),
    "unknown type": (safetensors_of({"w": entry("F8_E4M3", (4,))}, bytes(4)), "of type F8_E4M3"),
    "no tensors": (safetensors_of({}), "without tensors"),
    "NUL in a name": (safetensors_of({"a\x00b": entry()}, bytes(4)), "plain names"),
    "a name twice": (_twice(), "w stands twice"),
    "an endless name": (safetensors_of({"w" * 1001: entry()}, bytes(4)), "name of 1001 characters"),
    "NaN weights": (save({"w": NAN}), "w with NaN"),
    "infinite bfloat16 weights": (save({"w": NAN.nan_to_num(torch.inf).bfloat16()}), "w with NaN"),
    "truncated npz": (npz(x=X, y=Y)[:-40], "npz"),
    "npz with a wrong checksum": (_patched(npz(x=X), X.tobytes(), X[::-1].tobytes()), "CRC"),
    "npz without arrays": (npz_of(), "without arrays"),
    "objects": (npz(x=np.array([{}], dtype=object)), "pickled objects"),
    "text array": (npz(x=np.array(["a"])), "numbers or booleans"),
    "infinite array": (npz(x=np.array([np.inf])), "x with NaN or infinity"),
    "absolute name": (npz_of(("/etc/x.npy", npy(X))), "plain names"),
    "name that climbs": (npz_of(("../x.npy", npy(X))), "plain names"),
    "member that is no array": (npz_of(("readme.npy", b"hello" * 40)), "npz"),
    "announced terabyte": (
        npz_of(("x.npy", npy(X, (2**38, 1)))),
        "bytes that its header announces",
    ),
    "negative shape": (npz_of(("x.npy", npy(X, (-4, 2)))), "announces|npz"),
    "bomb": (npz_of(("x.npy", npy(np.zeros(3_000_000)))), "24000000 bytes when unpacked"),
    "packed by lzma": (npz_of(("x.npy", npy(X)), method=zipfile.ZIP_LZMA), "packed by method 14"),
    "a long list of members": (_many_members(), "at most 1048576 are read"),
    "1001 members": (
        npz_of(*((f"x{number}.npy", npy(Y[:1])) for number in range(1001))),
        "at most 1000",
    ),
}
