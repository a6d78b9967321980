"""What final evaluations leave on disk: test scores of every candidate, weights of the first replicate.

Written before the evaluation's ledger row, so that whatever a ledger holds is there.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.checkpoints import State, save_state, write_atomically
from models.metrics import MetricName
from search.evaluation import FINAL_REPLICATE, Candidate

# Counts for a test sample whose loss is not finite, in nats: validation data alone decide what has diverged.
WORST_LOSS = 1000.0


@dataclass(frozen=True, slots=True)
class TestScores:
    """Per test sample ``(N,)``: whether it was classified rightly, and its loss."""

    __test__ = False  # pytest: not a test class

    hits: NDArray[np.bool_]
    losses: NDArray[np.float64]

    def by_metric(self, metric: MetricName) -> NDArray[np.float64]:
        """Scores whose mean is the metric, higher is better."""
        if metric == "accuracy":
            return self.hits.astype(np.float64)
        return -np.nan_to_num(self.losses, nan=WORST_LOSS, posinf=WORST_LOSS)


class FinalArtifacts:
    """Files of one job's final evaluations, named by the candidate's key."""

    def __init__(self, folder: Path) -> None:
        """Bind the folder; it is created when first written to."""
        self._folder = folder

    def write(self, candidate: Candidate, scores: TestScores, state: State) -> None:
        """Write one candidate's test scores and, at the first final replicate, its weights."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if candidate.replicate == FINAL_REPLICATE:
            save_state(self.weights_path(candidate), state)
        buffer = io.BytesIO()
        np.savez(buffer, hits=scores.hits, losses=scores.losses)
        write_atomically(self._path(candidate, "npz"), buffer.getvalue())

    def test_scores(self, candidate: Candidate) -> TestScores:
        """Read one candidate's test scores."""
        with np.load(self._path(candidate, "npz"), allow_pickle=False) as file:
            return TestScores(file["hits"], file["losses"])

    def weights_path(self, candidate: Candidate) -> Path:
        """Where one candidate's weights are, if it is of the first final replicate."""
        return self._path(candidate, "safetensors")

    def _path(self, candidate: Candidate, suffix: str) -> Path:
        digest = hashlib.sha256(json.dumps(candidate.key).encode()).hexdigest()
        return self._folder / f"{digest[:24]}.{suffix}"
