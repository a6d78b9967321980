"""Tests of what is said about the noise of one evaluation."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.search_quality.schedule_noise import ARMS, reliability
from models.finetuning import STRATEGIES


def scores(between: float, noise: float, shared: float) -> np.ndarray:
    """Scores of 400 masks at 10 draws, ``(R, M)``."""
    rng = np.random.default_rng(0)
    masks, draws = between * rng.standard_normal(400), shared * rng.standard_normal((10, 1))
    scored: np.ndarray = masks + draws + noise * rng.standard_normal((10, 400))
    return scored


@pytest.mark.parametrize("shared", [0.0, 3.0])
def test_reliability_is_the_share_of_the_masks_whatever_all_have_in_common(shared: float) -> None:
    assert reliability(scores(2.0, 1.0, shared)) == pytest.approx(0.8, abs=0.03)


def test_where_masks_do_not_differ_one_evaluation_says_nothing() -> None:
    assert reliability(scores(0.0, 1.0, 0.5)) == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("kind", ["full", "partial"])
def test_the_default_is_among_what_was_compared(kind: str) -> None:
    schedule = STRATEGIES.config(kind).model_validate({"kind": kind}).schedule.kind  # type: ignore[attr-defined]
    assert ARMS["one cycle"] == ({"kind": schedule}, 1.0)
