"""What is in a file: its kind, its tensors or arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

# What errors call an upload: the name that it has on disk while it arrives says nothing to whoever sent it.
NAMELESS = "the file"

FileKind = Literal["safetensors", "npz"]


class TensorEntry(NamedTuple):
    """Name, shape and type of one tensor or array, as its file spells them."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file that is what it claims to be, and what is in it."""

    kind: FileKind
    tensors: tuple[TensorEntry, ...]
