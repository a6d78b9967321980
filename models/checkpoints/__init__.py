"""Weights on disk: safetensors, written whole or not at all.  Pickles are never read by a search."""

from __future__ import annotations

from models.checkpoints.reading import load_state, read_shapes
from models.checkpoints.state import State
from models.checkpoints.writing import save_state, write_atomically

__all__ = ["State", "load_state", "read_shapes", "save_state", "write_atomically"]
