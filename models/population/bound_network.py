"""A network bound to a population: applied for every candidate, to the same samples or to its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.checkpoints import State
from models.data.dataset import Examples
from models.layout import population_size, scoring_pieces, weights_of_one
from models.population.lending import LentTensors
from models.population.minibatch_source import seen_by_one


class BoundNetwork:
    """Runs a network with the tensors of a population."""

    def __init__(self, network: nn.Module, lent: LentTensors) -> None:
        """Take a network and what it is lent."""
        self._network, self._lent = network, lent

    def run(
        self,
        samples: Examples,
        finish: Callable[[Tensor, Examples], Tensor] = lambda logits, _: logits,
    ) -> Tensor:
        """Apply the network for every candidate, to samples that are the same for all or each one's own.

        Args:
            samples: ``(B, *)``, or ``(P, B, *)``.
            finish: Maps the logits ``(B, C)`` of one candidate, and the samples as it sees them, to what is wanted.

        Returns:
            ``(P, *)``.
        """

        def one() -> Tensor:
            seen = seen_by_one(samples)
            return finish(self._network(**seen.inputs), seen)

        return self._lent.for_each_candidate(one)

    def logits(self, state: State, part: Examples) -> Tensor:
        """Apply all candidates as the network is, to some samples at a time: ``(P, N, C)``.

        Args:
            state: The tensors that are lent, ``(P, *shape)`` each.
            part: The samples.
        """
        pieces = scoring_pieces(part, population_size(state), weights_of_one(state))
        return torch.cat([self.run(part.take(piece)) for piece in pieces], dim=1)
