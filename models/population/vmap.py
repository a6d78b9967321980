"""Fused layout: one step trains a whole chunk, by ``torch.func.vmap`` over stacked weights.

Takes almost any module.  Buffers are stacked as well, so that every candidate has its own running statistics.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.checkpoints import State
from models.data.dataset import Examples
from models.layout import Recipe, population_size, scoring_pieces, weights_of_one
from models.population.fused_training import train_fused
from models.population.gated_norm import evaluate_where_frozen, gates, running_statistics
from models.population.lending import LentTensors
from models.population.minibatch_source import MinibatchSource, seen_by_one
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

                def losses(_: State, minibatch: Examples) -> Tensor:
                    # The leaves are lent already: they are the state's own tensors.
                    def loss_of_one() -> Tensor:
                        seen = seen_by_one(minibatch)
                        return objective.loss(network(**seen.inputs), seen)

                    return lent.for_each_candidate(loss_of_one)

                def validate(part: Examples) -> Tensor:
                    with looking(network):
                        return mean_losses(self._applied(lent, state, part), part)

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
        return self._applied(LentTensors(self._network, state), state, part)

    def _applied(self, lent: LentTensors, state: State, part: Examples) -> Tensor:
        """Apply all candidates as the network is: ``(P, N, C)``."""

        def apply(piece: Tensor) -> Tensor:
            inputs = part.take(piece).inputs
            return lent.for_each_candidate(lambda: self._network(**inputs))

        pieces = scoring_pieces(part, population_size(state), weights_of_one(state))
        return torch.cat([apply(piece) for piece in pieces], dim=1)
