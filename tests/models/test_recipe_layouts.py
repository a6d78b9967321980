"""Tests that every option of a recipe means the same in every layout."""

from __future__ import annotations

import pytest

from models.evaluator import Task
from search.evaluation import Arm
from tests.models.recipe_cases import (
    FUSED,
    Perceptron,
    SmallConvolution,
    asked,
    measured,
    recipe_task,
)

STEPS = 5
EVERYWHERE: dict[str, dict[str, object]] = {
    "l1": {"l1": 0.01},
    "l2_sp": {"l2_sp": 0.5},
    "gradient_norm": {"gradient_norm": 0.05},
    "early_stopping": {"early_stopping": {"interval": 1, "patience": 1}, "learning_rate": 0.3},
    "flip": {"augmentation": [{"kind": "flip", "vertical_probability": 0.5}]},
    "rotation": {"augmentation": [{"kind": "rotation", "degrees": 40}]},
    "shifted_crop": {"augmentation": [{"kind": "shifted_crop", "pixels": 2}]},
    "noise": {"augmentation": [{"kind": "noise", "standard_deviation": 0.5}]},
    "balanced": {"sampling": "balanced"},
    "class_weights": {"loss": {"kind": "cross_entropy", "class_weights": [1, 5, 0.2]}},
    "label_smoothing": {"loss": {"kind": "cross_entropy", "label_smoothing": 0.2}},
    "mse": {"loss": {"kind": "mse"}},
    "exponential": {"schedule": {"kind": "exponential", "warm_up": 0.4}},
    "cosine": {"schedule": {"kind": "cosine", "warm_up": 0.4}},
    "one_cycle": {"schedule": {"kind": "one_cycle"}},
    "rates": {"learning_rate": [0.1, 0.01], "learning_rate_per_candidate": True},
}
PAIRS: dict[str, dict[str, object]] = {
    "clipped pull": {"l2_sp": 2, "gradient_norm": 0.1, "optimizer": {"kind": "sgd"}},
    "stopped at several rates": {
        "learning_rate": [0.3, 0.01],
        "learning_rate_per_candidate": True,
        "early_stopping": {"interval": 1, "patience": 1},
    },
    "augmented draws": {
        "sampling": "balanced",
        "augmentation": [{"kind": "flip"}, {"kind": "noise"}],
        "early_stopping": {"interval": 2, "patience": 1},
    },
    "weighted squares": {
        "loss": {"kind": "mse", "class_weights": "balanced"},
        "optimizer": {"kind": "rmsprop", "momentum": 0.5},
        "l1": 0.01,
    },
    "scheduled rates": {
        "learning_rate": [0.1, 0.01],
        "learning_rate_per_candidate": True,
        "schedule": {"kind": "cosine", "warm_up": 0.2},
        "optimizer": {"kind": "adamw", "weight_decay": 0.3},
        "gradient_norm": 0.1,
    },
}
OF_LAYERS: dict[str, dict[str, object]] = {
    "dropout": {"dropout": 0.5},
    "frozen": {"batch_norm": {"frozen": True}},
    "before": {"batch_norm": {"reestimate": "before"}},
    "after": {"batch_norm": {"reestimate": "after"}},
    "frozen, before": {"batch_norm": {"reestimate": "before", "frozen": True}},
    "frozen, after": {"batch_norm": {"reestimate": "after", "frozen": True}},
    "after at several rates": {
        "batch_norm": {"reestimate": "after"},
        "learning_rate": [0.1, 0.01],
        "learning_rate_per_candidate": True,
    },
    "stopped, frozen": {
        "batch_norm": {"reestimate": "before", "frozen": True},
        "early_stopping": {"interval": 1, "patience": 1},
        "learning_rate": 0.3,
        "dropout": 0.5,
    },
}
KINDS: dict[str, dict[str, object]] = {
    "full": {"kind": "full"},
    "transferred": {"kind": "partial", "freeze": "transferred", "kept_rate": 0.3},
    "kept": {"kind": "partial", "freeze": "kept"},
    "last": {"kind": "partial", "freeze": "all_but_last", "last_genes": 1},
    "probe": {"kind": "linear_probe_then_full", "probe_rate": 3},
}
TEACHING: dict[str, object] = {"kind": "distill", "batch_size": 8, "teacher_steps": 3, "steps": 2}
PHASES: dict[str, list[dict[str, object]]] = {
    "full, then what all have frozen": [KINDS["full"], KINDS["last"]],
    "teacher, then full": [{**TEACHING, "dropout": 0.5}, KINDS["full"]],
    "teacher, then stopped": [
        {**TEACHING, "augmentation": [{"kind": "noise"}]},
        {**KINDS["kept"], "early_stopping": {"interval": 1, "patience": 1}},
    ],
}


def assert_layouts_agree(task: Task) -> None:
    rates = task.strategy.config.learning_rates_of_one
    chunk = asked(task, STEPS, Arm(rates) if len(rates) > 1 else None)
    expected = [evaluation.loss for evaluation in measured(task, "loop", chunk)]
    assert len(set(expected)) == len(chunk)
    for layout in FUSED:
        losses = [evaluation.loss for evaluation in measured(task, layout, chunk)]
        assert losses == pytest.approx(expected, rel=1e-6), layout


@pytest.mark.parametrize("option", sorted(EVERYWHERE))
def test_layouts_agree_on_an_option(option: str) -> None:
    assert_layouts_agree(recipe_task(Perceptron, **EVERYWHERE[option]))
    mixed = {**KINDS["transferred"], **EVERYWHERE[option]}
    assert_layouts_agree(recipe_task(SmallConvolution, **mixed))


# By turns, as in the next test.
@pytest.mark.parametrize(
    ("pair", "kind"), [(pair, ("full", "kept")[i % 2]) for i, pair in enumerate(sorted(PAIRS))]
)
def test_layouts_agree_on_options_together(pair: str, kind: str) -> None:
    assert_layouts_agree(recipe_task(SmallConvolution, **{**KINDS[kind], **PAIRS[pair]}))


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        (option, kind)
        for i, option in enumerate(sorted(OF_LAYERS))
        for kind in ("full", ("kept", "last", "probe")[i % 3])
    ],
)
def test_layouts_agree_on_dropout_and_running_statistics(option: str, kind: str) -> None:
    assert_layouts_agree(recipe_task(SmallConvolution, **{**KINDS[kind], **OF_LAYERS[option]}))


@pytest.mark.parametrize("phases", sorted(PHASES))
def test_layouts_agree_on_phases(phases: str) -> None:
    recipes = [{"batch_size": 8, "learning_rate": 0.01, **recipe} for recipe in PHASES[phases]]
    assert_layouts_agree(recipe_task(SmallConvolution, kind="phases", phases=recipes))
