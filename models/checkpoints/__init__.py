"""Weights on disk: safetensors, written whole or not at all.  Pickles are never read by a search."""

from __future__ import annotations

from models.checkpoints.reading import load_state, read_shapes
from models.checkpoints.state import State
from models.checkpoints.writing import flush_to_disk, rename_durably, save_state, write_atomically

__all__ = [
    "State",
    "flush_to_disk",
    "load_state",
    "read_shapes",
    "rename_durably",
    "save_state",
    "write_atomically",
]
