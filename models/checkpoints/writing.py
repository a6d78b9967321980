"""Writing weights, and anything else, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from models.checkpoints.state import State


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
