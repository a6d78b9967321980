"""Telling what a file is by what it begins with, and checking the two kinds that are taken."""

from __future__ import annotations

from pathlib import Path

from models.formats.content import CheckedFile
from models.formats.npz import check_arrays
from models.formats.safetensors_file import check_tensors
from search.errors import InvalidInputError

ACCEPTED = (
    "weights as safetensors (safetensors.torch.save_file(model.state_dict(), path)) "
    "or arrays as npz (numpy.savez(path, x=x, y=y))"
)
_CONVERT = (
    f"{ACCEPTED}; `transfermask convert` makes safetensors of a .pth, on the machine that trusts it"
)
_ZIP = b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
# Of the header before a member's name; the name's length stands in it, at 26.
_MEMBER_HEADER_BYTES = 30
_PICKLE_PROTOCOLS = range(2, 6)
# What people send by mistake, by its first bytes.
_OTHERS = (
    (b"\x93NUMPY", "a single npy array"),
    (b"\x89HDF", "an HDF5 file (Keras, MATLAB)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"PAR1", "a parquet file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"version https://git-lfs", "a pointer of Git LFS instead of the file itself"),
)


def check_file(path: Path, field: str, max_bytes: int) -> CheckedFile:
    """Read a whole file in bounded memory.

    Args:
        path: The file, whatever it is called.
        field: Where it came from, for errors.
        max_bytes: Of its arrays, unpacked.

    Raises:
        InvalidInputError: It is of another kind, or broken; says what came and what is taken.
    """
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        raise InvalidInputError(field, "0 bytes", ACCEPTED)
    if start.startswith((_ZIP, _EMPTY_ZIP)):
        if _is_torch_archive(path):
            raise InvalidInputError(
                field, "a PyTorch checkpoint (.pth), which is a pickle", _CONVERT
            )
        return CheckedFile("npz", check_arrays(path, field, max_bytes))
    if start[0] == 0x80 and len(start) > 1 and start[1] in _PICKLE_PROTOCOLS:
        raise InvalidInputError(field, "a pickle", _CONVERT)
    for signature, name in _OTHERS:
        if start.startswith(signature):
            raise InvalidInputError(field, name, ACCEPTED)
    # A safetensors header is a JSON object, behind its length.
    if start[8:9] != b"{":
        raise InvalidInputError(field, f"a file that begins with {start[:8]!a}", ACCEPTED)
    return CheckedFile("safetensors", check_tensors(path, field))


def _is_torch_archive(path: Path) -> bool:
    """Whether a zip archive is what ``torch.save`` writes; its first member tells, without reading the list of all."""
    with path.open("rb") as file:
        header = file.read(_MEMBER_HEADER_BYTES)
        length = int.from_bytes(header[26:28], "little")
        return file.read(length).endswith(b"data.pkl")
