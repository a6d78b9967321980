"""Products with weights of all candidates: one batched matrix product."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear

from models.population.batched import cover, is_batched_here, uncover
from models.population.population_function import stands_in_for


@stands_in_for(linear)
def linear_together(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Give ``(*, out)`` for ``(*, in)``.

    Unlike ``vmap``'s own rule it is one product with the bias in it, all in the precision of products.
    """
    if is_batched_here(weight) and (bias is None or is_batched_here(bias)):
        own_bias = None if bias is None else uncover(bias, 0)
        return affine(input, uncover(weight, 0), own_bias)
    product = linear(input, weight)
    return product if bias is None else product + bias.to(product.dtype)


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear map of each candidate's own: ``(P, N, in)`` times ``(P, in, out)``.

    Args:
        x: ``(*, in)`` of one candidate.
        weight: ``(P, out, in)``.
        bias: ``(P, out)``.

    Returns:
        ``(*, out)`` of one candidate.
    """
    values = uncover(x, 0) if is_batched_here(x) else x.expand(len(weight), *x.shape)
    rows = values.reshape(len(values), -1, values.shape[-1])
    product = (
        torch.bmm(rows, weight.transpose(1, 2))
        if bias is None
        else torch.baddbmm(bias.unsqueeze(1), rows, weight.transpose(1, 2))
    )
    return cover(product.view(*values.shape[:-1], -1), 0)
