"""Tests of what final evaluations leave on disk."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from models.checkpoints import load_state
from models.final_artifacts import WORST_LOSS, FinalArtifacts
from models.scoring.answers import Answers
from models.scoring.predictions import Predictions
from search.evaluation import FINAL_REPLICATE, Arm, Candidate
from search.genome import keep_all, transfer_all

LABELS, SOURCE_LABELS = torch.tensor([0, 1]), torch.tensor([2, 2, 0])
# Two candidates of a chunk.
TARGET = Predictions(
    torch.tensor([[1, 1], [0, 2]]),
    torch.tensor([[0.25, 1.5], [torch.inf, torch.nan]], dtype=torch.float64),
    LABELS,
    3,
)
SOURCE = Predictions(
    torch.tensor([[2, 1, 0], [2, 2, 2]]), torch.ones(2, 3, dtype=torch.float64), SOURCE_LABELS, 3
)
ANSWERS = Answers(TARGET)
STATE = {"weight": torch.arange(3.0)}


def test_answers_and_weights_are_read_back_by_candidate(tmp_path: Path) -> None:
    candidate = Candidate(keep_all(3), 600, FINAL_REPLICATE, Arm(0.003))
    FinalArtifacts(tmp_path / "new").write(candidate, ANSWERS, 0, STATE)
    reader = FinalArtifacts(tmp_path / "new")
    answers = reader.answers([candidate], LABELS)
    assert torch.equal(answers.target.classes, TARGET.classes[:1])
    assert torch.equal(answers.target.losses, TARGET.losses[:1])
    assert answers.target.n_classes == 3
    assert answers.source is None
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
    FinalArtifacts(tmp_path).write(Candidate(keep_all(3), 1, FINAL_REPLICATE), ANSWERS, 0, STATE)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".npz", ".safetensors"]


def test_both_tasks_are_read_back_with_a_row_per_candidate(tmp_path: Path) -> None:
    artifacts, answers = FinalArtifacts(tmp_path), Answers(TARGET, SOURCE)
    asked = [Candidate(keep_all(3), 1, FINAL_REPLICATE + number) for number in range(2)]
    for row, candidate in enumerate(asked):
        artifacts.write(candidate, answers, row, STATE)
    read = artifacts.answers(asked, LABELS, SOURCE_LABELS)
    assert torch.equal(read.target.classes, TARGET.classes)
    assert read.source is not None
    assert torch.equal(read.source.hits, SOURCE.hits)


def test_a_loss_that_is_not_finite_counts_as_the_worst(tmp_path: Path) -> None:
    candidate = Candidate(keep_all(3), 1, FINAL_REPLICATE)
    FinalArtifacts(tmp_path).write(candidate, ANSWERS, 1, STATE)
    read = FinalArtifacts(tmp_path).answers([candidate], LABELS)
    assert read.target.losses.tolist() == [[WORST_LOSS, WORST_LOSS]]


def test_what_was_not_measured_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FinalArtifacts(tmp_path).answers([Candidate(keep_all(3), 1)], LABELS)
