"""Fused layout: one step trains a whole chunk, by ``torch.func.vmap`` over stacked weights.

Takes almost any module.  Buffers are stacked as well, so that every candidate has its own running statistics.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.checkpoints import State
from models.data.dataset import Examples
from models.layout import Recipe
from models.population.bound_network import BoundNetwork
from models.population.fused_training import train_fused
from models.population.gated_norm import evaluate_where_frozen, gates, running_statistics
from models.population.lending import LentTensors
from models.population.minibatch_source import MinibatchSource
from models.population.modes import looking, training_mode
from models.population.scratch_buffers import ScratchBuffers
from models.population.stopping import mean_losses
from models.population.torch_switches import slow_rules_unmentioned
from models.recipe.minibatches import Minibatches


class VmapLayout:
    """All candidates in one computation."""

    def __init__(self, network: nn.Module, *, captured: bool = False) -> None:
        """Take a network for its structure; its own weights are not used.

        Args:
            network: On the device that everything shall lie on.
            captured: Replay training steps as CUDA graphs.
        """
        self._captured = captured
        self._network, self._scratch = network, ScratchBuffers(network)
        self._trained = {
            name for name, parameter in network.named_parameters() if parameter.requires_grad
        }
        self._statistics = frozenset[str]().union(*running_statistics(network).values())

    @slow_rules_unmentioned()
    def train(self, state: State, data: Examples, minibatches: Minibatches, recipe: Recipe) -> None:
        """Train all candidates with one optimizer over the stacked leaves."""
        self._scratch.restore()
        network, objective = self._network, recipe.objective
        with training_mode(network, recipe) as begin:
            mixed = evaluate_where_frozen(network, recipe.freezing)
            with gates(network, mixed, data.labels.device) as flags:
                lent = LentTensors(network, state | flags)
                bound = BoundNetwork(network, lent)

                def losses(_: State, minibatch: Examples) -> Tensor:
                    # The leaves are lent already: they are the state's own tensors.
                    return bound.run(minibatch, objective.loss)

                def validate(part: Examples) -> Tensor:
                    with looking(network):
                        return mean_losses(bound.logits(state, part), part)

                with lent.watched():
                    train_fused(
                        state,
                        losses,
                        trained=self._trained,
                        minibatches=MinibatchSource(data, minibatches, recipe.augment),
                        recipe=recipe,
                        begin=begin,
                        validate=validate,
                        steady=self._statistics,
                        captured=self._captured and not recipe.averages_statistics,
                    )

    @torch.no_grad()
    @slow_rules_unmentioned()
    def logits(self, state: State, part: Examples) -> Tensor:
        """Apply all candidates to some samples at a time."""
        self._network.eval()
        return BoundNetwork(self._network, LentTensors(self._network, state)).logits(state, part)
