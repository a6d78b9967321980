"""Telling that memory ran out, which torch says in several ways."""

from __future__ import annotations

import torch

_CPU_MESSAGES = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    # oneDNN, whose descriptor of the primitive was accepted before: no memory for its code, or for its workspace.
    "could not create a primitive\n",
    "could not execute a primitive\n",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a computation did not fit into memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        text in f"{error}\n".lower() for text in _CPU_MESSAGES
    )
