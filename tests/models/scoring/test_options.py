"""Tests of the options of scoring."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from models.scoring.options import FitnessOptions
from search.errors import InvalidInputError


def test_an_unknown_metric_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ValidationError, match=r"'accuracy', 'balanced_accuracy'.* or 'macro_recall'"
    ):
        FitnessOptions.model_validate({"metric": "f1"})


def test_a_loss_cannot_be_averaged_with_an_accuracy() -> None:
    with pytest.raises(ValidationError, match=r"log_loss cannot be averaged .* one of accuracy"):
        FitnessOptions.model_validate({"metric": "log_loss", "source_retention": {"weight": 0.2}})


def test_a_retention_without_weight_has_no_say() -> None:
    options = FitnessOptions.model_validate(
        {"metric": "log_loss", "source_retention": {"weight": 0}}
    )
    assert options.retention is None


@pytest.mark.parametrize("weight", [-0.1, 1.1])
def test_a_weight_is_a_share(weight: float) -> None:
    with pytest.raises(ValidationError, match="weight"):
        FitnessOptions.model_validate({"source_retention": {"weight": weight}})


def test_averages_over_very_many_classes_are_refused_with_both_numbers() -> None:
    FitnessOptions.model_validate({"metric": "accuracy"}).check(100_000)
    with pytest.raises(InvalidInputError, match=r"macro_f1 of 100000 classes .* more than 2000"):
        FitnessOptions.model_validate({"metric": "macro_f1"}).check(100_000)
