"""Test answers of final evaluations, kept in memory instead of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.checkpoints import State
from models.final_artifacts import FinalArtifacts
from models.scoring.answers import Answers
from search.evaluation import Candidate
from search.observations import BoolArray


class HitCollector(FinalArtifacts):
    """Takes what an evaluator would have written to disk."""

    def __init__(self) -> None:
        """Start empty; nothing is ever written."""
        super().__init__(Path())
        self._hits: dict[Candidate, BoolArray] = {}

    def write(self, candidate: Candidate, answers: Answers, row: int, state: State) -> None:  # noqa: ARG002
        """Remember which test samples one candidate answers rightly."""
        self._hits[candidate] = answers.target.hits[row].cpu().numpy()

    def hits(self, candidates: Sequence[Candidate]) -> BoolArray:
        """``(P, N)``: what was remembered."""
        return np.stack([self._hits[candidate] for candidate in candidates])
