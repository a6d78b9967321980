"""What every registered loss promises; a new file is tested as soon as it exists."""

from __future__ import annotations

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor
from torch.func import grad, vmap
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from models.losses import LOSSES
from models.recipe.loss import Loss, LossConfig, build_loss, weighted_mean

PARSE: TypeAdapter[LossConfig] = TypeAdapter(LOSSES.union())
NAMES = LOSSES.names()
CASES = [{"kind": name} for name in NAMES] + [{"kind": "cross_entropy", "label_smoothing": 0.2}]
LABELS = torch.tensor([0, 2, 1, 2, 0])
N_CLASSES = 3


def parsed(**options: object) -> Loss:
    return build_loss(PARSE.validate_python(options))


@pytest.fixture(params=CASES, ids=str)
def loss(request: pytest.FixtureRequest) -> Loss:
    return parsed(**request.param)


def drawn_logits(*shape: int) -> Tensor:
    stream = torch.Generator().manual_seed(0)
    return torch.randn((*shape, N_CLASSES), generator=stream, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_every_sample_has_a_loss_in_at_least_the_logits_precision(
    loss: Loss, dtype: torch.dtype
) -> None:
    losses = loss.per_sample(drawn_logits(5).to(dtype), LABELS)
    assert losses.shape == (5,)
    assert torch.promote_types(losses.dtype, dtype) == losses.dtype


def test_right_answers_cost_less_than_wrong_ones(loss: Loss) -> None:
    right = one_hot(LABELS, N_CLASSES).double()
    wrong = right.roll(1, dims=-1)
    assert (loss.per_sample(right, LABELS) < loss.per_sample(wrong, LABELS)).all()


def test_gradients_are_finite_and_of_each_samples_own_logits(loss: Loss) -> None:
    logits = (100 * drawn_logits(5)).requires_grad_()
    (gradient,) = torch.autograd.grad(loss.per_sample(logits, LABELS)[1], logits)
    assert torch.isfinite(gradient).all()
    assert gradient[1].abs().sum() > 0
    assert gradient[[0, 2, 3, 4]].abs().sum() == 0


def test_a_population_has_the_losses_and_gradients_of_its_candidates(loss: Loss) -> None:
    logits = drawn_logits(4, 5)
    torch.testing.assert_close(
        vmap(loss.per_sample, in_dims=(0, None))(logits, LABELS),
        torch.stack([loss.per_sample(own, LABELS) for own in logits]),
    )

    def mean(own: Tensor) -> Tensor:
        return loss.per_sample(own, LABELS).mean()

    torch.testing.assert_close(
        vmap(grad(mean))(logits), torch.stack([grad(mean)(own) for own in logits])
    )


@pytest.mark.parametrize("name", NAMES)
def test_options_have_a_schema_and_refuse_unknown_keys(name: str) -> None:
    properties = LOSSES.config(name).model_json_schema()["properties"]
    assert properties["kind"]["const"] == name
    assert all("description" in option for key, option in properties.items() if key != "kind")
    with pytest.raises(ValidationError, match="Extra inputs"):
        parsed(kind=name, reduction="sum")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weights", ["equal", (1.0, 0.0), (1.0, -1.0), (1.0, float("inf")), 2.0])
def test_class_weights_that_are_none_are_refused(name: str, weights: object) -> None:
    with pytest.raises(ValidationError, match="class_weights"):
        parsed(kind=name, class_weights=weights)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weights", ["balanced", None, [1.0, 2, 0.5]])
def test_class_weights_are_part_of_every_loss(name: str, weights: object) -> None:
    config = PARSE.validate_python({"kind": name, "class_weights": weights})
    assert PARSE.validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.0])
def test_label_smoothing_out_of_bounds_is_refused(label_smoothing: float) -> None:
    with pytest.raises(ValidationError, match="label_smoothing"):
        parsed(kind="cross_entropy", label_smoothing=label_smoothing)


def test_mse_is_torchs_with_one_hot_labels() -> None:
    logits = drawn_logits(5)
    expected = mse_loss(logits, one_hot(LABELS, N_CLASSES).double())
    torch.testing.assert_close(parsed(kind="mse").per_sample(logits, LABELS).mean(), expected)


def test_the_weighted_mean_is_that_of_torchs_cross_entropy() -> None:
    logits, weights = drawn_logits(5), torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)
    losses = parsed(kind="cross_entropy").per_sample(logits, LABELS)
    expected = cross_entropy(logits, LABELS, weight=weights)
    torch.testing.assert_close(weighted_mean(losses, weights[LABELS]), expected)
    torch.testing.assert_close(weighted_mean(losses, weights[LABELS].float()), expected)
    torch.testing.assert_close(weighted_mean(losses, None), cross_entropy(logits, LABELS))


def test_weighted_means_of_a_population_are_those_of_its_candidates() -> None:
    losses, weights = drawn_logits(4, 5).square().sum(dim=-1), torch.arange(1.0, 6)
    torch.testing.assert_close(
        vmap(weighted_mean, in_dims=(0, None))(losses, weights),
        torch.stack([weighted_mean(own, weights) for own in losses]),
    )
