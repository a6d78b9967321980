"""The precision of products under ``torch.autocast``, for what ``vmap`` takes apart before autocast sees it."""

from __future__ import annotations

import torch
from torch import Tensor


def in_product_precision(x: Tensor) -> Tensor:
    """Cast numbers as autocast, if it is on, does before a product; it leaves float64 alone."""
    kind = x.device.type
    if x.is_floating_point() and x.dtype != torch.float64 and torch.is_autocast_enabled(kind):
        return x.to(torch.get_autocast_dtype(kind))
    return x
