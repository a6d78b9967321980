"""Loop layout: one candidate after another, as an ordinary module in an ordinary training loop.

Takes every module, and is the reference that the fused layouts must equal.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.checkpoints import State
from models.dataset import Examples
from models.freezing import Freezing
from models.layout import Recipe, population_size, scoring_pieces
from models.population.fused_training import run_steps
from models.population.gated_norm import evaluate_where_frozen
from models.population.row_freezing import RowFreezing
from models.population.settled_buffers import SettledBuffers
from models.scratch_buffers import ScratchBuffers


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
        self._trained = {
            name: weight for name, weight in network.named_parameters() if weight.requires_grad
        }

    def train(self, state: State, data: Examples, minibatches: Tensor, recipe: Recipe) -> None:
        """Load, train and store each candidate in turn."""
        for row, frozen in enumerate(recipe.freezing.frozen):
            if frozen.issuperset(state):
                continue
            self._load(state, row)
            # Forked, so that every candidate has the same draws.
            with torch.random.fork_rng():
                self._train_loaded(data, minibatches, recipe, frozen)
            trained = self._network.state_dict()
            for name in state.keys() - frozen:
                state[name][row] = trained[name]

    @torch.no_grad()
    def logits(self, state: State, part: Examples) -> Tensor:
        """Apply each candidate in turn."""
        pieces = scoring_pieces(part, n_candidates=1)
        rows = []
        for row in range(population_size(state)):
            self._load(state, row)
            self._network.eval()
            rows.append(torch.cat([self._network(**part.take(piece).inputs) for piece in pieces]))
        return torch.stack(rows)

    def _train_loaded(
        self, data: Examples, minibatches: Tensor, recipe: Recipe, frozen: frozenset[str]
    ) -> None:
        freezing = Freezing((frozen,), {})
        self._scratch.restore()
        self._network.train()
        evaluate_where_frozen(self._network, freezing)
        for name, weight in self._trained.items():
            weight.grad = None
            weight.requires_grad_(name not in frozen)
        leaves: State = {
            name: weight for name, weight in self._trained.items() if name not in frozen
        }
        buffers = {
            name: buffer.unsqueeze(0)
            for name, buffer in self._network.named_buffers()
            if name in frozen
        }

        def losses(_: State, minibatch: Examples) -> Tensor:
            return recipe.strategy.loss(self._network(**minibatch.inputs), minibatch.labels)

        held = RowFreezing(buffers, freezing, buffers)
        settled = SettledBuffers(self._network, self._network.state_dict())

        def after_step() -> None:
            settled.settle()
            held.after_step()

        run_steps(
            leaves,
            losses,
            data=data,
            minibatches=minibatches,
            recipe=recipe,
            after_step=after_step,
            captured=[*self._network.parameters(), *self._network.buffers()]
            if self._captured
            else (),
        )

    def _load(self, state: State, row: int) -> None:
        # A tied tensor is in the state once, under its first name: hence not strict.
        self._network.load_state_dict({name: x[row] for name, x in state.items()}, strict=False)
