"""A whole search in this process: real digits, small networks, killed in the middle."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from models.checkpoints import State, save_state
from models.data.dataset import Examples
from models.data.shapes import DataShape
from models.evaluator import GraftEvaluator
from models.family import build_family
from models.surroundings import NOTHING, Surroundings
from models.weights.pretrain import PretrainedWeights
from search.errors import InvalidInputError
from search.evaluation import Candidate, Evaluation
from search.ledger import (
    DecisionRow,
    EvaluationRow,
    InMemoryLedger,
    JsonLinesLedger,
    Ledger,
    Row,
    canonical_json,
)
from service.composition import check_spec, read_data
from service.pipeline import run_search
from service.result import Progress, SearchResult
from service.spec import SearchSpec
from tests.service.server_process import QUICK_SPEC

FUSED = {"layout": "vmap", "chunks": [1, 2, 4], "threads": 1}
IN_TWO_PROCESSES = FUSED | {"processes": 2}
pytestmark = pytest.mark.usefixtures("blank_report")
PHASES = ["preparing", "search", "race", "final"]


class KilledError(BaseException):
    """Ends a run as a kill would: nothing catches it."""


class DyingLedger:
    """A ledger whose process dies after so many transactions."""

    def __init__(self, inner: Ledger, transactions: int) -> None:
        self._inner, self._left = inner, transactions

    def rows(self) -> list[Row]:
        return self._inner.rows()

    def append(self, rows: Sequence[Row]) -> None:
        if self._left == 0:
            raise KilledError
        self._left -= 1
        self._inner.append(rows)


def spec(**changes: Any) -> SearchSpec:
    return SearchSpec.model_validate(QUICK_SPEC | {"plan": FUSED} | changes)


def run(spec: SearchSpec, ledger: Ledger, folder: Path) -> SearchResult:
    return run_search(spec, ledger=ledger, folder=folder, surroundings=Surroundings.of(folder))


@dataclass(frozen=True, slots=True)
class Finished:
    """A search that has come to its end, and what it told on the way."""

    ledger: InMemoryLedger
    folder: Path
    result: SearchResult
    told: list[Progress]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The search that nothing happens to, for all who only look at it."""
    ledger, folder = InMemoryLedger(), tmp_path_factory.mktemp("finished")
    told: list[Progress] = []
    result = run_search(
        spec(),
        ledger=ledger,
        folder=folder,
        surroundings=Surroundings.of(folder),
        listener=told.append,
    )
    return Finished(ledger, folder, result, told)


