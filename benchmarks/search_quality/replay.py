"""Running a search on a landscape instead of networks: the product's own study, ledger and choice of leaders."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.decisions import DecisionLog
from search.evaluation import Arm, Candidate, Evaluation, Evaluator, Outcome
from search.genome import Genome
from search.ledger import InMemoryLedger
from search.optimizer import Optimizer, SearchProblem
from search.optimizers import OPTIMIZERS, build_optimizer
from search.race.leaders import leading_masks
from search.recorded import RecordedEvaluator
from search.study import Study

SEARCH_FIDELITY = 3
# Given a mask and a replicate, a noisy fitness.
Landscape = Callable[[Genome, int], float]


def noisy(value: Callable[[Genome], float], noise: float, seed: int) -> Landscape:
    """Add Gaussian noise that depends on the mask and the replicate alone, as a real evaluation does."""

    def measure(genome: Genome, replicate: int) -> float:
        text = f"{genome.bitstring} {replicate} {seed}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        draw = np.random.default_rng(int.from_bytes(digest)).standard_normal()
        return value(genome) + noise * float(draw)

    return measure


class LandscapeEvaluator:
    """Answers candidates from a landscape, at any fidelity alike."""

    def __init__(self, landscape: Landscape) -> None:
        """Bind the landscape."""
        self._landscape = landscape

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Measure one chunk."""
        return [
            Evaluation(c, Outcome.MEASURED, self._landscape(c.genome, c.replicate), 0.0)
            for c in candidates
        ]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        best_seen: The mask with the best single score.
        leader: The mask with the best expected fitness, which is what transfermask reports.
        evaluations: How many were made at the highest fidelity.
    """

    best_seen: Genome
    leader: Genome
    evaluations: int


def found_in(evaluations: Sequence[Evaluation]) -> Found:
    """Choose from what was measured at the highest fidelity."""
    highest = max(evaluation.candidate.fidelity for evaluation in evaluations)
    evaluations = [e for e in evaluations if e.candidate.fidelity == highest]
    return Found(best_score(evaluations), leading_masks(evaluations)[0], len(evaluations))


def best_score(evaluations: Sequence[Evaluation]) -> Genome:
    """The mask with the best single score, which is what a peer answers with."""
    best = max(evaluations, key=lambda e: float("-inf") if e.fitness is None else e.fitness)
    return best.candidate.genome


def build(options: dict[str, Any], problem: SearchProblem, seed: int) -> Optimizer:
    """Construct one of transfermask's optimizers."""
    config: Any = OPTIMIZERS.config(options["kind"]).model_validate(options)
    return build_optimizer(config, problem, seed)


def run_study(
    options: dict[str, Any], landscape: Landscape, n_genes: int, budget: int, seed: int
) -> tuple[Evaluation, ...]:
    """Search a landscape with one of transfermask's optimizers."""
    problem = SearchProblem(n_genes, SEARCH_FIDELITY, budget)
    return run_study_on(LandscapeEvaluator(landscape), options, problem, seed)


def run_study_on(
    evaluator: Evaluator, options: dict[str, Any], problem: SearchProblem, seed: int
) -> tuple[Evaluation, ...]:
    """Search with one of transfermask's optimizers; give what was evaluated, in order."""
    ledger = InMemoryLedger()
    recorded = RecordedEvaluator(evaluator, ledger, DecisionLog(ledger), chunk_size=4096)
    optimizer = build(options, problem, seed)
    return Study(optimizer, recorded, problem, Arm()).run().evaluations
