"""Tests of measuring masks by grafting and training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from models.checkpoints import State, load_state
from models.data.dataset import Examples
from models.evaluator import Task
from models.families.small_cnn import SmallCNNConfig, SmallCNNFamily
from models.final_artifacts import FinalArtifacts
from models.metrics import METRICS
from models.plans.plan import Plan
from models.population.vmap import VmapLayout
from models.scoring.metric import build_metric
from models.scoring.predictions import Predictions
from models.scoring.retention import Retention
from models.surroundings import NOTHING, Surroundings
from models.weights.init import InitConfig, InitWeights
from models.weights_source import WeightsContext
from search.errors import ChunkOutOfMemoryError
from search.evaluation import FINAL_REPLICATE, Arm, Candidate, Evaluation, Outcome
from search.genome import Genome, keep_all, transfer_all
from tests.models.small_task import (
    IMAGES,
    LOOP,
    VMAP,
    build_network,
    build_task,
    candidates,
    evaluator,
    examples,
    family_task,
)

CNN: tuple[str, dict[str, object]] = ("small_cnn", {"width": 4, "hidden": 8, "norm": "batch"})
STEPS = 3


@pytest.fixture(params=[VMAP, LOOP], ids=["vmap", "loop"])
def plan(request: pytest.FixtureRequest) -> Plan:
    value: Plan = request.param
    return value


def measurements(
    evaluations: Sequence[Evaluation],
) -> list[tuple[Outcome, float | None, float | None]]:
    return [(e.outcome, e.fitness, e.loss) for e in evaluations]


def test_evaluations_come_back_in_the_order_asked(plan: Plan) -> None:
    task = family_task(*CNN)
    asked = candidates(task, STEPS)
    evaluations = evaluator(task, plan).evaluate(asked)
    assert [evaluation.candidate for evaluation in evaluations] == list(asked)
    assert len(set(measurements(evaluations))) > 1


def test_the_same_seed_gives_the_same_bits(plan: Plan) -> None:
    asked = candidates(family_task(*CNN), STEPS)
    first = evaluator(family_task(*CNN), plan).evaluate(asked)
    second = evaluator(family_task(*CNN), plan).evaluate(asked)
    assert measurements(first) == measurements(second)


def test_reduced_precision_trains_as_far_as_the_exact_one(plan: Plan) -> None:
    """Every step must see the weights that the one before it left, not copies of the first ones."""
    task = family_task(*CNN)
    asked = candidates(task, 40)
    exact = evaluator(task, plan).evaluate(asked)
    reduced = evaluator(task, plan.model_copy(update={"dtype": "bfloat16"})).evaluate(asked)
    untrained = evaluator(task, plan).evaluate([replace(c, fidelity=0) for c in asked])
    for before, one, other in zip(untrained, exact, reduced, strict=True):
        assert before.loss is not None
        assert one.loss is not None
        assert other.loss is not None
        assert one.loss < before.loss
        assert other.loss == pytest.approx(one.loss, abs=0.25 * (before.loss - one.loss))


def test_another_seed_gives_another_training(plan: Plan) -> None:
    task = family_task(*CNN)
    asked = candidates(task, STEPS)
    other = evaluator(dataclasses.replace(task, seed=6), plan).evaluate(asked)
    assert measurements(evaluator(task, plan).evaluate(asked)) != measurements(other)


def test_neighbours_do_not_change_a_single_bit() -> None:
    task = family_task(*CNN)
    one, two, three, four = candidates(task, STEPS)
    measure = evaluator(task, VMAP)
    together = measurements(measure.evaluate([one, two, three, four]))
    swapped = measurements(measure.evaluate([four, two, three, one]))
    assert swapped == [together[i] for i in (3, 1, 2, 0)]
    # Three candidates are padded to a chunk of four.
    assert measurements(measure.evaluate([one, three, four])) == [together[i] for i in (0, 2, 3)]


def test_a_chunk_is_padded_to_a_size_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    task, sizes = family_task(*CNN), []
    logits = VmapLayout.logits

    def watched(layout: VmapLayout, state: State, part: Examples) -> torch.Tensor:
        sizes.append(len(state["conv1.weight"]))
        return logits(layout, state, part)

    monkeypatch.setattr(VmapLayout, "logits", watched)
    for count in (1, 2, 4):
        assert len(evaluator(task, VMAP).evaluate(candidates(task, 0)[:count])) == count
    assert sizes == [1, 4, 4]


def test_replicates_draw_other_minibatches(plan: Plan) -> None:
    task = family_task(*CNN)
    measure = evaluator(task, plan)
    first, second = (measure.evaluate(candidates(task, STEPS, replicate=r)) for r in (0, 1))
    assert measurements(first) != measurements(second)


def test_fidelity_zero_scores_the_graft_itself(plan: Plan) -> None:
    task = family_task(*CNN)
    kept = evaluator(task, plan).evaluate([Candidate(keep_all(task.genes.n_genes), 0)])[0]
    network = build_network(*CNN).eval()
    network.load_state_dict(task.target(0))
    logits = network(**task.data.validation.inputs)
    labels = task.data.validation.labels
    assert kept.loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert kept.fitness == pytest.approx((logits.argmax(1) == labels).double().mean().item())


def test_fitness_is_minus_the_loss_when_asked_for(plan: Plan) -> None:
    task = dataclasses.replace(family_task(*CNN), metric="log_loss")
    for evaluation in evaluator(task, plan).evaluate(candidates(task, STEPS)):
        assert evaluation.loss is not None
        assert evaluation.fitness == -evaluation.loss


@pytest.mark.parametrize("metric", METRICS.names())
def test_every_metric_scores_a_chunk(metric: str) -> None:
    task = dataclasses.replace(family_task(*CNN), metric=metric)
    candidate = Candidate(keep_all(task.genes.n_genes), 0)
    [kept] = evaluator(task, VMAP).evaluate([candidate])
    network = build_network(*CNN).eval()
    network.load_state_dict(task.target(0))
    with torch.no_grad():
        logits = network(**task.data.validation.inputs).unsqueeze(0)
    value = build_metric(metric).values(Predictions.of(logits, task.data.validation.labels))
    assert kept.fitness == pytest.approx(value.item(), rel=1e-5)


def test_keeping_the_source_task_counts_by_its_weight(plan: Plan, tmp_path: Path) -> None:
    task = family_task(*CNN)
    own = Retention(0.25, examples(29, purpose="a"), examples(11, purpose="b"))
    both = dataclasses.replace(task, retention=own)
    artifacts = FinalArtifacts(tmp_path)
    asked = candidates(task, STEPS, replicate=FINAL_REPLICATE)
    alone = evaluator(task, plan).evaluate(asked)
    together = evaluator(both, plan, artifacts).evaluate(asked)
    for candidate, target, combined in zip(asked, alone, together, strict=True):
        network = build_network(*CNN).eval()
        network.load_state_dict(load_state(artifacts.weights_path(candidate)))
        hits = [
            network(**part.inputs).argmax(1) == part.labels for part in (own.validation, own.test)
        ]
        assert target.fitness is not None
        expected = 0.75 * target.fitness + 0.25 * hits[0].double().mean().item()
        assert combined.fitness == pytest.approx(expected)
        assert combined.loss == target.loss
        answers = artifacts.answers([candidate], task.data.test.labels, own.test.labels)
        assert answers.source is not None
        assert torch.equal(answers.source.hits[0], hits[1])


def test_an_arm_replaces_the_learning_rate(plan: Plan) -> None:
    slow, fast = family_task(*CNN, learning_rate=0.001), family_task(*CNN, learning_rate=0.02)
    asked = candidates(slow, STEPS)
    in_arm = [replace(candidate, arm=Arm(learning_rate=0.02)) for candidate in asked]
    measured = measurements(evaluator(slow, plan).evaluate(in_arm))
    assert measured == measurements(evaluator(fast, plan).evaluate(asked))
    assert measured != measurements(evaluator(slow, plan).evaluate(asked))


def test_a_chunk_of_two_fidelities_is_refused(plan: Plan) -> None:
    task = family_task(*CNN)
    one, two, *_ = candidates(task, STEPS)
    with pytest.raises(ValueError, match="cannot be trained together"):
        evaluator(task, plan).evaluate([one, replace(two, fidelity=STEPS + 1)])


def test_training_that_explodes_is_an_outcome(plan: Plan) -> None:
    # Without normalisation, which would hide the size of the weights.
    options: dict[str, object] = {"width": 4, "hidden": 8}
    task = family_task("small_cnn", options, optimizer={"kind": "sgd"}, learning_rate=1e6)
    evaluations = evaluator(task, plan).evaluate(candidates(task, 20))
    assert measurements(evaluations) == [(Outcome.DIVERGED, None, None)] * 4


@pytest.mark.parametrize("options", [CNN[1], {"width": 4, "hidden": 8}])
def test_one_diverged_candidate_leaves_its_neighbours_alone(
    plan: Plan, options: dict[str, object]
) -> None:
    task = family_task("small_cnn", options)
    poisoned = {name: tensor.clone() for name, tensor in task.source.items()}
    poisoned["conv3.weight"][0, 0, 0, 0] = torch.inf
    hurt = dataclasses.replace(task, source=poisoned)
    conv3 = [gene.name for gene in task.genes.genes].index("conv3")
    asked = list(candidates(task, STEPS, count=4))
    evaluations = measurements(evaluator(hurt, plan).evaluate(asked))
    healthy = measurements(evaluator(task, plan).evaluate(asked))
    for candidate, got, expected in zip(asked, evaluations, healthy, strict=True):
        keeps_conv3 = candidate.genome.keeps[conv3]
        assert got == (expected if keeps_conv3 else (Outcome.DIVERGED, None, None))
    assert {candidate.genome.keeps[conv3] for candidate in asked} == {True, False}


class _OutOfMemory(nn.Module):
    """Says what torch says when an allocation fails."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError(
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
        )


