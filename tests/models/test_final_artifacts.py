"""Tests of what final evaluations leave on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.checkpoints import load_state
from models.final_artifacts import FinalArtifacts, TestScores
from search.evaluation import FINAL_REPLICATE, Arm, Candidate
from search.genome import keep_all, transfer_all

SCORES = TestScores(np.array([True, False]), np.array([0.25, 1.5]))
STATE = {"weight": torch.arange(3.0)}


def test_scores_and_weights_are_read_back_by_candidate(tmp_path: Path) -> None:
    candidate = Candidate(keep_all(3), 600, FINAL_REPLICATE, Arm(0.003))
    FinalArtifacts(tmp_path / "new").write(candidate, SCORES, STATE)
    reader = FinalArtifacts(tmp_path / "new")
    np.testing.assert_array_equal(reader.test_scores(candidate).hits, SCORES.hits)
    np.testing.assert_array_equal(reader.test_scores(candidate).losses, SCORES.losses)
    assert torch.equal(load_state(reader.weights_path(candidate))["weight"], STATE["weight"])


def test_every_part_of_the_key_has_its_own_file(tmp_path: Path) -> None:
    artifacts = FinalArtifacts(tmp_path)
    asked = [
        Candidate(keep_all(3), 600, FINAL_REPLICATE),
        Candidate(transfer_all(3), 600, FINAL_REPLICATE),
        Candidate(keep_all(3), 300, FINAL_REPLICATE),
        Candidate(keep_all(3), 600, FINAL_REPLICATE + 1),
        Candidate(keep_all(3), 600, FINAL_REPLICATE, Arm(0.1)),
    ]
    assert len({artifacts.weights_path(candidate) for candidate in asked}) == len(asked)


def test_nothing_half_written_is_left_behind(tmp_path: Path) -> None:
    FinalArtifacts(tmp_path).write(Candidate(keep_all(3), 1, FINAL_REPLICATE), SCORES, STATE)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".npz", ".safetensors"]


def test_scores_follow_the_metric() -> None:
    assert SCORES.by_metric("accuracy").tolist() == [1, 0]
    assert SCORES.by_metric("log_loss").tolist() == [-0.25, -1.5]


def test_what_was_not_measured_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FinalArtifacts(tmp_path).test_scores(Candidate(keep_all(3), 1))
