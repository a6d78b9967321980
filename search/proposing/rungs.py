"""Fidelity rungs: measure a whole generation cheaply, and only what leads there at the search fidelity.

Successive halving inside a generation (Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and
Hyperparameter Optimization", AISTATS 2016).  It saves steps only where the cheap score ranks masks as the full one
does.  So the first generation is measured at every rung, and a rung whose rank correlation with the search fidelity is
too low there is switched off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from search.evaluation import SEARCH_REPLICATE, Candidate, Evaluation
from search.genome import Genome
from search.optimizer import Optimizer, OptimizerConfig, SearchProblem

# A correlation of fewer masks says nothing.
LEAST_MASKS = 8


class RungOptions(BaseModel):
    """Options of the rungs below the search fidelity."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    fractions: tuple[float, ...] = Field(
        (0.0, 1 / 3),
        min_length=1,
        max_length=5,
        description="rungs, as shares of the search fidelity's steps, rising, from 0 to below 1",
    )
    kept_share: float = Field(
        1 / 3, gt=0, lt=1, description="of the masks at one rung, those that reach the next"
    )
    least_correlation: float = Field(
        0.5,
        ge=-1,
        le=1,
        description="a rung that ranks the first generation worse than this is switched off",
    )

    @field_validator("fractions")
    @classmethod
    def _rise(cls, fractions: tuple[float, ...]) -> tuple[float, ...]:
        pairs = zip(fractions, [*fractions[1:], 1.0], strict=True)
        if fractions[0] < 0 or any(low >= high for low, high in pairs):
            raise ValueError(f"fractions {list(fractions)} must rise, from 0 to below 1")
        return fractions

    def fidelities(self, search_fidelity: int) -> list[int]:
        """Steps of each rung below the search fidelity; rungs that fall together count once."""
        steps = dict.fromkeys(round(share * search_fidelity) for share in self.fractions)
        return [own for own in steps if own < search_fidelity]


class RungedConfig(OptimizerConfig):
    """Base of the options of optimizers whose generations may climb rungs."""

    rungs: RungOptions | None = Field(
        None, description="cheaper fidelities that a generation climbs first; none if null"
    )

    def part_of_budget(self, size: int, problem: SearchProblem) -> int:
        """A batch's size within the budget: few large batches are no search.

        On rungs most of one costs next to nothing, so that any size will do.
        """
        return (
            size if self.rungs is not None else min(size, max(4, problem.budget_evaluations // 8))
        )


@dataclass(frozen=True, slots=True)
class RungAgreement:
    """How well a rung ranks masks.

    Attributes:
        steps: Of the rung.
        correlation: Spearman's, of the first generation's scores there and at the search fidelity; None where too few
            masks were measured at both.
        is_used: Whether later generations climb it.
    """

    steps: int
    correlation: float | None
    is_used: bool


class RungScreen:
    """An optimizer whose generations climb the rungs; the one inside is told only of what reached the top."""

    def __init__(self, optimizer: Optimizer, options: RungOptions, problem: SearchProblem) -> None:
        """Wrap an optimizer that can do with fewer evaluations than it asked for."""
        self._optimizer, self._options = optimizer, options
        self._top = problem.search_fidelity
        self._rungs = options.fidelities(self._top)
        self._is_calibrating = True
        self._scores: dict[int, dict[Genome, float]] = {}
        # Where the current generation stands, and who is still in it.
        self._to_climb: list[int] = []
        self._climbing: list[Candidate] = []

    def ask(self) -> list[Candidate]:
        """Propose a generation at its next rung."""
        if not self._to_climb:
            self._climbing = self._optimizer.ask()
            screened = any(map(_is_new, self._climbing))
            self._to_climb = [*(self._rungs if screened else []), self._top]
        fidelity = self._to_climb[0]
        if fidelity == self._top:
            return self._climbing
        return [replace(c, fidelity=fidelity) for c in self._climbing if _is_new(c)]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Drop what lags behind; at the top, tell the optimizer."""
        fidelity = self._to_climb.pop(0)
        if self._is_calibrating:
            self._remember(fidelity, evaluations)
        if fidelity == self._top:
            if self._is_calibrating:
                self._switch_off_what_misleads()
            self._optimizer.tell(evaluations)
        elif not self._is_calibrating:
            survivors = self._survivors(evaluations)
            self._climbing = [c for c in self._climbing if not _is_new(c) or c.genome in survivors]

    def correlations(self) -> dict[int, float]:
        """Rank correlation of each rung, by its steps, with the search fidelity; only of those that were measured."""
        top = self._scores.get(self._top, {})
        # A second to load, which only searches with rungs need.
        from scipy.stats import spearmanr  # noqa: PLC0415

        found = {}
        for fidelity, own in self._scores.items():
            if fidelity == self._top:
                continue
            shared = [genome for genome in own if genome in top]
            if len(shared) >= LEAST_MASKS:
                scores = [own[genome] for genome in shared], [top[genome] for genome in shared]
                # Where all scores are alike there is no ranking to follow.
                is_flat = any(len(set(values)) == 1 for values in scores)
                found[fidelity] = 0.0 if is_flat else float(spearmanr(*scores).statistic)
        return found

    def agreements(self) -> tuple[RungAgreement, ...]:
        """Every rung of the options with what was measured of it."""
        found = self.correlations()
        return tuple(
            RungAgreement(steps, found.get(steps), steps in self._rungs)
            for steps in self._options.fidelities(self._top)
        )

    def _remember(self, fidelity: int, evaluations: Sequence[Evaluation]) -> None:
        own = self._scores.setdefault(fidelity, {})
        for evaluation in evaluations:
            if evaluation.fitness is not None and _is_new(evaluation.candidate):
                own[evaluation.candidate.genome] = evaluation.fitness

    def _switch_off_what_misleads(self) -> None:
        correlations = self.correlations()
        if not correlations:
            # Most of the generation failed; the next one may tell.
            return
        self._rungs = [
            fidelity
            for fidelity in self._rungs
            if correlations.get(fidelity, -1.0) >= self._options.least_correlation
        ]
        self._is_calibrating = False

    def _survivors(self, evaluations: Sequence[Evaluation]) -> set[Genome]:
        count = max(1, int(np.ceil(self._options.kept_share * len(evaluations))))
        scored = [(e.fitness, e.loss, e.candidate.genome) for e in evaluations]
        ranked = sorted(
            ((fitness, loss, genome) for fitness, loss, genome in scored if fitness is not None),
            key=lambda entry: (
                -entry[0],
                float("inf") if entry[1] is None else entry[1],
                entry[2].bitstring,
            ),
        )
        return {genome for _, _, genome in ranked[:count]}


def _is_new(candidate: Candidate) -> bool:
    """Whether a mask is measured for the first time; what is measured again has proved itself already."""
    return candidate.replicate == SEARCH_REPLICATE
