"""Writing weights, and anything else, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file in one step, durably: a crash leaves the old file or the new one."""
    temporary = path.with_name(f".{path.name}.partial")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def save_state(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write a state dict; tensors that share memory are written separately, so that it loads strictly."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    write_atomically(path, save(plain, metadata={"format": "pt"}))
