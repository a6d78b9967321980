"""Modes of a network: for training by a recipe, and for a look in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from models.layout import Recipe


@contextmanager
def training_mode(network: nn.Module, recipe: Recipe) -> Iterator[Callable[[int], None]]:
    """Put a network into training mode, with the recipe's dropout.

    Yields:
        What is called before each step, with its number: where running statistics are averaged, the k-th minibatch
        counts for one k-th, so that in the end all have counted alike.
    """
    network.train()
    dropouts = [module for module in network.modules() if has_dropout(module)]
    norms = [module for module in network.modules() if isinstance(module, _NormBase)]
    probabilities = [_probability(module) for module in dropouts]
    momenta = [norm.momentum for norm in norms]
    if recipe.objective.config.dropout is not None:
        for module in dropouts:
            _set_probability(module, recipe.objective.config.dropout)

    def begin(step: int) -> None:
        if recipe.averages_statistics:
            for norm in norms:
                norm.momentum = 1 / (step + 1)

    try:
        yield begin
    finally:
        for module, probability in zip(dropouts, probabilities, strict=True):
            _set_probability(module, probability)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


@contextmanager
def looking(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode while a block runs, without gradients."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, is_training in modes:
            module.training = is_training


def has_dropout(module: nn.Module) -> bool:
    """Whether a layer drops values out, by a probability that can be set."""
    return isinstance(module, _DropoutNd | nn.MultiheadAttention)


def _probability(module: nn.Module) -> float:
    return float(module.p if isinstance(module, _DropoutNd) else module.dropout)  # type: ignore[arg-type]


def _set_probability(module: nn.Module, probability: float) -> None:
    if isinstance(module, _DropoutNd):
        module.p = probability
    else:
        module.dropout = probability  # type: ignore[assignment]
