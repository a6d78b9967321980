"""Reading safetensors files.  Pickles are never read."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from models.checkpoints.state import State
from search.errors import InvalidInputError


def read_shapes(path: Path, field: str) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor in a file; the tensors are not read.

    Raises:
        InvalidInputError: It is no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, field, error) from error


def load_state(path: Path, field: str = "file") -> State:
    """Read every tensor of a file, onto the CPU.

    Raises:
        InvalidInputError: It is no safetensors file, or a tensor has NaN or infinite values.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, field, error) from error
    for name, tensor in state.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InvalidInputError(field, f"{name} with NaN or infinite values", "finite weights")
    return state


def _unreadable(path: Path, field: str, error: Exception) -> InvalidInputError:
    return InvalidInputError(
        field,
        f"{path.name}: {error}",
        "a safetensors file; write one with safetensors.torch.save_file(model.state_dict(), path)",
    )
