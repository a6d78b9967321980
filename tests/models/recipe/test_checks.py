"""Tests of refusing recipes that fit no network, no genes or no data."""

from __future__ import annotations

import pytest
from torch import nn

from models.data.shapes import DataShape
from models.genes import GenomeOptions, build_gene_map
from models.recipe.checks import check_recipe
from models.weights_source import state_shapes
from search.errors import InvalidInputError
from tests.models.recipe_cases import Perceptron, SmallConvolution, parsed
from tests.models.small_task import IMAGES

REFUSED: list[tuple[dict[str, object], str, str]] = [
    # options, field, message
    ({"dropout": 0.3}, "dropout", "no dropout layer"),
    ({"batch_norm": {"frozen": True}}, "batch_norm", "no running statistics"),
    ({"batch_norm": {"reestimate": "after"}}, "batch_norm", "no running statistics"),
    (
        {"loss": {"kind": "mse", "class_weights": [1, 2]}},
        "loss.class_weights",
        "one weight per class, 3",
    ),
    (
        {"augmentation": [{"kind": "flip"}, {"kind": "shifted_crop", "pixels": 8}]},
        "augmentation",
        "8 x 8 pixels",
    ),
    ({"kind": "partial", "freeze": "all_but_last", "last_genes": 4}, "last_genes", "3 genes"),
    ({"kind": "distill", "teacher": "source"}, "teacher", "source of the same architecture"),
]


def check(network: nn.Module, options: dict[str, object], shape: DataShape = IMAGES) -> None:
    """Check a recipe for a source whose head has four classes."""
    source = state_shapes(network) | {"head.weight": (4, 5), "head.bias": (4,)}
    genes = build_gene_map(network, state_shapes(network), GenomeOptions())
    check_recipe(parsed(options), genes=genes, network=network, shape=shape, source=source)


@pytest.mark.parametrize(
    ("options", "field", "message"), REFUSED, ids=lambda value: str(value)[:40]
)
def test_what_cannot_be_is_refused_by_its_field(
    options: dict[str, object], field: str, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message) as refusal:
        check(Perceptron(), options)
    assert refusal.value.field == f"finetune.{field}"


@pytest.mark.parametrize(
    ("options", "field", "message"), REFUSED, ids=lambda value: str(value)[:40]
)
def test_in_a_phase_the_field_says_in_which(
    options: dict[str, object], field: str, message: str
) -> None:
    phases = [{"kind": "full"}, {"kind": "full", **options}]
    with pytest.raises(InvalidInputError, match=message) as refusal:
        check(Perceptron(), {"kind": "phases", "phases": phases})
    assert refusal.value.field == f"finetune.phases.1.{field}"


def test_images_are_asked_for_by_what_changes_images() -> None:
    options: dict[str, object] = {"augmentation": [{"kind": "rotation"}]}
    with pytest.raises(InvalidInputError, match="images of shape"):
        check(Perceptron(), options, DataShape({"x": (64,)}, 3))


def test_what_a_network_has_may_be_changed() -> None:
    options: dict[str, object] = {
        "dropout": 0.3,
        "batch_norm": {"frozen": True, "reestimate": "before"},
        "augmentation": [{"kind": "shifted_crop", "pixels": 7}, {"kind": "noise"}],
        "loss": {"kind": "cross_entropy", "class_weights": [1, 2, 3]},
    }
    check(SmallConvolution(), options)


@pytest.mark.parametrize("side", ["transferred", "kept"])
def test_a_rate_of_what_is_frozen_is_refused_with_the_way_out(side: str) -> None:
    with pytest.raises(ValueError, match=rf"{side}_rate \(0\.1\) has no effect.*freeze nothing"):
        parsed({"kind": "partial", "freeze": side, f"{side}_rate": 0.1})
    parsed({"kind": "partial", "freeze": "nothing", f"{side}_rate": 0.1})


@pytest.mark.parametrize("rates", [0.1, [0.1], [0.1, 0.1], [k / 100 for k in range(1, 12)]])
def test_a_choice_of_rates_per_candidate_is_of_a_few(rates: object) -> None:
    with pytest.raises(ValueError, match="needs 2 to 10 different rates"):
        parsed({"learning_rate": rates, "learning_rate_per_candidate": True})


def test_only_the_first_phase_chooses_its_rate() -> None:
    several: dict[str, object] = {"kind": "full", "learning_rate": [0.1, 0.01]}
    chosen = parsed({"kind": "phases", "phases": [several, {"kind": "full"}]})
    assert chosen.learning_rates == (0.1, 0.01)
    with pytest.raises(ValueError, match="only the first phase may have several"):
        parsed({"kind": "phases", "phases": [{"kind": "full"}, several]})
