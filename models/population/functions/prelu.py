"""Activations with weights, for all candidates."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import prelu

from models.population.population_function import stands_in_for
from models.population.product_precision import in_product_precision


@stands_in_for(prelu)
def prelu_together(input: Tensor, weight: Tensor) -> Tensor:
    """Scale what is below zero; ``vmap``'s own rule warns where inputs are the same for all candidates."""
    input, weight = in_product_precision(input), in_product_precision(weight)
    per_channel = weight.view(-1, *[1] * (input.ndim - 2)) if input.ndim > 1 else weight
    return torch.where(input > 0, input, per_channel * input)
