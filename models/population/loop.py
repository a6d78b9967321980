"""Loop layout: one candidate after another, as an ordinary module in an ordinary training loop.

Takes every module, and is the reference that the fused layouts must equal.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.checkpoints import State
from models.dataset import Examples
from models.layout import SCORING_BATCH, Recipe
from models.scratch_buffers import ScratchBuffers


class LoopLayout:
    """Candidates one by one in the network's own weights."""

    def __init__(self, network: nn.Module) -> None:
        """Take a network; its weights are overwritten."""
        self._network, self._scratch = network, ScratchBuffers(network)

    def train(self, state: State, data: Examples, minibatches: Tensor, recipe: Recipe) -> None:
        """Load, train and store each candidate in turn."""
        for row in range(_population_size(state)):
            self._load(state, row)
            # Forked, so that every candidate has the same draws.
            with torch.random.fork_rng():
                self._train_loaded(data, minibatches, recipe)
            trained = self._network.state_dict()
            for name, tensor in state.items():
                tensor[row] = trained[name]

    @torch.no_grad()
    def logits(self, state: State, part: Examples) -> Tensor:
        """Apply each candidate in turn."""
        pieces = torch.arange(len(part), device=part.labels.device).split(SCORING_BATCH)
        rows = []
        for row in range(_population_size(state)):
            self._load(state, row)
            self._network.eval()
            rows.append(torch.cat([self._network(**part.take(piece).inputs) for piece in pieces]))
        return torch.stack(rows)

    def _train_loaded(self, data: Examples, minibatches: Tensor, recipe: Recipe) -> None:
        self._scratch.restore()
        self._network.train()
        trained: list[Tensor] = [
            weight for weight in self._network.parameters() if weight.requires_grad
        ]
        optimizer = recipe.strategy.build_optimizer(trained, recipe.learning_rate)
        for indices in minibatches:
            minibatch = data.take(indices)
            optimizer.zero_grad()
            recipe.strategy.loss(self._network(**minibatch.inputs), minibatch.labels).backward()
            optimizer.step()

    def _load(self, state: State, row: int) -> None:
        # A tied tensor is in the state once, under its first name: hence not strict.
        self._network.load_state_dict({name: x[row] for name, x in state.items()}, strict=False)


def _population_size(state: State) -> int:
    return len(next(iter(state.values())))
