"""Gene priors of a job: measured once in its life, then read from the ledger."""

from __future__ import annotations

import time

import torch

from models.evaluator import Task
from models.saliency import measure_gene_priors
from search.decisions import Decision, DecisionLog
from search.learning_rate import PREPARING_PHASE
from search.ledger import Json, Position
from search.optimizer import GenePriors


def commit_to_priors(task: Task, device: torch.device, decisions: DecisionLog) -> GenePriors | None:
    """Give the priors of a job's genes; None where they could not be measured."""

    def measure() -> tuple[Decision, Decision]:
        started = time.perf_counter()
        priors = measure_gene_priors(task, device)
        value: dict[str, Json] = {"saliencies": None, "gradient_ratios": None}
        if priors is not None:
            value = {
                "saliencies": [*priors.saliencies],
                "gradient_ratios": [*priors.gradient_ratios],
            }
        return value, {"seconds": time.perf_counter() - started}

    decision = decisions.decide(Position(PREPARING_PHASE), "gene_priors", measure)
    saliencies, ratios = decision["saliencies"], decision["gradient_ratios"]
    if not isinstance(saliencies, list) or not isinstance(ratios, list):
        return None
    return GenePriors(_numbers(saliencies), _numbers(ratios))


def _numbers(values: list[Json]) -> tuple[float, ...]:
    """Narrow a list read back from the ledger."""
    return tuple(float(str(value)) for value in values)
