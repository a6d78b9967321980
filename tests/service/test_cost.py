"""What a search will cost, and refusals of what does not fit, before anything is trained."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient

from models.surroundings import Surroundings
from search.decisions import DecisionLog
from search.errors import InvalidInputError
from search.ledger import InMemoryLedger
from search.optimizer import SearchProblem
from search.optimizers.genetic import GeneticConfig
from search.optimizers.random import RandomSearchConfig
from service import cost, planning
from service.app import create_app
from service.composition import check_spec, compose, describe_spec
from service.cost import (
    TimeEstimate,
    planned_work,
    render_cost,
    shown_seconds,
    untrained_share,
)
from service.settings import Settings
from service.spec import SearchSpec
from service.supervisor import Supervisor
from tests.service.server_process import QUICK_SPEC


def spec_of(**changes: Any) -> SearchSpec:
    return SearchSpec.model_validate(QUICK_SPEC | changes)


def test_the_estimate_counts_trainings_steps_and_memory(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Supervisor, "_step", lambda *_: None)
    monkeypatch.setattr(cost, "may_have_gpu", lambda: False)
    with TestClient(create_app(settings)) as api:
        estimate = api.post("/v1/genes", json=QUICK_SPEC).json()["estimate"]
    parameters = 64 * 16 + 16 + 16 * 16 + 16 + 16 * 5 + 5
    assert estimate["parameters"] == parameters
    # Source, graft, network, gradient, two moments of Adam.
    assert estimate["memory_needed_bytes"] == 6 * 4 * parameters
    assert estimate["memory_available_bytes"] > 0
    assert estimate["phases"]["search"] == {"evaluations": 8, "steps": 40}
    assert estimate["phases"]["final"] == {"evaluations": 8, "steps": 80}
    assert 0 < estimate["time"]["least_seconds"] < estimate["time"]["most_seconds"]


def test_the_estimate_can_be_read(tmp_path: Path) -> None:
    table = check_spec(spec_of(), Surroundings.of(tmp_path))
    assert table.estimate is not None
    text = render_cost(table.estimate)
    assert "1,397 parameters" in text
    assert "search 8 (40 steps)" in text


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.2, "1 s"), (80, "80 s"), (95, "1.6 min"), (600, "10 min"), (9000, "2.5 h")],
)
def test_durations_are_told_in_their_largest_unit(seconds: float, shown: str) -> None:
    assert shown_seconds(seconds) == shown


def test_time_is_guessed_from_arithmetic_and_grows_with_it(tmp_path: Path) -> None:
    def time_of(**changes: Any) -> TimeEstimate:
        estimate = describe_spec(spec_of(**changes), Surroundings.of(tmp_path)).estimate
        assert estimate is not None
        assert estimate.time is not None
        assert 0 < estimate.time.least_seconds < estimate.time.most_seconds
        assert "a guess from arithmetic is" in render_cost(estimate)
        return estimate.time

    small = time_of()
    large = time_of(model={"kind": "mlp", "hidden": [2048, 2048]})
    assert large.least_seconds > 2 * small.least_seconds


def test_what_is_left_of_an_evaluation_without_training_counts_the_samples_of_both() -> None:
    spec = spec_of(finetune={"kind": "full", "steps": 10, "batch_size": 32})
    assert untrained_share(spec, 1000, 96) == pytest.approx(96 / (3 * 10 * 32 + 96))
    # A minibatch has at most all samples.
    assert untrained_share(spec, 16, 96) == pytest.approx(96 / (3 * 10 * 16 + 96))
    # Parts that come with the data are counted when they are read.
    assert untrained_share(spec, 0, 96) is untrained_share(spec, 16, 0) is None


def test_the_work_at_most_counts_masks_that_are_looked_at() -> None:
    spec, n_scored = spec_of(), 50
    problem = SearchProblem(4, 5, 8, untrained_share=0.01)
    without = planned_work(
        spec.model_copy(update={"optimizer": RandomSearchConfig()}), problem, n_scored
    )
    looking = planned_work(
        spec.model_copy(update={"optimizer": GeneticConfig()}), problem, n_scored
    )
    assert looking.trained_samples == without.trained_samples
    assert looking.scored_samples == without.scored_samples + (3 + 1) * 8 * n_scored


def test_no_time_is_guessed_where_a_gpu_may_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "may_have_gpu", lambda: True)
    estimate = describe_spec(spec_of(), Surroundings.of(tmp_path)).estimate
    assert estimate is not None
    assert estimate.time is None
    assert "`transfermask bench` measures it" in render_cost(estimate)


def test_a_model_beyond_all_bounds_is_refused(tmp_path: Path) -> None:
    spec = spec_of(model={"kind": "mlp", "hidden": [65536] * 6})
    with pytest.raises(InvalidInputError, match=r"model: a network of .* at most 20,000,000,000"):
        check_spec(spec, Surroundings.of(tmp_path))


def test_what_the_machine_never_has_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "machine_bytes", lambda: 30_000)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    with pytest.raises(
        InvalidInputError, match=r"model: a network of 1,397 parameters.*0\.0286 MiB that .*too few"
    ):
        check_spec(spec_of(), Surroundings.of(tmp_path))
    # With a GPU, main memory holds source and target only: 11,176 bytes.
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    assert check_spec(spec_of(), Surroundings.of(tmp_path)).n_genes == 3


def test_what_the_machine_has_not_now_is_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "available_bytes", lambda _: 30_000)
    log = DecisionLog(InMemoryLedger())
    with pytest.raises(InvalidInputError, match="are free on this machine now"):
        compose(spec_of(), decisions=log, folder=tmp_path, surroundings=Surroundings.of(tmp_path))
    assert not (tmp_path / "source.safetensors").exists(), "nothing was pretrained"


def test_a_minibatch_that_does_not_fit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "available_bytes", lambda _: 10_000)
    log = DecisionLog(InMemoryLedger())
    spec = spec_of(plan="auto", source={"kind": "init"})
    with pytest.raises(InvalidInputError, match=r"finetune\.batch_size: 32, .* MiB too few"):
        compose(spec, decisions=log, folder=tmp_path, surroundings=Surroundings.of(tmp_path))


def test_the_network_of_a_task_has_no_memory_of_its_own(tmp_path: Path) -> None:
    log = DecisionLog(InMemoryLedger())
    spec = spec_of(source={"kind": "init"})
    bench = compose(spec, decisions=log, folder=tmp_path, surroundings=Surroundings.of(tmp_path))
    with closing(bench):
        weights = bench.task.network.parameters()
        assert max(weight.untyped_storage().nbytes() for weight in weights) == 4
