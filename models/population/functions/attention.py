"""Attention of all candidates: the population is one more batch axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import (
    dropout,
    linear,
    multi_head_attention_forward,
    scaled_dot_product_attention,
)

from models.population.batched import cover, is_batched_here, uncover
from models.population.functions.dropout import dropout_together
from models.population.population_function import (
    differ,
    population_functions,
    stands_in_for,
)
from models.population.product_precision import in_product_precision


@stands_in_for(scaled_dot_product_attention)
def attention_together(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attend; with dropout step by step, so that the draws are the same for every candidate."""
    query, key, value = (in_product_precision(x) for x in (query, key, value))
    if attn_mask is not None:
        attn_mask = in_product_precision(attn_mask)
    if dropout_p > 0:
        if enable_gqa:
            key, value = (
                x.repeat_interleave(query.shape[-3] // x.shape[-3], dim=-3) for x in (key, value)
            )
        return _step_by_step(query, key, value, attn_mask, dropout_p, is_causal, scale)
    values = (query, key, value) if attn_mask is None else (query, key, value, attn_mask)
    size = next(uncover(x, 0).shape[0] for x in values if is_batched_here(x))
    n_axes = max(x.ndim for x in values)
    query, key, value = (_stacked(x, size, n_axes) for x in (query, key, value))
    batch = query.shape[1]
    # Kernels want one batch axis before the heads.
    is_folded = n_axes == 4 and key.shape[1] == value.shape[1] == batch
    if is_folded:
        query, key, value = (x.flatten(0, 1) for x in (query, key, value))
    if attn_mask is not None and (is_batched_here(attn_mask) or attn_mask.ndim == n_axes):
        attn_mask = _stacked(attn_mask, size, n_axes)
        if is_folded:
            attn_mask = attn_mask.expand(-1, batch, -1, -1, -1).flatten(0, 1)
    result = scaled_dot_product_attention(
        query, key, value, attn_mask, 0.0, is_causal, scale=scale, enable_gqa=enable_gqa
    )
    return cover(result.unflatten(0, (size, -1)) if is_folded else result, 0)


def _either(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function for values that may or may not differ between candidates."""

    def call(*args: Any, **options: Any) -> Tensor:
        stand_in = population_functions()[function]
        is_called = differ((*args, *options.values()))
        result: Tensor = (stand_in if is_called else function)(*args, **options)
        return result

    return call


def _calling(function: FunctionType, names: Mapping[str, Callable[..., Any]]) -> FunctionType:
    """A copy of one of torch's functions that calls others than torch's by these names."""
    return FunctionType(
        function.__code__,
        {**vars(functional), **names},
        function.__name__,
        function.__defaults__,
    )


def _multi_head_attention_together() -> FunctionType:
    """Torch's own function with all its options, but it and its helpers call the functions of a population."""
    ours = {
        function.__name__: _either(function)
        for function in (dropout, linear, scaled_dot_product_attention)
    }
    helpers = {
        name: _calling(helper, ours)
        for name, helper in vars(functional).items()
        if name.startswith("_in_projection") and isinstance(helper, FunctionType)
    }
    assert isinstance(multi_head_attention_forward, FunctionType)
    return _calling(multi_head_attention_forward, ours | helpers)


stands_in_for(multi_head_attention_forward)(_multi_head_attention_together())


def _stacked(x: Tensor, size: int, n_axes: int) -> Tensor:
    """``(P, *shape)``, with axes of size 1 before ``shape`` that make it ``n_axes`` long."""
    tensor = uncover(x, 0) if is_batched_here(x) else x.expand(size, *x.shape)
    return tensor.reshape(size, *[1] * (n_axes - x.ndim), *x.shape)


def _step_by_step(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None,
    dropout_p: float,
    is_causal: bool,
    scale: float | None,
) -> Tensor:
    """Vaswani et al., "Attention Is All You Need", NeurIPS 2017, equation 1, with dropout on the weights."""
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = query @ key.transpose(-2, -1) * factor
    if is_causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    if attn_mask is None:
        return dropout_together(torch.softmax(scores, dim=-1), dropout_p) @ value
    scores = (
        scores.masked_fill(~attn_mask, -math.inf)
        if attn_mask.dtype == torch.bool
        else scores + attn_mask
    )
    # As torch does: who may attend to nothing gets nothing.
    is_blind = (scores == -math.inf).all(dim=-1, keepdim=True)
    weights = torch.softmax(scores.masked_fill(is_blind, 0), dim=-1).masked_fill(is_blind, 0)
    return dropout_together(weights, dropout_p) @ value