@pytest.mark.parametrize("optimizer", ["genetic", "annealing"])
def test_a_search_killed_after_every_transaction_in_turn_ends_like_one_left_alone(
    optimizer: str, tmp_path: Path
) -> None:
    wanted = spec(optimizer={"kind": optimizer})
    alone = InMemoryLedger()
    # Whatever ran before in this process: the plan alone decides.
    torch.set_num_threads(2)
    result = run(wanted, alone, tmp_path / "alone")
    path = tmp_path / "killed.jsonl"
    deaths = 0
    while True:
        ledger = JsonLinesLedger(path)
        try:
            # Each life gets one transaction further.
            resumed = run(wanted, DyingLedger(ledger, transactions=1), tmp_path / "killed")
            break
        except KilledError:
            deaths += 1
            assert deaths < 100
    assert deaths >= 5
    assert canonical_json(JsonLinesLedger(path).rows()) == canonical_json(alone.rows())
    assert resumed.model_dump(exclude={"seconds"}) == result.model_dump(exclude={"seconds"})
    for name in ("weights.safetensors", "grafted.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()


def test_a_search_in_two_processes_ends_like_one_left_alone_and_leaves_none(tmp_path: Path) -> None:
    wanted = spec(plan=IN_TWO_PROCESSES)
    alone = InMemoryLedger()
    result = run(wanted, alone, tmp_path / "alone")
    assert result.provenance.plan["processes"] == 2
    ledger = InMemoryLedger()
    with pytest.raises(KilledError):
        run(wanted, DyingLedger(ledger, transactions=4), tmp_path / "killed")
    assert psutil.Process().children() == []
    resumed = run(wanted, ledger, tmp_path / "killed")
    assert psutil.Process().children() == []
    assert canonical_json(ledger.rows()) == canonical_json(alone.rows())
    assert resumed.model_dump(exclude={"seconds"}) == result.model_dump(exclude={"seconds"})


def test_no_key_stands_twice_and_every_phase_has_its_own_replicates(tmp_path: Path) -> None:
    ledger = InMemoryLedger()
    # Search and final at the same fidelity: the keys differ by their replicates alone.
    final = QUICK_SPEC["final"] | {"steps": 5}
    run(spec(final=final), ledger, tmp_path)
    rows = [row for row in ledger.rows() if isinstance(row, EvaluationRow)]
    keys = [row.evaluation.candidate.key for row in rows]
    assert len(set(keys)) == len(keys)
    blocks = {row.position.phase: set[int]() for row in rows}
    for row in rows:
        blocks[row.position.phase].add(row.evaluation.candidate.replicate // 1000)
    # Prefixes that the search has not met are measured in the race, at the search's replicate.
    blocks["race"].discard(0)
    assert blocks == {"search": {0}, "race": {1}, "final": {2}}


def test_delivered_weights_load_strictly_and_have_the_test_score_that_is_reported(
    finished: Finished,
) -> None:
    wanted, result, folder = spec(), finished.result, finished.folder
    network = build_family(wanted.model, NOTHING).build(DataShape({"x": (1, 8, 8)}, 5))
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    test = read_data(wanted, NOTHING).test
    network.eval()
    with torch.no_grad():
        hits = network(**test.inputs).argmax(dim=1) == test.labels
    assert float(hits.double().mean()) == pytest.approx(result.test.delivered)
    assert result.test.samples == len(test)


def test_a_search_for_another_metric_reports_it_class_by_class(tmp_path: Path) -> None:
    ledger = InMemoryLedger()
    wanted = spec(fitness={"metric": "macro_f1"})
    result = run(wanted, ledger, tmp_path)
    assert result.test.metric == "macro_f1"
    assert result.by_class is not None
    classes, confusion = result.by_class.classes, result.by_class.confusion
    assert [own.name for own in classes] == ["5", "6", "7", "8", "9"]
    assert sum(own.f1 or 0.0 for own in classes) / 5 == pytest.approx(result.test.mean)
    assert confusion is not None
    assert [sum(row) for row in confusion] == pytest.approx([own.support for own in classes])
    assert sum(own.support for own in classes) == result.test.samples
    # Read back from the ledger: the files it was read from are gone.
    again = run(wanted, ledger, tmp_path)
    assert again.by_class == result.by_class


def test_grafted_weights_are_the_sources_where_the_mask_says_transfer(finished: Finished) -> None:
    grafted = load_file(finished.folder / "grafted.safetensors")
    source = load_file(finished.folder / "source.safetensors")
    for gene in finished.result.genes:
        for name in gene.tensors:
            assert torch.equal(grafted[name], source[name]) == (not gene.keep)


def test_every_baseline_is_in_the_result_and_over_itself_the_winner_gains_nothing(
    finished: Finished,
) -> None:
    result = finished.result
    baselines = (
        result.baselines.keep_all,
        result.baselines.transfer_all,
        result.baselines.best_prefix,
    )
    for baseline in baselines:
        assert baseline is not None
        if baseline.mask == result.mask:
            assert baseline.gain.mean == 0


def test_the_winner_and_the_rates_were_chosen_in_the_race_on_other_draws(tmp_path: Path) -> None:
    ledger = InMemoryLedger()
    result = run(
        spec(final=QUICK_SPEC["final"] | {"learning_rate_factors": [1, 3]}), ledger, tmp_path
    )
    rows = [row for row in ledger.rows() if isinstance(row, EvaluationRow)]
    scores: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        candidate, fitness = row.evaluation.candidate, row.evaluation.fitness
        if row.position.phase == "race" and candidate.fidelity == QUICK_SPEC["final"]["steps"]:
            assert fitness is not None
            scores.setdefault((candidate.genome.bitstring, candidate.arm.label), []).append(fitness)
    # Who was there in all rounds; equal means may be decided by the loss.
    means = {key: sum(own) / 3 for key, own in scores.items() if len(own) == 3}
    final = {
        (row.evaluation.candidate.genome.bitstring, row.evaluation.candidate.arm.label)
        for row in rows
        if row.position.phase == "final"
    }
    (winner,) = (key for key in final if key[0] == result.mask)
    assert means[winner] == pytest.approx(max(means.values()))
    for mask, arm in final:
        assert means[mask, arm] == pytest.approx(max(m for (g, _), m in means.items() if g == mask))


def test_with_equal_networks_every_mask_scores_alike_and_nothing_is_claimed(tmp_path: Path) -> None:
    wanted = spec()
    network = build_family(wanted.model, NOTHING).build(DataShape({"x": (1, 8, 8)}, 5))
    save_state(tmp_path / "network.safetensors", network.state_dict())
    same = {"kind": "file", "path": "network.safetensors"}
    result = run(spec(source=same, target=same), InMemoryLedger(), tmp_path)
    assert result.verdict.code == "no_evidence"
    assert result.verdict.text.startswith("every mask scored alike on every test sample")
    assert result.noise.paired == pytest.approx(0.0, abs=1e-9)


def test_the_test_split_is_read_once_and_after_everything_else(
    finished: Finished, tmp_path: Path
) -> None:
    ledger = InMemoryLedger(finished.ledger.rows())
    decisions = [row.name for row in ledger.rows() if isinstance(row, DecisionRow)]
    assert decisions == ["plan", "gene_priors", "test"]
    assert isinstance(ledger.rows()[-1], DecisionRow)
    # The files it was read from are gone, and the answer is still there.
    assert not (finished.folder / "final").exists()
    again = run(spec(), ledger, shutil.copytree(finished.folder, tmp_path / "again"))
    assert again.test == finished.result.test


def test_progress_goes_through_the_phases_to_the_end(finished: Finished) -> None:
    told = finished.told
    assert list(dict.fromkeys(progress.phase for progress in told)) == PHASES
    fractions = [progress.fraction for progress in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert told[-1].evaluations == QUICK_SPEC["budget"]["evaluations"]


def test_of_several_learning_rates_one_that_diverges_does_not_end_the_search(
    tmp_path: Path,
) -> None:
    finetune = QUICK_SPEC["finetune"] | {"learning_rate": [1e6, 0.003]}
    final = QUICK_SPEC["final"] | {"learning_rate_factors": [1, 1e9]}
    ledger = InMemoryLedger()
    optimizer = {"kind": "sgd", "momentum": 0.9}
    result = run(spec(finetune=finetune | {"optimizer": optimizer}, final=final), ledger, tmp_path)
    assert result.learning_rate == 0.003
    outcomes = {r.evaluation.outcome for r in ledger.rows() if isinstance(r, EvaluationRow)}
    assert outcomes == {"measured", "diverged"}


def test_a_search_in_which_everything_diverges_says_so(tmp_path: Path) -> None:
    finetune = QUICK_SPEC["finetune"] | {"learning_rate": 1e12, "optimizer": {"kind": "sgd"}}
    with pytest.raises(InvalidInputError, match=r"finetune\.learning_rate.*try smaller ones"):
        run(spec(finetune=finetune), InMemoryLedger(), tmp_path)


def test_a_time_limit_ends_the_search_phase_and_still_delivers(tmp_path: Path) -> None:
    ledger = InMemoryLedger()
    wanted = spec(budget={"evaluations": 8, "seconds": 0.001})
    result = run(wanted, ledger, tmp_path)
    assert result.stop_reason == "time_budget"
    assert result.mask
    before = canonical_json(ledger.rows())
    assert run(wanted, ledger, tmp_path).stop_reason == "time_budget"
    assert canonical_json(ledger.rows()) == before


def test_a_measured_plan_is_committed_and_replayed(tmp_path: Path) -> None:
    ledger = InMemoryLedger()
    first = run(spec(plan="auto"), ledger, tmp_path)
    before = canonical_json(ledger.rows())
    second = run(spec(plan="auto"), ledger, tmp_path)
    assert second.provenance.plan == first.provenance.plan
    assert canonical_json(ledger.rows()) == before
    row = ledger.rows()[0]
    assert isinstance(row, DecisionRow)
    assert any(label.startswith("loop") for label in row.timings)


def test_a_chunk_that_does_not_fit_is_halved_and_the_result_replays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = GraftEvaluator._evaluate

    def with_little_memory(self: GraftEvaluator, candidates: Sequence[Candidate]) -> list[Any]:
        if len(candidates) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")
        return evaluate(self, candidates)

    monkeypatch.setattr(GraftEvaluator, "_evaluate", with_little_memory)
    ledger = InMemoryLedger()
    result = run(spec(), ledger, tmp_path)
    rows = ledger.rows()
    halvings = [i for i, row in enumerate(rows) if getattr(row, "name", "") == "chunk_size"]
    assert [getattr(rows[i], "value", None) for i in halvings] == [{"chunk_size": 2}]
    monkeypatch.undo()
    # There is memory enough now, yet the recorded size is obeyed.
    replayed = InMemoryLedger(rows[: halvings[0] + 1])
    assert run(spec(), replayed, tmp_path / "again").mask == result.mask
    assert canonical_json(replayed.rows()) == canonical_json(ledger.rows())


def test_genes_of_another_head_are_kept_and_shown_with_the_reason(tmp_path: Path) -> None:
    source = QUICK_SPEC["source"] | {"dataset": {"kind": "digits", "classes": [0, 1, 2]}}
    table = check_spec(spec(source=source), Surroundings.of(tmp_path))
    assert table.n_genes == 2
    assert table.kept["linear3.weight"] == "has shape (3, 16) in the source, (5, 16) in the target"


def test_evaluations_carry_no_timings_into_the_canonical_ledger(
    finished: Finished, tmp_path: Path
) -> None:
    first, second = finished.ledger, InMemoryLedger()
    run(spec(), second, tmp_path)
    assert canonical_json(first.rows()) == canonical_json(second.rows())
    durations = [
        [r.evaluation.duration_seconds for r in ledger.rows() if isinstance(r, EvaluationRow)]
        for ledger in (first, second)
    ]
    assert durations[0] != durations[1]
    assert all(
        isinstance(r.evaluation, Evaluation) for r in first.rows() if isinstance(r, EvaluationRow)
    )


def test_a_source_is_never_pretrained_on_what_the_search_judges_on(tmp_path: Path) -> None:
    dataset = {"kind": "digits", "train_size": 100, "validation_size": 200}
    source = {"kind": "pretrain", "dataset": {"kind": "digits"}, "steps": 5}
    wanted = spec(dataset=dataset, source=source)
    inputs = Surroundings.of(tmp_path)
    data = read_data(wanted, inputs)
    assert len(data.held_out) == 200 + len(data.test)
    seen: list[int] = []

    def remember(self: PretrainedWeights, train: Examples) -> State:
        held = {
            x.numpy().tobytes() for part in (data.validation, data.test) for x in part.inputs["x"]
        }
        seen.append(sum(x.numpy().tobytes() in held for x in train.inputs["x"]))
        assert len(train) == 1797 - len(data.held_out)
        return draw(self, train)

    draw = PretrainedWeights._train
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainedWeights, "_train", remember)
        run(wanted, InMemoryLedger(), tmp_path)
    # A few digits look alike to the last pixel; no sample is the same one.
    assert len(seen) == 1
    assert seen[0] < 5


def test_a_search_of_two_genes_is_finished_at_its_end_and_a_prefix_is_its_own_best_prefix(
    tmp_path: Path,
) -> None:
    told: list[Progress] = []
    result = run_search(
        spec(model={"kind": "mlp", "hidden": [8]}),
        ledger=InMemoryLedger(),
        folder=tmp_path,
        surroundings=Surroundings.of(tmp_path),
        listener=told.append,
    )
    assert (told[-1].fraction, told[-1].eta_seconds) == (1, 0)
    # Two genes: every mask but 11, 00 and 10 is a prefix; whichever wins, nothing beats the best prefix but a mask.
    best = result.baselines.best_prefix
    assert best is not None
    assert best.mask == "01"
    if result.mask == "01":
        assert best.gain.mean == 0
