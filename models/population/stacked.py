"""Fused layout: one step trains a whole chunk, layer by layer as one wide layer.

As ``vmap``, but layers for which there is a population layer compute the candidates side by side.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.checkpoints import State
from models.data.dataset import Examples
from models.layout import Recipe, population_size
from models.population.fused_training import train_fused
from models.population.gated_norm import evaluate_where_frozen, gates, running_statistics
from models.population.minibatch_source import MinibatchSource
from models.population.modes import looking, training_mode
from models.population.prefix_cache import PrefixCache
from models.population.prefix_groups import same_prefix
from models.population.scratch_buffers import ScratchBuffers
from models.population.stacked_network import StackedNetwork
from models.population.stopping import mean_losses
from models.population.torch_switches import slow_rules_unmentioned
from models.recipe.freezing import nothing_frozen
from models.recipe.minibatches import Minibatches


class StackedLayout:
    """All candidates in one computation."""

    def __init__(self, network: nn.Module, *, channels_last: bool, captured: bool = False) -> None:
        """Take a network for its structure; its own weights are not used.

        Args:
            network: On the device that everything shall lie on.
            channels_last: Memory order of images: pixel by pixel instead of channel by channel.
            captured: Replay training steps as CUDA graphs.
        """
        self._captured = captured
        self._trained = {
            name for name, parameter in network.named_parameters() if parameter.requires_grad
        }
        self._statistics = frozenset[str]().union(*running_statistics(network).values())
        self._scratch = ScratchBuffers(network)
        self._stacked = StackedNetwork(network, channels_last=channels_last)

    @slow_rules_unmentioned()
    def train(self, state: State, data: Examples, minibatches: Minibatches, recipe: Recipe) -> None:
        """Train all candidates with one optimizer over the stacked leaves."""
        groups = same_prefix(recipe.freezing)
        if len(groups) == 1:
            self._train_group(state, data, minibatches, recipe)
            return
        for rows in groups:
            index = torch.tensor(rows, device=data.labels.device)
            part = {name: tensor[index] for name, tensor in state.items()}
            # Forked, so that every group has the same draws.
            with torch.random.fork_rng():
                self._train_group(part, data, minibatches.of(rows), recipe.of(rows))
            for name, tensor in part.items():
                state[name][index] = tensor

    def _train_group(
        self, state: State, data: Examples, minibatches: Minibatches, recipe: Recipe
    ) -> None:
        self._scratch.restore()
        network, objective = self._stacked.network, recipe.objective
        self._stacked.order(state)
        device = data.labels.device
        with training_mode(network, recipe) as begin:
            mixed = self._gated_elsewhere(evaluate_where_frozen(network, recipe.freezing), device)
            cached = self._cached_modules(recipe) if minibatches.draw_of is None else {}
            cache = PrefixCache(cached, len(data))
            with (
                gates(network, mixed, device) as flags,
                self._stacked.bound(state, recipe.freezing, flags) as bound,
                cache.installed(),
            ):

                def losses(_: Mapping[str, Tensor], minibatch: Examples) -> Tensor:
                    # The leaves are bound already: they are the state's own tensors.
                    return bound.run(minibatch, objective.loss)

                def validate(part: Examples) -> Tensor:
                    cache.expect(None)
                    with looking(network):
                        return mean_losses(bound.logits(state, part), part)

                train_fused(
                    state,
                    losses,
                    trained=self._trained,
                    minibatches=MinibatchSource(cache.watched(data), minibatches, recipe.augment),
                    recipe=recipe,
                    begin=begin,
                    validate=validate,
                    steady=self._statistics,
                    captured=self._is_captured(recipe),
                )

    @torch.no_grad()
    @slow_rules_unmentioned()
    def logits(self, state: State, part: Examples) -> Tensor:
        """Apply all candidates to some samples at a time."""
        self._stacked.network.eval()
        with self._stacked.bound(state, nothing_frozen(population_size(state))) as bound:
            return bound.logits(state, part)

    def _is_captured(self, recipe: Recipe) -> bool:
        return self._captured and not recipe.averages_statistics

    def _cached_modules(self, recipe: Recipe) -> dict[str, nn.Module]:
        """Modules whose outputs may be looked up: not in a graph that is replayed, nor for samples that change.

        Where statistics are averaged every sample comes once, so that nothing would be looked up.
        """
        if self._is_captured(recipe) or recipe.augment is not None or recipe.averages_statistics:
            return {}
        return self._stacked.frozen_modules(recipe.freezing)

    def _gated_elsewhere(
        self, mixed: Mapping[str, tuple[bool, ...]], device: torch.device
    ) -> dict[str, tuple[bool, ...]]:
        """Tell population layers which candidates keep their running statistics; give back who else must know."""
        norms = self._stacked.batch_norms()
        for name, norm in norms.items():
            norm.frozen_rows = torch.tensor(mixed[name], device=device) if name in mixed else None
        return {name: rows for name, rows in mixed.items() if name not in norms}
