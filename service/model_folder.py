"""Writing the folder in which a search delivers weights to the architecture's own library.

It is read back as that library will do it, before anybody is told that it is there.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from models.checkpoints import State
from models.family import MODEL_WEIGHTS
from search.errors import TransferMaskError
from service.job_files import MODEL

# Of a zip that is sent while it is written.
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """What makes weights a folder that a library loads.

    Attributes:
        files: By name, beside the weights; none if the architecture belongs to no library.
        reopened: Reads such a folder as the library does.
    """

    files: Mapping[str, bytes]
    reopened: Callable[[Path], State]


def write_model_folder(folder: Path, weights: Path, package: ModelPackage | None) -> None:
    """Write the folder ``model`` beside the weights, if there is a package, and let its library read it.

    Raises:
        TransferMaskError: The library does not give the weights back.
    """
    if package is None or not package.files:
        return
    partial, place = folder / f".{MODEL}.partial", folder / MODEL
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name, content in package.files.items():
        (partial / name).write_bytes(content)
    try:
        os.link(weights, partial / MODEL_WEIGHTS)
    except OSError:
        # Not every file system has links.
        shutil.copyfile(weights, partial / MODEL_WEIGHTS)
    try:
        reopened = package.reopened(partial)
    except (OSError, RuntimeError, ValueError) as error:
        raise TransferMaskError(f"{partial} cannot be loaded by its library: {error}") from error
    written = load_file(weights)
    _compare(partial, reopened, {name: written[name].to(x.dtype) for name, x in reopened.items()})
    shutil.rmtree(place, ignore_errors=True)
    partial.replace(place)


def zipped(folder: Path) -> Iterator[bytes]:
    """Give a folder as a zip file, piece by piece; weights do not compress, so nothing is."""
    sink = _Sink()
    # The library asks a file that cannot be sought in for no more than the sink has.
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for path in sorted(folder.iterdir()):
            information = zipfile.ZipInfo.from_file(path, f"{MODEL}/{path.name}")
            with path.open("rb") as source, archive.open(information, "w") as entry:
                while piece := source.read(PIECE_BYTES):
                    entry.write(piece)
                    yield sink.taken()
    yield sink.taken()


class _Sink:
    """A file that cannot be sought in, and forgets what was taken from it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def flush(self) -> None:
        """Nothing is held back."""

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _compare(path: Path, found: Mapping[str, Tensor], meant: Mapping[str, Tensor]) -> None:
    for name, tensor in meant.items():
        if name not in found or not _are_same(found[name], tensor):
            raise TransferMaskError(f"{path}: {name} is not what was written")


def _are_same(found: Tensor, meant: Tensor) -> bool:
    """Whether all bits agree: NaN, which no weight should be, equals itself here."""
    if found.shape != meant.shape or found.dtype != meant.dtype:
        return False
    pair = (x.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for x in (found, meant))
    return torch.equal(*pair)
