"""Weights as a length times a direction, of all candidates.

Reference: Salimans and Kingma, "Weight Normalization", NIPS 2016, equation 2.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.population.population_function import stands_in_for


@stands_in_for(torch._weight_norm)
def weight_norm_together(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """Give directions ``v`` the lengths ``g``; each length is of one index along ``dim``, or of all if it is -1."""
    others = tuple(axis for axis in range(v.ndim) if dim == -1 or axis != dim % v.ndim)
    lengths: Tensor = torch.linalg.vector_norm(v, dim=others, keepdim=True)
    return v * (g / lengths)
