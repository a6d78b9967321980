"""Temperatures of annealing chains: cooling, reheating, and exchange between chains.

Cooling by a fixed factor: Kirkpatrick, Gelatt and Vecchi, Science 220 (1983).  Adaptive cooling steers the share of
accepted moves along Lam and Delosme's curve in Boyan's form ("Learning Evaluation Functions", PhD thesis, Carnegie
Mellon 1998, appendix B), and so heats again when too little is accepted.  Exchange: Swendsen and Wang, "Replica Monte
Carlo simulation of spin glasses", Phys. Rev. Lett. 57 (1986); exchanging temperatures is exchanging states.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

CoolingSchedule = Literal["exponential", "linear", "adaptive"]

# How far the temperature moves on its (logarithmic) way from hot to cold, per unit that acceptance misses its target.
ADAPTATION = 0.25
# Reheating takes back this share of the way from hot to cold.
REHEATING = 0.5


class Thermostat:
    """Where between the hottest and the coldest temperature a search stands; 0 is hot, 1 is cold."""

    def __init__(self, cooling: CoolingSchedule, reheat_after: int | None) -> None:
        """Start hot.

        Args:
            cooling: How the temperature falls.
            reheat_after: Batches in a row without success before the temperature rises again; never if None.
        """
        self._cooling, self._reheat_after = cooling, reheat_after
        self._since, self._position_then = 0.0, 0.0
        self._position, self._failures = 0.0, 0

    def advance(self, spent: float, *, accepted: float | None, is_success: bool) -> None:
        """Cool, or reheat, after a batch.

        Args:
            spent: Share of the budget spent, 0 to 1.
            accepted: Share of the batch's moves that were accepted; None if there were none.
            is_success: Whether the batch changed which mask is the best.
        """
        if self._cooling != "adaptive":
            way = (spent - self._since) / max(1 - self._since, 1e-9)
            self._position = self._position_then + (1 - self._position_then) * min(1.0, way)
        elif accepted is not None:
            self._position += ADAPTATION * (accepted - wanted_acceptance(spent))
        self._failures = 0 if is_success else self._failures + 1
        if self._reheat_after is not None and self._failures >= self._reheat_after:
            self._failures = 0
            self._position *= 1 - REHEATING
            self._since, self._position_then = spent, self._position
        self._position = min(1.0, max(0.0, self._position))

    def temperature(self, hottest: float, coldest: float) -> float:
        """Give the temperature between two, both above 0."""
        if self._cooling == "linear":
            return hottest + (coldest - hottest) * self._position
        return hottest * float((coldest / hottest) ** self._position)


def wanted_acceptance(spent: float) -> float:
    """Share of accepted moves at which annealing does best after a share of its steps, by Lam and Delosme."""
    if spent < 0.15:
        return 0.44 + 0.56 * float(560 ** (-spent / 0.15))
    if spent < 0.65:
        return 0.44
    return 0.44 * float(440 ** (-(spent - 0.65) / 0.35))


def ladder(coldest: float, n_chains: int, ratio: float) -> list[float]:
    """Temperatures of chains, evenly spaced in their logarithm from ``coldest`` to ``ratio`` times it."""
    return [coldest * float(ratio ** (rung / max(1, n_chains - 1))) for rung in range(n_chains)]


def exchanged(
    rungs: Sequence[int],
    temperatures: Sequence[float],
    energies: Sequence[float],
    rng: np.random.Generator,
) -> list[int]:
    """Let chains on neighbouring rungs of the ladder exchange places, by Metropolis' rule for both together.

    Args:
        rungs: Rung of each chain, a permutation.
        temperatures: Of each rung.
        energies: Of each chain's state.
        rng: What chance draws from; the number of draws does not depend on the energies.

    Returns:
        The new rung of each chain.
    """
    holders = [int(chain) for chain in np.argsort(rungs)]
    for first in (0, 1):
        for rung in range(first, len(holders) - 1, 2):
            cold, hot = holders[rung], holders[rung + 1]
            colder_by = 1 / temperatures[rung] - 1 / temperatures[rung + 1]
            exponent = colder_by * (energies[cold] - energies[hot])
            if rng.random() < math.exp(min(0.0, exponent)):
                holders[rung], holders[rung + 1] = hot, cold
    return [int(rung) for rung in np.argsort(holders)]
