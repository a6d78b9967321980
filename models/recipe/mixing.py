"""Whether candidates at different replicates can be trained in one chunk: where only their minibatches differ.

What a network draws itself (dropout, say) and what augmentation draws is drawn once for a whole chunk, and what all
candidates freeze is computed once for all of them: with either, a chunk has one replicate.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from models.data.dataset import Examples
from models.genes import GeneMap
from models.layout import Recipe
from models.population.modes import training_mode
from models.recipe.freezing import nothing_frozen
from models.recipe.strategy import Stage, Strategy
from search.genome import keep_all, transfer_all

# Of a forward pass that only shows what is called; a normalisation needs more than one.
N_SAMPLES = 2
# Arguments of a random function that make it one; with 0 it draws nothing.
PROBABILITIES = ("p", "dropout_p", "dropout")


def can_mix_replicates(
    network: nn.Module, genes: GeneMap, strategy: Strategy, train: Examples
) -> bool:
    """Whether minibatches are all that a training draws, and nothing is frozen.

    Args:
        network: For its structure; not changed, and without memory for its weights if need be.
        genes: Which tensors are kept or transferred as one.
        strategy: What training does.
        train: The training part.
    """
    pure = (keep_all(genes.n_genes), transfer_all(genes.n_genes))
    for stage in strategy.stages:
        objective = stage.objective
        freezes = any(objective.frozen(genes, genome) for genome in pure)
        if freezes or objective.config.augmentation:
            return False
    without_memory = copy.deepcopy(network).to("meta")
    samples = train.take(torch.arange(min(N_SAMPLES, len(train)), device=train.labels.device))
    inputs = {name: x.to("meta") for name, x in samples.inputs.items()}
    return not any(_draws(without_memory, stage, inputs) for stage in strategy.stages)


def _draws(network: nn.Module, stage: Stage, inputs: Mapping[str, torch.Tensor]) -> bool:
    """Whether a training step of the network draws random numbers; True where that cannot be seen."""
    recipe = Recipe(stage.objective, (0.0,), nothing_frozen(1))
    watch = _RandomCalls()
    try:
        with torch.no_grad(), training_mode(network, recipe), watch:
            network(**inputs)
    except Exception:  # noqa: BLE001 - whatever a user's network cannot do without numbers
        return True
    return watch.found


class _RandomCalls(TorchDispatchMode):
    """Notices calls of functions that draw.

    Attributes:
        found: Whether there was one.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found = False

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = dict(kwargs or {})
        self.found = self.found or _is_random(func, args, options)
        return func(*args, **options)


def _is_random(func: OpOverload, args: tuple[Any, ...], options: Mapping[str, Any]) -> bool:
    if torch.Tag.nondeterministic_seeded not in func.tags:
        return False
    for place, argument in enumerate(func._schema.arguments):
        if argument.name in PROBABILITIES:
            default = options.get(argument.name, argument.default_value)
            return bool(args[place] if place < len(args) else default)
    return True
