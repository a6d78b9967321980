"""Arithmetic of a plan: what weights are stored in, and what products may be computed in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch

DTypeName = Literal["float32", "float64", "bfloat16", "tf32"]


def storage_dtype(name: DTypeName) -> torch.dtype:
    """What weights, data and optimizer state are stored in."""
    return torch.float64 if name == "float64" else torch.float32


@contextmanager
def arithmetic(name: DTypeName, device: torch.device) -> Iterator[None]:
    """Run a block in the arithmetic of a plan.

    ``bfloat16`` is torch's autocast: products in bfloat16, sums and weights in float32.  ``tf32`` lets CUDA's matrix
    units round the factors of float32 products to 10 bits (NVIDIA, "TensorFloat-32"); other devices ignore it.
    """
    before = torch.get_float32_matmul_precision()
    cast = torch.autocast(device.type, torch.bfloat16) if name == "bfloat16" else nullcontext()
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    try:
        with cast:
            yield
    finally:
        torch.set_float32_matmul_precision(before)
