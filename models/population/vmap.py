"""Fused layout: one step trains a whole chunk, by ``torch.func.vmap`` over stacked weights.

Takes almost any module.  Buffers are stacked as well, so that every candidate has its own running statistics.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from models.checkpoints import State
from models.dataset import Examples
from models.layout import SCORING_BATCH, Recipe
from models.scratch_buffers import ScratchBuffers


class VmapLayout:
    """All candidates in one computation."""

    def __init__(self, network: nn.Module) -> None:
        """Take a network for its structure; its own weights are not used."""
        self._network, self._scratch = network, ScratchBuffers(network)
        self._trained_names = {
            name for name, parameter in network.named_parameters() if parameter.requires_grad
        }

    def train(self, state: State, data: Examples, minibatches: Tensor, recipe: Recipe) -> None:
        """Train all candidates with one optimizer over the stacked leaves."""
        self._scratch.restore()
        self._network.train()
        leaves = {
            name: state[name].requires_grad_() for name in state if name in self._trained_names
        }
        # Buffers, and weights that the network itself freezes.
        others = {name: tensor for name, tensor in state.items() if name not in leaves}

        def loss_of_one(
            parameters: State, own_others: State, inputs: State, labels: Tensor
        ) -> Tensor:
            logits = functional_call(self._network, (parameters, own_others), (), inputs)
            return recipe.strategy.loss(logits, labels)

        losses = vmap(loss_of_one, in_dims=(0, 0, None, None), randomness="same")
        optimizer = recipe.strategy.build_optimizer(list(leaves.values()), recipe.learning_rate)
        for indices in minibatches:
            minibatch = data.take(indices)
            optimizer.zero_grad()
            # The gradient of a sum with respect to one candidate's weights is that candidate's own.
            losses(leaves, others, minibatch.inputs, minibatch.labels).sum().backward()
            optimizer.step()
        for leaf in leaves.values():
            leaf.requires_grad_(False)
            leaf.grad = None

    @torch.no_grad()
    def logits(self, state: State, part: Examples) -> Tensor:
        """Apply all candidates to some samples at a time."""
        self._network.eval()

        def logits_of_one(own_state: State, inputs: State) -> Tensor:
            logits: Tensor = functional_call(self._network, own_state, (), inputs)
            return logits

        apply = vmap(logits_of_one, in_dims=(0, None), randomness="same")
        pieces = torch.arange(len(part), device=part.labels.device).split(SCORING_BATCH)
        return torch.cat([apply(state, part.take(piece).inputs) for piece in pieces], dim=1)
