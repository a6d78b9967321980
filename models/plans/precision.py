"""Arithmetic of a plan: what weights are stored in, and what products may be computed in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch

from models.devices import processor_features

DTypeName = Literal["float32", "float64", "bfloat16", "tf32"]


def storage_dtype(name: DTypeName) -> torch.dtype:
    """What weights, data and optimizer state are stored in."""
    return torch.float64 if name == "float64" else torch.float32


def faster_precisions(device: torch.device) -> tuple[DTypeName, ...]:
    """Reduced precisions for which a device has units of its own; whether they are faster is for a probe to find."""
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return ("tf32", "bfloat16") if has_bfloat16 else ()
    units = {"avx512_bf16", "amx_bf16", "bf16"}
    return ("bfloat16",) if units & processor_features() else ()


@contextmanager
def arithmetic(name: DTypeName, device: torch.device) -> Iterator[None]:
    """Run a block in the arithmetic of a plan.

    ``bfloat16`` is torch's autocast: products in bfloat16, sums and weights in float32.  ``tf32`` lets CUDA's matrix
    units round the factors of float32 products to 10 bits (NVIDIA, "TensorFloat-32"); other devices ignore it.
    """
    before = torch.get_float32_matmul_precision()
    # Without the cache: a block holds many steps, and each must see the weights that the one before it left.
    cast = (
        torch.autocast(device.type, torch.bfloat16, cache_enabled=False)
        if name == "bfloat16"
        else nullcontext()
    )
    torch.set_float32_matmul_precision("high" if name == "tf32" else "highest")
    try:
        with cast:
            yield
    finally:
        torch.set_float32_matmul_precision(before)
