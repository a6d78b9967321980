"""Tests of the optimizers of fine-tuning."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from models.training_optimizers import TrainingOptimizer

PARSE: TypeAdapter[TrainingOptimizer] = TypeAdapter(TrainingOptimizer)
CASES: list[dict[str, object]] = [
    {"kind": "adam", "weight_decay": 0.1, "betas": (0.8, 0.9)},
    {"kind": "sgd", "momentum": 0.9, "nesterov": True},
    {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.1},
]


@pytest.mark.parametrize("options", CASES)
def test_stacked_leaves_train_as_they_would_alone(options: dict[str, object]) -> None:
    config = PARSE.validate_python(options)
    starts = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))

    def trained(leaf: torch.Tensor) -> torch.Tensor:
        leaf = leaf.clone().requires_grad_()
        optimizer = config.build([leaf], 0.05)
        for _ in range(5):
            optimizer.zero_grad()
            (leaf**4).sum().backward()
            optimizer.step()
        return leaf.detach()

    torch.testing.assert_close(trained(starts), torch.stack([trained(row) for row in starts]))


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(ValidationError, match="nesterov needs momentum above 0, given momentum"):
        PARSE.validate_python({"kind": "sgd", "nesterov": True})


@pytest.mark.parametrize("options", [{"kind": "adam", "momentum": 0.9}, {"kind": "lbfgs"}])
def test_what_an_optimizer_does_not_have_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PARSE.validate_python(options)
