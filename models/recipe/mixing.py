"""Whether candidates at different replicates can be trained in one chunk: where only their minibatches differ.

What a network draws itself (dropout, say) and what augmentation draws is drawn once for a whole chunk; what all
candidates freeze is taken to be equal where it was grafted alike, which a target drawn anew at every replicate is not.
With any of them a chunk has one replicate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from models.data.dataset import Examples
from models.genes import GeneMap
from models.layout import Recipe
from models.placement import without_memory
from models.population.bound_network import BoundNetwork
from models.population.lending import LentTensors
from models.population.modes import training_mode
from models.recipe.freezing import nothing_frozen
from models.recipe.strategy import Objective, Strategy
from search.genome import keep_all, transfer_all

# Arguments of a random function that make it one; with 0 it draws nothing.
PROBABILITIES = ("p", "dropout_p", "dropout")


def can_mix_replicates(
    network: nn.Module, genes: GeneMap, strategy: Strategy, train: Examples
) -> bool:
    """Whether minibatches are all that a training draws, nothing is frozen, and candidates can have their own.

    The network is watched on a copy without memory.  What it draws by other means than torch's, only at other steps, or
    in its backward pass, is not seen.

    Args:
        network: For its structure; not changed.
        genes: Which tensors are kept or transferred as one.
        strategy: What training does.
        train: The training part.
    """
    if any(_shares(stage.objective, genes) for stage in strategy.stages):
        return False
    try:
        with torch.random.fork_rng():
            structure = without_memory(network)
            return all(
                _takes_own_samples(structure, stage.objective, genes, train)
                for stage in strategy.stages
            )
    except Exception:  # noqa: BLE001 - whatever a user's network cannot do without numbers, or for several candidates
        return False


def _shares(objective: Objective, genes: GeneMap) -> bool:
    """Whether candidates of one chunk share what differs between replicates."""
    config = objective.config
    pure = (keep_all(genes.n_genes), transfer_all(genes.n_genes))
    freezes = any(objective.frozen(genes, genome) for genome in pure)
    statistics = config.batch_norm.frozen or config.batch_norm.reestimate != "never"
    return freezes or statistics or bool(config.augmentation)


def _takes_own_samples(
    network: nn.Module, objective: Objective, genes: GeneMap, train: Examples
) -> bool:
    """Whether a training step draws nothing, seen on one candidate; raises where two cannot have their own samples."""
    size = min(objective.config.batch_size, len(train))
    taken = train.take(torch.arange(size, device=train.labels.device))
    inputs = {name: x.to("meta") for name, x in taken.inputs.items()}
    recipe = Recipe(objective, (0.0, 0.0), nothing_frozen(2))
    watch = _RandomCalls()
    with training_mode(network, recipe):
        with watch:
            network(**inputs)
        if watch.found:
            return False
        tensors = network.state_dict()
        state = {
            name: tensors[name].expand(2, *tensors[name].shape).clone() for name in genes.tensors
        }
        both = Examples(
            {name: x.expand(2, *x.shape) for name, x in inputs.items()},
            taken.labels.to("meta").expand(2, size),
        )
        BoundNetwork(network, LentTensors(network, state)).run(both)
    return True


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
            named = options.get(argument.name, argument.default_value)
            return bool(args[place] if place < len(args) else named)
    return True
