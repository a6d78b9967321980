"""Weights on disk: safetensors, written whole or not at all.  Pickles are never read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from search.errors import InvalidInputError

State = dict[str, Tensor]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of another file to write, which replaces one in a step, durably: a crash leaves either of them."""
    temporary = path.with_name(f".{path.name}.partial")
    yield temporary
    for written in (temporary, path.parent):
        descriptor = os.open(written, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if written == temporary:
            temporary.replace(path)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step, durably."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def save_state(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a state dict; tensors that share memory are written separately, so that it loads strictly."""
    plain: State = {}
    storages: set[int] = set()
    for name, tensor in state.items():
        own = tensor.detach().cpu().contiguous()
        # Others are written from where they lie: a copy of all would be another network in memory.
        if own.untyped_storage().data_ptr() in storages:
            own = own.clone()
        storages.add(own.untyped_storage().data_ptr())
        plain[name] = own
    with replacing(path) as temporary:
        save_file(plain, temporary, metadata={"format": "pt"})


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
