"""Whole searches by richer recipes, killed in the middle."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from models.evaluator import Task
from models.recipe import teachers
from models.recipe.strategy import Teacher
from models.surroundings import Surroundings
from search.evaluation import Arm, Evaluation
from search.ledger import EvaluationRow, InMemoryLedger, Ledger, canonical_json
from service.composition import check_spec
from service.pipeline import run_search
from service.progress import planned_steps
from service.result import Progress, SearchResult
from service.spec import SearchSpec
from tests.service.server_process import QUICK_SPEC
from tests.service.test_pipeline import FUSED, DyingLedger, KilledError

pytestmark = pytest.mark.usefixtures("blank_report")
RATES = (0.01, 0.001)
PER_CANDIDATE: dict[str, Any] = QUICK_SPEC["finetune"] | {
    "learning_rate": RATES,
    "learning_rate_per_candidate": True,
}
TAUGHT: dict[str, Any] = {
    "kind": "phases",
    "phases": [
        {
            "kind": "distill",
            "teacher_steps": 20,
            "steps": 3,
            "batch_size": 32,
            "augmentation": [{"kind": "shifted_crop"}],
            "learning_rate": [0.003, 0.001],
        },
        {"kind": "partial", "freeze": "transferred", "steps": 2, "batch_size": 32},
    ],
}


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Teacher]:
    """Every teacher whose logits are computed."""
    seen: list[Teacher] = []
    compute = teachers._logits

    def watched(task: Task, teacher: Teacher) -> torch.Tensor:
        seen.append(teacher)
        return compute(task, teacher)

    monkeypatch.setattr(teachers, "_logits", watched)
    return seen


def spec(finetune: dict[str, Any], **changes: Any) -> SearchSpec:
    document = QUICK_SPEC | {"plan": FUSED, "finetune": finetune} | changes
    return SearchSpec.model_validate(document)


def run(
    wanted: SearchSpec, ledger: Ledger, folder: Path, told: list[Progress] | None = None
) -> SearchResult:
    inputs = Surroundings.of(folder)
    check_spec(wanted, inputs)
    listener = (lambda _: None) if told is None else told.append
    return run_search(wanted, ledger=ledger, folder=folder, surroundings=inputs, listener=listener)


def run_and_die(wanted: SearchSpec, folder: Path, *lives: int) -> tuple[SearchResult, Ledger]:
    """Die after so many transactions in each life, then go on to the end."""
    ledger = InMemoryLedger()
    for transactions in lives:
        with pytest.raises(KilledError):
            run(wanted, DyingLedger(ledger, transactions), folder)
    return run(wanted, ledger, folder), ledger


def evaluations(ledger: Ledger, *phases: str) -> list[Evaluation]:
    rows = [row for row in ledger.rows() if isinstance(row, EvaluationRow)]
    return [row.evaluation for row in rows if row.position.phase in phases]


def is_same(one: SearchResult, other: SearchResult) -> bool:
    return one.model_dump(exclude={"seconds"}) == other.model_dump(exclude={"seconds"})


def test_a_search_at_several_rates_per_candidate_is_resumed(tmp_path: Path) -> None:
    wanted, alone, told = spec(PER_CANDIDATE), InMemoryLedger(), list[Progress]()
    result = run(wanted, alone, tmp_path / "alone", told)
    # Nothing is measured to choose a rate, and a row says at which rates its candidate was trained.
    assert {e.candidate.arm for e in evaluations(alone, "search")} == {Arm(RATES)}
    assert {e.candidate.arm.label for e in evaluations(alone, "search")} == {
        "learning_rate=0.01,0.001"
    }
    assert evaluations(alone, "preparing") == []
    # At full length every rate is a recipe of its own, and the final takes the one that the race chose.
    full_length = [
        e for e in evaluations(alone, "race") if e.candidate.fidelity == wanted.final.steps
    ]
    assert {e.candidate.arm for e in full_length} == {Arm(rate) for rate in RATES}
    chosen = {(e.candidate.genome, e.candidate.arm) for e in evaluations(alone, "final")}
    assert len(chosen) == len({genome for genome, _ in chosen})
    assert result.learning_rate in RATES
    steps: Counter[str] = Counter()
    for phase in ("search", "race", "final"):
        for e in evaluations(alone, phase):
            steps[phase] += e.candidate.fidelity * len(e.candidate.arm.rates)
    planned = planned_steps(wanted, n_genes=len(result.genes))
    assert steps["search"] == planned["search"] == 8 * 5 * 2
    assert all(0 < steps[phase] <= planned[phase] for phase in ("race", "final"))
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions)
    resumed, ledger = run_and_die(wanted, tmp_path / "killed", 2, 3)
    assert canonical_json(ledger.rows()) == canonical_json(alone.rows())
    assert is_same(resumed, result)


def test_a_taught_search_in_phases_is_resumed_and_its_teacher_trained_once(
    tmp_path: Path, trainings: list[Teacher]
) -> None:
    wanted, alone = spec(TAUGHT), InMemoryLedger()
    result = run(wanted, alone, tmp_path / "alone")
    assert [teacher.steps for teacher in trainings] == [20]
    # The search chose between the first phase's rates.
    assert len({e.candidate.arm for e in evaluations(alone, "preparing")}) == 2
    assert {e.candidate.fidelity for e in evaluations(alone, "search")} == {5}
    trainings.clear()
    resumed, ledger = run_and_die(wanted, tmp_path / "killed", 1, 4)
    assert len(trainings) == 1
    assert canonical_json(ledger.rows()) == canonical_json(alone.rows())
    assert is_same(resumed, result)


def test_a_teacher_says_the_same_whatever_the_plan(tmp_path: Path) -> None:
    for name, plan in (("fused", FUSED), ("loop", {"layout": "loop", "threads": 1})):
        ledger = InMemoryLedger()
        run(spec(TAUGHT, plan=plan), ledger, tmp_path / name)
        assert {e.outcome for e in evaluations(ledger, "search", "final")} == {"measured"}
    theirs, ours = tmp_path.glob("*/teacher-*.safetensors")
    assert theirs.name == ours.name
    assert theirs.read_bytes() == ours.read_bytes()
