"""Reading single safetensors files.  Pickles are never read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.checkpoints.conversion import is_finite
from models.checkpoints.header import read_headers, unreadable
from models.checkpoints.state import State
from search.errors import InvalidInputError


def read_shapes(path: Path, field: str) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor in a file; the tensors are not read.

    Raises:
        InvalidInputError: It is no safetensors file.
    """
    return {name: header.shape for name, header in read_headers(path, field).items()}


def load_state(path: Path, field: str = "file") -> State:
    """Read every tensor of a file, onto the CPU.

    Raises:
        InvalidInputError: It is no safetensors file, or a tensor has NaN or infinite values.
    """
    headers = read_headers(path, field)
    state = {name: tensor.clone() for name, tensor in read_tensors(path, headers, field)}
    for name, tensor in state.items():
        if not is_finite(tensor):
            raise InvalidInputError(
                field, f"{path.name}: {name} with NaN or infinite values", "finite weights"
            )
    return state


def read_tensors(path: Path, names: Iterable[str], field: str) -> Iterator[tuple[str, Tensor]]:
    """Give some tensors of a file one after the other, as views of the file: who keeps one must copy it.

    A view changes when the file is overwritten, and ends the process when the file is cut off.

    Raises:
        InvalidInputError: It is no safetensors file, or has no such tensor.
    """
    try:
        with safe_open(path, framework="pt") as file:
            for name in names:
                yield name, file.get_tensor(name)
    except (SafetensorError, OSError) as error:
        raise unreadable(path, field, error) from error
