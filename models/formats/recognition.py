"""Telling what a file is by what it begins with, and checking the two kinds that are taken."""

from __future__ import annotations

from pathlib import Path

from models.formats.content import CheckedFile
from models.formats.npz import check_arrays
from models.formats.safetensors_file import check_tensors
from models.formats.signatures import ARCHIVE, PICKLE, TORCH_ARCHIVE, known_by_start
from search.errors import InvalidInputError

ACCEPTED = (
    "weights as safetensors (safetensors.torch.save_file(model.state_dict(), path)) "
    "or arrays as npz (numpy.savez(path, x=x, y=y))"
)
_CONVERT = (
    f"{ACCEPTED}; `transfermask convert` makes safetensors of a .pth, on the machine that trusts it"
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
        start = file.read(9)
    if not start:
        raise InvalidInputError(field, "0 bytes", ACCEPTED)
    kind = known_by_start(path)
    if kind == ARCHIVE:
        return CheckedFile("npz", check_arrays(path, field, max_bytes))
    if kind is not None:
        way_out = _CONVERT if kind in (PICKLE, TORCH_ARCHIVE) else ACCEPTED
        raise InvalidInputError(field, kind, way_out)
    # A safetensors header is a JSON object, behind its length.
    if start[8:9] != b"{":
        raise InvalidInputError(field, f"a file that begins with {start[:8]!a}", ACCEPTED)
    return CheckedFile("safetensors", check_tensors(path, field))
