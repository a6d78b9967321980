"""Steepest ascent on a surrogate: where masks climb to when single genes are flipped, without measuring anything."""

from __future__ import annotations

import numpy as np

from search.observations import BoolArray, FloatArray
from search.surrogate import Fit

# Flips of one ascent, at most; a random mask of n genes is about n / 4 flips below a top.
MOST_FLIPS = 60
# Masks that are predicted at once: a belief holds a covariance of every two.
MASKS_AT_ONCE = 256


def ascend(fit: Fit, starts: BoolArray, optimism: float) -> BoolArray:
    """Climb from each start to where no single flip raises mean + optimism x deviation.

    Args:
        fit: Fitted surrogate.
        starts: ``(S, G)``, at least one.
        optimism: Standard deviations of doubt that speak for a mask.

    Returns:
        ``(M, G)``: the different tops, then their neighbours, each in the order of their score, best first.
    """
    n_genes = starts.shape[1]
    here = np.unique(starts, axis=0)
    heights = _scores(fit, here, optimism)
    tops = [here[:0]]
    for _ in range(MOST_FLIPS):
        around = neighbours(here)
        scores = _scores(fit, around.reshape(-1, n_genes), optimism).reshape(-1, n_genes)
        climbs = scores.max(axis=1) > heights
        tops.append(here[~climbs])
        ways = scores[climbs].argmax(axis=1)
        # Two ascents that meet are one from there on.
        here, first = np.unique(around[climbs, ways], axis=0, return_index=True)
        heights = scores[climbs, ways][first]
        if len(here) == 0:
            break
    found = np.unique(np.concatenate([*tops, here]), axis=0)
    surroundings = np.unique(neighbours(found).reshape(-1, n_genes), axis=0)
    return np.concatenate([_sorted(fit, rows, optimism) for rows in (found, surroundings)])


def neighbours(masks: BoolArray) -> BoolArray:
    """Give the masks that differ in one gene, ``(M, G, G)``, of masks ``(M, G)``."""
    flipped: BoolArray = masks[:, None, :] ^ np.eye(masks.shape[1], dtype=np.bool_)
    return flipped


def _sorted(fit: Fit, masks: BoolArray, optimism: float) -> BoolArray:
    return masks[np.argsort(-_scores(fit, masks, optimism), kind="stable")]


def _scores(fit: Fit, masks: BoolArray, optimism: float) -> FloatArray:
    """Mean + optimism x deviation, ``(M,)``."""
    beliefs = [
        fit.believe(masks[start : start + MASKS_AT_ONCE])
        for start in range(0, len(masks), MASKS_AT_ONCE)
    ]
    return np.concatenate([belief.mean + optimism * belief.deviation for belief in beliefs])
