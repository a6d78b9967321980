"""Writing weights, and anything else, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from models.checkpoints.state import State


def flush_to_disk(path: Path) -> None:
    """Return when the content of a file, or the names in a folder, would survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_durably(path: Path, to: Path) -> None:
    """Give a file another name in the same file system, in a step; whatever had that name is replaced."""
    path.replace(to)
    flush_to_disk(to.parent)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of another file to write, which replaces one in a step, durably: a crash leaves either of them."""
    temporary = path.with_name(f".{path.name}.partial")
    yield temporary
    flush_to_disk(temporary)
    rename_durably(temporary, path)


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
