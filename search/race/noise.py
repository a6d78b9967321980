"""How much one evaluation varies between replicates: alone, and in the difference to others at the same replicate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from search.evaluation import Evaluation
from search.observations import FloatArray


@dataclass(frozen=True, slots=True)
class Noise:
    """Spread of one evaluation between replicates, in units of fitness (standard deviations).

    Attributes:
        total: Of one mask's fitness; None where no mask was measured twice.
        paired: What is left of it in the difference to other masks at the same replicate, per mask; None where there
            are too few masks or replicates.
        degrees: Degrees of freedom of ``paired``.
    """

    total: float | None
    paired: float | None
    degrees: int = 0


def measure_noise(evaluations: Sequence[Evaluation]) -> Noise:
    """Fit fitness = mask + replicate + residual by least squares; masks may have different numbers of replicates.

    All cells count, those of masks that were dropped on the way too; a mask that failed at any replicate is left out.
    With every mask at every replicate this is the classical two-way layout with one observation per cell.
    Reference: Searle, "Linear Models", Wiley 1971, section 7.1.

    Args:
        evaluations: Of one fidelity and arm, each mask at most once per replicate.
    """
    scores = _table(evaluations)
    measured = np.isfinite(scores)
    n_masks, n_cells = len(scores), int(measured.sum())
    per_mask = measured.sum(axis=1, keepdims=True)
    if n_cells <= n_masks:
        return Noise(None, None)
    means = np.nansum(scores, axis=1, keepdims=True) / per_mask
    within = np.where(measured, scores - means, 0.0)
    total = float(np.sqrt((within**2).sum() / (n_cells - n_masks)))
    # Replicate effects by the normal equations, after the masks' effects are taken out of both sides.
    weights = np.diag(measured.sum(axis=0)) - (measured / per_mask).T @ measured
    shifts = within.sum(axis=0)
    effects = np.where(measured, np.linalg.lstsq(weights, shifts, rcond=1e-9)[0], 0.0)
    residuals = np.where(
        measured, within - effects + effects.sum(axis=1, keepdims=True) / per_mask, 0.0
    )
    degrees = n_cells - n_masks - (scores.shape[1] - 1)
    if degrees < 1:
        return Noise(total, None)
    return Noise(total, float(np.sqrt((residuals**2).sum() / degrees)), degrees)


def _table(evaluations: Sequence[Evaluation]) -> FloatArray:
    """Fitness as ``(masks, replicates)``, NaN where a mask was not measured."""
    failed = {e.candidate.genome for e in evaluations if e.fitness is None}
    kept = [e for e in evaluations if e.candidate.genome not in failed]
    genomes = list(dict.fromkeys(e.candidate.genome for e in kept))
    replicates = list(dict.fromkeys(e.candidate.replicate for e in kept))
    rows = {genome: row for row, genome in enumerate(genomes)}
    columns = {replicate: column for column, replicate in enumerate(replicates)}
    scores = np.full((len(genomes), len(replicates)), np.nan)
    for e in kept:
        scores[rows[e.candidate.genome], columns[e.candidate.replicate]] = e.fitness
    return scores
