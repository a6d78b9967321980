"""A table gives back what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search_quality import tables
from benchmarks.search_quality.replay import found_in, run_study_on
from benchmarks.search_quality.table_data import TABLES, Table, load_table, table_names
from benchmarks.search_quality.table_parts import Part, measure, open_bench
from search.evaluation import FINAL_REPLICATE, SEARCH_REPLICATE, Arm, Candidate
from search.optimizer import SearchProblem


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny table."""
    folder = tmp_path_factory.mktemp("tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "SCRATCH", folder / "scratch")
        builder = tables.Builder("tiny")

        def measure_all(parts: Sequence[Part]) -> None:
            for part in parts:
                measure(part)

        tables.save(builder, tables.build(builder, measure_all), {}, folder)
    return folder


@pytest.fixture(scope="module")
def table(folder: Path) -> Table:
    return load_table("tiny", folder)


def test_every_mask_is_there_at_every_fidelity(table: Table) -> None:
    assert table.n_genes == 6
    assert {steps: table.at(steps).fitness.shape for steps in table.fidelities} == {
        0: (3, 64),
        2: (3, 64),
        6: (4, 64),
    }
    assert table.full(1.0).fitness.shape == table.full_test_accuracy(1.0).shape == (2, 64)
    assert table.optimum == table.brief.truth.max()


def test_a_table_says_what_the_evaluator_says(table: Table, folder: Path) -> None:
    bench = open_bench("tiny", next((folder / "scratch").iterdir()))
    arm = Arm(0.01)
    row = 0b010011
    (evaluation,) = bench.evaluator.evaluate(
        [Candidate(table.genome(row), 6, SEARCH_REPLICATE + 2, arm)]
    )
    assert evaluation.fitness == pytest.approx(table.brief.fitness[2, row])
    assert evaluation.loss == pytest.approx(table.brief.loss[2, row], rel=1e-3)


def test_the_hits_of_the_subset_are_those_of_its_test_samples(table: Table, folder: Path) -> None:
    bench = open_bench("tiny", next((folder / "scratch").iterdir()))
    place = len(table.subset()) // 2
    candidate = Candidate(table.subset()[place], 12, FINAL_REPLICATE + 1, Arm(0.01))
    bench.final_evaluator.evaluate([candidate])
    answers = bench.artifacts.answers([candidate], bench.task.data.test.labels)
    hits = table.subset_hits()
    assert hits.shape == (2, 3, 12, len(bench.task.data.test.labels))
    assert (hits[1, 1, place] == answers.target.hits[0].numpy()).all()


def test_a_replay_has_its_own_order_of_the_measured_replicates(table: Table) -> None:
    genome = table.genome(9)
    seen = {
        tuple(table.landscape(replay)(genome, replicate) for replicate in range(4))
        for replay in range(20)
    }
    assert len({tuple(sorted(values)) for values in seen}) == 1
    assert sorted(seen.pop()) == pytest.approx(np.sort(table.brief.fitness[:, 9]).tolist())


def test_a_search_can_be_replayed(table: Table) -> None:
    problem = SearchProblem(table.n_genes, table.brief_steps, 40)
    runs = [run_study_on(table.evaluator(3), {"kind": "genetic"}, problem, 5) for _ in range(2)]
    assert runs[0] == runs[1]
    assert found_in(runs[0]).evaluations == 40


@pytest.mark.parametrize("name", table_names())
def test_committed_tables_can_be_read(name: str) -> None:
    table = load_table(name)
    assert len(table.brief.truth) == 2**table.n_genes
    assert (TABLES / f"{name}.npz").stat().st_size <= 2_000_000
