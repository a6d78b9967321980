"""Archives of arrays as ``numpy.savez`` writes them, whoever wrote them.

A zip archive can announce more members than memory holds, inflate a megabyte to a terabyte, or carry pickles.  Here the
list of members is bounded before it is read, what a member announces is compared with what its own header says, and
no object is ever made of it.
"""

from __future__ import annotations

import io
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy_format

from models.formats.content import NAMELESS, TensorEntry
from models.formats.signatures import ARCHIVE, known_by_start
from search.errors import InvalidInputError

# What broken, encrypted or exotically compressed archives raise.
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    LZMAError,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    MemoryError,
    OverflowError,
)
MAX_ARRAYS = 1000
# The list of members is read at once; a plain one takes about 100 bytes for each.
MAX_READ_BYTES = 1 << 20
# numpy writes 128 bytes and refuses to parse more than 10,000.
MAX_HEADER_BYTES = 16_384
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}\.npy")
_NUMBERS = "fiub"


class ArrayHeader(NamedTuple):
    """What the header of one array says.

    ``n_bytes`` are those of the numbers themselves, unpacked; ``offset`` is where they begin in the unpacked member.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    n_bytes: int
    offset: int


def read_array_headers(path: Path, field: str, called: str = "") -> dict[str, ArrayHeader]:
    """Shape and type of every array in a file, without reading any.

    Args:
        path: The file.
        field: Where it came from, for errors.
        called: What errors call it; its own name if empty.

    Raises:
        InvalidInputError: It is no npz file, it holds pickled objects, or it is not what it announces.
    """
    with _opened(path, field, called) as archive:
        members = archive.infolist()
        if len(members) > MAX_ARRAYS:
            raise InvalidInputError(field, f"{len(members)} arrays", f"at most {MAX_ARRAYS}")
        headers: dict[str, ArrayHeader] = {}
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in headers:
                raise InvalidInputError(field, f"{name!a} twice", "every array once")
            headers[name] = _read_header(archive, member, field)
    return headers


def check_arrays(path: Path, field: str, max_bytes: int) -> tuple[TensorEntry, ...]:
    """Read a whole upload piece by piece, and give what is in it.

    Args:
        path: The file, whatever it is called.
        field: Where it came from, for errors.
        max_bytes: Of all arrays together, unpacked.

    Raises:
        InvalidInputError: Names what is wrong: broken, not finite, not numbers, too large when unpacked.
    """
    headers = read_array_headers(path, field, NAMELESS)
    if not headers:
        raise InvalidInputError(field, "an npz file without arrays", "one array at least")
    total = sum(header.n_bytes for header in headers.values())
    if total > max_bytes:
        raise InvalidInputError(
            field, f"{total} bytes when unpacked", f"at most {max_bytes}, all arrays together"
        )
    with _opened(path, field, NAMELESS) as archive:
        for name, header in headers.items():
            _check_numbers(archive, name, header, field)
    return tuple(TensorEntry(name, h.shape, h.dtype.name) for name, h in headers.items())


class _BoundedReads(io.BufferedReader):
    """A file that refuses to be read in large pieces: ``zipfile`` reads the list of members in one."""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = os.fstat(self.fileno()).st_size - self.tell()
        if size is not None and size >= 0:
            wanted = size
        if wanted > MAX_READ_BYTES:
            raise zipfile.BadZipFile(
                f"a list of members of {wanted} bytes; at most {MAX_READ_BYTES} are read"
            )
        return super().read(size)


@contextmanager
def _opened(path: Path, field: str, called: str) -> Iterator[zipfile.ZipFile]:
    """Open an archive; whatever goes wrong with it in the block is told as one error."""
    try:
        with (
            _BoundedReads(io.FileIO(path)) as file,
            zipfile.ZipFile(file) as archive,
        ):
            yield archive
    except InvalidInputError:
        raise
    except UNREADABLE as error:
        # What cannot be opened at all cannot be looked into either.
        kind = None if isinstance(error, OSError) else known_by_start(path)
        cause = error if kind in (None, ARCHIVE) else kind
        raise InvalidInputError(
            field,
            f"{called or path.name}: {cause}",
            "an npz file as numpy.savez(path, x=x, y=y) writes it",
        ) from error


def _read_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, field: str) -> ArrayHeader:
    if not _PLAIN_NAME.fullmatch(member.filename):
        raise InvalidInputError(
            field,
            f"a member called {member.filename[:100]!a}",
            "plain names as numpy.savez writes them, x.npy say",
        )
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidInputError(
            field,
            f"{member.filename} packed by method {member.compress_type}",
            "numpy.savez or numpy.savez_compressed",
        )
    with archive.open(member) as file:
        start = io.BytesIO(file.read(MAX_HEADER_BYTES))
    version = npy_format.read_magic(start)
    read = (
        npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    )
    shape, _, dtype = read(start)
    name = member.filename.removesuffix(".npy")
    if dtype.hasobject:
        raise InvalidInputError(
            field,
            f"{name} with pickled objects",
            "plain numbers; convert it, x.astype('float32') say, and save again",
        )
    n_bytes = prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or n_bytes + start.tell() != member.file_size:
        raise InvalidInputError(
            field,
            f"{name} of shape {shape} and type {dtype} in {member.file_size} bytes",
            f"the {n_bytes + start.tell()} bytes that its header announces",
        )
    return ArrayHeader(shape, dtype, n_bytes, start.tell())


def _check_numbers(archive: zipfile.ZipFile, name: str, header: ArrayHeader, field: str) -> None:
    """Read one array to its end, which compares its checksum too."""
    dtype = header.dtype
    if dtype.kind not in _NUMBERS:
        raise InvalidInputError(field, f"{name} of type {dtype}", "numbers or booleans")
    piece_bytes = MAX_READ_BYTES // dtype.itemsize * dtype.itemsize
    with archive.open(f"{name}.npy") as file:
        file.read(header.offset)
        done = 0
        while piece := file.read(piece_bytes):
            done += len(piece)
            if dtype.kind == "f" and not np.isfinite(np.frombuffer(piece, dtype)).all():
                raise InvalidInputError(field, f"{name} with NaN or infinity", "finite numbers")
    if done != header.n_bytes:
        raise InvalidInputError(
            field, f"{name} with {done} bytes", f"the {header.n_bytes} that its header announces"
        )
