"""Dropout of all candidates: the same draws for every candidate."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import dropout

from models.population.batched import is_batched_here, uncover
from models.population.population_function import stands_in_for


@stands_in_for(dropout, always=True)
def dropout_together(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Draw as the ordinary function does for one candidate on a CPU.

    It fills a mask in the order in which the values lie in memory; ``vmap`` would fill it in the order of the axes.
    """
    if not training or p == 0:
        return input
    one = uncover(input, 0)[0] if is_batched_here(input) else input
    mask = torch.empty_like(one, requires_grad=False).bernoulli_(1 - p)
    if p < 1:
        mask /= 1 - p
    return input.mul_(mask) if inplace else input * mask
