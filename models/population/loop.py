"""Loop layout: one candidate after another, as an ordinary module in an ordinary training loop.

Takes every module, and is the reference that the fused layouts must equal.
"""

from __future__ import annotations

from itertools import chain

import torch
from torch import Tensor, nn

from models.checkpoints import State
from models.data.dataset import Examples
from models.layout import Recipe, population_size, scoring_pieces
from models.population.fused_training import run_steps, stopping_of
from models.population.gated_norm import evaluate_where_frozen
from models.population.minibatch_source import MinibatchSource
from models.population.modes import looking, training_mode
from models.population.row_freezing import RowFreezing
from models.population.scratch_buffers import ScratchBuffers
from models.population.settled_buffers import SettledBuffers
from models.population.stopping import mean_losses
from models.recipe.minibatches import Minibatches


class LoopLayout:
    """Candidates one by one in the network's own weights."""

    def __init__(
        self, network: nn.Module, *, channels_last: bool = False, captured: bool = False
    ) -> None:
        """Take a network; its weights are overwritten.

        Args:
            network: On the device that everything shall lie on.
            channels_last: Memory order of images: pixel by pixel instead of channel by channel.
            captured: Replay training steps as CUDA graphs.
        """
        if channels_last:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._captured = captured
        self._network, self._scratch = network, ScratchBuffers(network)
        self._n_weights = sum(weight.numel() for weight in network.parameters())
        self._trained = {
            name: weight for name, weight in network.named_parameters() if weight.requires_grad
        }

    def train(self, state: State, data: Examples, minibatches: Minibatches, recipe: Recipe) -> None:
        """Load, train and store each candidate in turn."""
        for row, frozen in enumerate(recipe.freezing.frozen):
            if frozen.issuperset(state):
                continue
            self._load(state, row)
            # Forked, so that every candidate has the same draws.
            with torch.random.fork_rng():
                self._train_loaded(data, minibatches.of_one(row), recipe.of([row]))
            self._network.zero_grad(set_to_none=True)
            trained = self._network.state_dict()
            for name in state.keys() - frozen:
                state[name][row] = trained[name]

    @torch.no_grad()
    def logits(self, state: State, part: Examples) -> Tensor:
        """Apply each candidate in turn."""
        rows = []
        for row in range(population_size(state)):
            self._load(state, row)
            self._network.eval()
            rows.append(self._applied(part))
        return torch.stack(rows)

    def _train_loaded(self, data: Examples, minibatches: Minibatches, recipe: Recipe) -> None:
        self._scratch.restore()
        freezing = recipe.freezing
        with training_mode(self._network, recipe) as begin:
            evaluate_where_frozen(self._network, freezing)
            leaves = self._leaves(freezing.everywhere)
            own = {
                name: tensor.detach().unsqueeze(0)
                for name, tensor in chain(
                    self._network.named_parameters(), self._network.named_buffers()
                )
            }
            held = RowFreezing(own, freezing, own.keys() - self._trained.keys())
            settled = SettledBuffers(self._network, self._network.state_dict())
            stopping = stopping_of(recipe, own, self._validate)

            def losses(_: State, minibatch: Examples) -> Tensor:
                return recipe.objective.loss(self._network(**minibatch.inputs), minibatch)

            def after_step() -> None:
                settled.settle()
                held.after_step()

            run_steps(
                leaves,
                losses,
                minibatches=MinibatchSource(data, minibatches, recipe.augment),
                recipe=recipe,
                begin=begin,
                after_step=after_step,
                is_over=lambda step: stopping is not None and stopping.look(step),
                captured=[*self._network.parameters(), *self._network.buffers()]
                if self._captured and not recipe.averages_statistics
                else (),
            )

    def _leaves(self, frozen: frozenset[str]) -> State:
        """What is trained; everything else needs no gradient."""
        for name, weight in self._trained.items():
            weight.grad = None
            weight.requires_grad_(name not in frozen)
        return {name: weight for name, weight in self._trained.items() if name not in frozen}

    def _validate(self, part: Examples) -> Tensor:
        with looking(self._network):
            return mean_losses(self._applied(part).unsqueeze(0), part)

    def _applied(self, part: Examples) -> Tensor:
        """Apply the network as it is: ``(N, C)``."""
        pieces = scoring_pieces(part, 1, self._n_weights)
        return torch.cat([self._network(**part.take(piece).inputs) for piece in pieces])

    def _load(self, state: State, row: int) -> None:
        # A tied tensor is in the state once, under its first name: hence not strict.
        self._network.load_state_dict({name: x[row] for name, x in state.items()}, strict=False)