class _Broken(_OutOfMemory):
    """Has a programming error."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes do not fit")


def failing_task(network: nn.Module) -> Task:

    return build_task(network, network.state_dict(), network.state_dict())


def test_several_candidates_without_memory_are_asked_for_again(plan: Plan) -> None:
    task = failing_task(_OutOfMemory())
    masks = [Candidate(keep_all(1), STEPS), Candidate(transfer_all(1), STEPS)]
    with pytest.raises(ChunkOutOfMemoryError, match="2 candidates"):
        evaluator(task, plan).evaluate(masks)


def test_one_candidate_without_memory_is_an_outcome(plan: Plan) -> None:
    evaluations = evaluator(failing_task(_OutOfMemory()), plan).evaluate(
        [Candidate(keep_all(1), STEPS)]
    )
    assert measurements(evaluations) == [(Outcome.OUT_OF_MEMORY, None, None)]


def test_a_programming_error_is_not_taken_for_a_lack_of_memory(plan: Plan) -> None:
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        evaluator(failing_task(_Broken()), plan).evaluate([Candidate(keep_all(1), STEPS)])


def test_source_and_target_are_never_changed(plan: Plan) -> None:
    task = family_task(*CNN)
    source, target = _copy(task.source), _copy(task.target(0))
    evaluator(task, plan).evaluate(candidates(task, STEPS))
    for before, after in ((source, task.source), (target, task.target(0))):
        assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_target_that_is_redrawn_differs_between_replicates() -> None:

    family = SmallCNNFamily(SmallCNNConfig(width=4, hidden=8, norm="batch"), NOTHING)
    context = WeightsContext(
        family, IMAGES, Surroundings.of(Path("inputs")), seed=0, field="target"
    )
    fresh = InitWeights(InitConfig(redraw=True), context)
    task = dataclasses.replace(family_task(*CNN), target=fresh.load)
    keep = keep_all(task.genes.n_genes)
    losses = [evaluator(task, VMAP).evaluate([Candidate(keep, 0, r)])[0].loss for r in (0, 1, 0)]
    assert losses[0] != losses[1]
    assert losses[0] == losses[2]


def test_a_final_evaluation_leaves_test_scores_and_weights(plan: Plan, tmp_path: Path) -> None:
    task, artifacts = family_task(*CNN), FinalArtifacts(tmp_path / "final")
    asked = candidates(task, STEPS, count=3, replicate=FINAL_REPLICATE)
    plain = evaluator(task, plan).evaluate(asked)
    assert measurements(evaluator(task, plan, artifacts).evaluate(asked)) == measurements(plain)
    for candidate in asked:
        network = build_network(*CNN).eval()
        network.load_state_dict(load_state(artifacts.weights_path(candidate)))
        with torch.no_grad():
            logits = network(**task.data.test.inputs)
        labels = task.data.test.labels
        answers = artifacts.answers([candidate], labels)
        assert torch.equal(answers.target.classes[0], logits.argmax(1))
        assert answers.source is None
        losses = nn.functional.cross_entropy(logits.double(), labels, reduction="none")
        torch.testing.assert_close(answers.target.losses[0], losses, rtol=1e-4, atol=1e-6)


def test_test_data_never_decide_what_has_diverged(plan: Plan, tmp_path: Path) -> None:
    task = family_task(*CNN)
    endless = Examples({"x": torch.full((3, 1, 8, 8), torch.inf)}, torch.tensor([0, 1, 2]))
    hurt = dataclasses.replace(task, data=dataclasses.replace(task.data, test=endless))
    asked = candidates(task, STEPS, replicate=FINAL_REPLICATE)
    evaluations = evaluator(hurt, plan, FinalArtifacts(tmp_path)).evaluate(asked)
    assert {evaluation.outcome for evaluation in evaluations} == {Outcome.MEASURED}
    answers = FinalArtifacts(tmp_path).answers(asked, endless.labels)
    assert torch.isfinite(answers.target.losses).all()


def test_weights_are_written_at_the_first_final_replicate_only(tmp_path: Path) -> None:
    task, artifacts = family_task(*CNN), FinalArtifacts(tmp_path)
    candidate = Candidate(Genome((True,) * task.genes.n_genes), STEPS, FINAL_REPLICATE + 1)
    evaluator(task, VMAP, artifacts).evaluate([candidate])
    answers = artifacts.answers([candidate], task.data.test.labels)
    assert answers.target.classes.shape == (1, 13)
    assert not artifacts.weights_path(candidate).exists()


def _copy(state: State) -> State:
    return {name: tensor.clone() for name, tensor in state.items()}
