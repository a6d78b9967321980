"""What every registered fine-tuning strategy promises; a new file is tested as soon as it has an example here."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest
import torch
from pydantic import ValidationError

from models.evaluator import Task
from models.finetuning import STRATEGIES
from models.graft import graft_population
from models.plans.plan import Plan
from models.population import LayoutName, build_layout
from models.recipe.fine_tuning import FineTuner, Rows
from models.recipe.strategy import TrainingOptions, build_strategy, steps_by_stage
from models.recipe.teachers import with_teachers
from search.evaluation import Candidate
from search.genome import Genome, keep_all
from tests.models.small_task import candidates, evaluator, family_task, spread_masks

LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)
FUSED = tuple(layout for layout in LAYOUTS if layout != "loop")
MLP: tuple[str, dict[str, object]] = ("mlp", {"hidden": [16]})
CNN: tuple[str, dict[str, object]] = ("small_cnn", {"width": 4, "hidden": 8, "norm": "batch"})
SHARED: dict[str, object] = {"batch_size": 8, "learning_rate": 0.01}
TAUGHT: dict[str, object] = {"kind": "distill", "teacher_steps": 5}
EXAMPLES: dict[str, dict[str, object]] = {
    "full": {"kind": "full"},
    "partial": {"kind": "partial"},
    "partial_kept": {"kind": "partial", "freeze": "kept"},
    "partial_last": {"kind": "partial", "freeze": "all_but_last", "last_genes": 1},
    "partial_rates": {
        "kind": "partial",
        "freeze": "nothing",
        "transferred_rate": 0.1,
        "kept_rate": 2,
    },
    "linear_probe_then_full": {"kind": "linear_probe_then_full", "probe_rate": 3},
    "distill_soft": TAUGHT,
    "distill_hard": {**TAUGHT, "labels": "hard"},
    "distill_source": {**TAUGHT, "teacher": "source"},
    "phases": {
        "kind": "phases",
        "phases": [{**TAUGHT, **SHARED, "steps": 10}, {"kind": "full", **SHARED, "steps": 20}],
    },
}


@pytest.fixture(params=sorted(EXAMPLES))
def example(request: pytest.FixtureRequest) -> dict[str, object]:
    chosen = EXAMPLES[request.param]
    return chosen if chosen["kind"] == "phases" else {**SHARED, **chosen}


@pytest.fixture(params=[name for name in STRATEGIES.names() if name != "phases"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def parsed(options: dict[str, object]) -> TrainingOptions:
    return STRATEGIES.config(str(options["kind"])).model_validate(options)  # type: ignore[return-value]


def task(options: dict[str, object], network: tuple[str, dict[str, object]] = MLP) -> Task:
    strategy = build_strategy(parsed(options))
    return with_teachers(dataclasses.replace(family_task(*network), strategy=strategy))


def test_every_strategy_has_an_example() -> None:
    assert {str(options["kind"]) for options in EXAMPLES.values()} == set(STRATEGIES.names())


def test_options_have_a_schema_and_refuse_unknown_keys(kind: str) -> None:
    schema = STRATEGIES.config(kind).model_json_schema()
    assert schema["properties"]["kind"]["const"] == kind
    with pytest.raises(ValidationError, match="Extra inputs"):
        parsed({"kind": kind, "epochs": 3})


@pytest.mark.parametrize(
    "options", [{"steps": 0}, {"batch_size": 0}, {"learning_rate": -1.0}, {"learning_rate": []}]
)
def test_options_out_of_bounds_are_refused_by_name(kind: str, options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        parsed({"kind": kind, **options})


def test_one_rate_and_several_are_both_a_choice(kind: str) -> None:
    for given, expected in ((0.1, (0.1,)), (1, (1.0,)), ([0.1, 0.3, 0.1], (0.1, 0.3))):
        assert parsed({"kind": kind, "learning_rate": given}).learning_rates == expected


def test_stages_share_out_all_steps(example: dict[str, object]) -> None:
    strategy = build_strategy(parsed(example))
    for n_steps in (0, 1, 7, 30):
        assert sum(steps for _, steps in steps_by_stage(strategy, n_steps)) == n_steps


def test_training_lowers_the_loss_on_what_it_trains_on(example: dict[str, object]) -> None:
    learnable = task(example)
    data = dataclasses.replace(learnable.data, validation=learnable.data.train)
    measure = evaluator(dataclasses.replace(learnable, data=data), Plan(layout="vmap", threads=1))
    mixed = Genome((True, False))
    before, after = (measure.evaluate([Candidate(mixed, steps)])[0].loss for steps in (0, 30))
    assert before is not None
    assert after is not None
    assert after < 0.8 * before


@pytest.mark.parametrize("network", [MLP, CNN], ids=["mlp", "cnn"])
def test_all_layouts_compute_the_same(
    example: dict[str, object], network: tuple[str, dict[str, object]]
) -> None:
    learnable = task(example, network)
    asked = candidates(learnable, 5)
    single = evaluator(learnable, Plan(layout="loop", dtype="float64", threads=1))
    expected = [single.evaluate([c])[0].loss for c in asked]
    for layout in FUSED:
        fused = Plan(layout=layout, chunks=(1, 4), dtype="float64", threads=1)
        losses = [e.loss for e in evaluator(learnable, fused).evaluate(asked)]
        assert losses == pytest.approx(expected, rel=1e-6), layout


def test_a_seeded_run_repeats_bit_for_bit(example: dict[str, object]) -> None:
    runs = [
        [
            e.loss
            for e in evaluator(task(example), Plan(layout="stacked", threads=1)).evaluate(
                [Candidate(keep_all(2), 6)]
            )
        ]
        for _ in range(2)
    ]
    assert runs[0] == runs[1]


def test_what_is_frozen_stays_bit_for_bit_and_all_else_changes(example: dict[str, object]) -> None:
    if example["kind"] != "phases":
        example = {**example, "optimizer": {"kind": "adam", "weight_decay": 0.1}}
    learnable = task(example, CNN)
    genomes = spread_masks(learnable.genes.n_genes, 4)
    before = graft_population(
        learnable.target(0),
        learnable.source,
        learnable.genes,
        torch.tensor([genome.keeps for genome in genomes]),
    )
    tuner = FineTuner(
        learnable.network,
        learnable.genes,
        learnable.data,
        learnable.strategy,
        learnable.seed,
        learnable.teachers,
    )
    rows = Rows(tuple(genomes), (0.01,) * len(genomes))
    objectives = [stage.objective for stage in learnable.strategy.stages]
    for layout in LAYOUTS:
        state = {name: tensor.clone() for name, tensor in before.items()}
        tuner.train(build_layout(layout, learnable.network), state, rows, steps=4, replicates=0)
        for row, genome in enumerate(genomes):
            frozen = frozenset.intersection(
                *(objective.frozen(learnable.genes, genome) for objective in objectives)
            )
            same = {n for n in state if torch.equal(before[n][row], state[n][row])}
            assert same == frozen, layout
