"""What people take for weights or arrays, by the first bytes of a file."""

from __future__ import annotations

from pathlib import Path

ARCHIVE, PICKLE = "a zip archive", "a pickle"
TORCH_ARCHIVE = "a PyTorch checkpoint (.pth), which is a pickle"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_START_BYTES = 64
# Of the header before a member's name; the name's length stands in it, at 26.
_MEMBER_HEADER_BYTES = 30
# Those before had no mark to begin with.
_PICKLE_PROTOCOLS = range(2, 6)
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


def known_by_start(path: Path) -> str | None:
    """What a file is, in words; None where its first bytes are no known mark, as those of safetensors are not."""
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    if start.startswith(_ZIP):
        return TORCH_ARCHIVE if _is_torch_archive(path) else ARCHIVE
    if start[:1] == b"\x80" and len(start) > 1 and start[1] in _PICKLE_PROTOCOLS:
        return PICKLE
    return next((name for mark, name in _OTHERS if start.startswith(mark)), None)


def _is_torch_archive(path: Path) -> bool:
    """Whether a zip archive is what ``torch.save`` writes; its first member tells, without reading the list of all."""
    with path.open("rb") as file:
        header = file.read(_MEMBER_HEADER_BYTES)
        length = int.from_bytes(header[26:28], "little")
        return file.read(length).endswith(b"data.pkl")
