"""What rungs save is counted from the first time that a quality is reached, and rungs are stages of one training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.search_quality import rung_problems
from benchmarks.search_quality.rung_problems import TableProblem, scaled
from benchmarks.search_quality.rung_report import clusters_of, render, saving
from benchmarks.search_quality.rungs import COUNTS, quality_curve
from benchmarks.search_quality.table_data import Table
from search.evaluation import Candidate
from search.genome import Genome

TEN = (10, 20, 30, 40, 50, 100, 200)


def row(problem: str, *curve: float, **correlations: float) -> dict[str, Any]:
    return {
        "problem": problem,
        "curve": " ".join(map(str, curve)),
        "correlations": correlations,
    }


def table() -> Table:
    """Three genes; every fitness spells its fidelity and replicate."""
    document: dict[str, Any] = {
        "genes": list("abc"),
        "brief_steps": 6,
        "rung_steps": [0, 2],
        "validation_samples": 1000,
        "failed": 65535,
    }
    arrays: dict[str, Any] = {}
    for name, steps, count in (("brief", 6, 5), ("rung0", 0, 3), ("rung2", 2, 3)):
        right = 100 * steps + 10 * np.arange(count)[:, None] + np.arange(8)
        arrays[f"{name}_right"] = right.astype(np.uint16)
        arrays[f"{name}_loss"] = np.zeros((count, 8), dtype=np.float16)
    return Table(document, arrays)


def test_a_quality_reached_in_half_of_the_steps_saves_two_times() -> None:
    reference = [row("p", 0.1, 0.2, 0.3, 0.4, 0.5, 0.9, 0.9)] * 3
    own = [row("p", 0.0, 0.3, 0.6, 0.7, 0.9, 0.9, 0.9)] * 3
    found = saving(reference, own, TEN, 200)
    assert (found.needed, found.ratio, found.low, found.high) == (50.0, 2.0, 2.0, 2.0)


def test_a_quality_that_is_not_reached_saves_nothing() -> None:
    reference, own = [row("p", *[0.5] * 7)] * 2, [row("p", *[0.4] * 7)] * 2
    found = saving(reference, own, TEN, 50)
    assert (found.needed, found.ratio) == (float("inf"), 0.0)
    text = render({"p": {"without": reference, "with": own}}, TEN, "without", 0.5)
    assert "not within 200" in text


def test_searches_of_several_problems_are_drawn_problem_by_problem() -> None:
    rows = [row("a", 1.0), row("a", 1.0), row("b", 1.0)]
    assert [own.tolist() for own in clusters_of(rows)] == [[0, 1], [2]]
    assert len(clusters_of(rows[:2])) == 2


def test_the_rungs_of_a_mask_are_stages_of_one_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rung_problems, "load_table", lambda _: table())
    problem, genome, first = TableProblem(""), Genome.from_bitstring("101"), set()
    for seed in range(20):
        evaluator = problem.evaluator(seed)
        fitness = [
            evaluator.evaluate([Candidate(genome, steps)])[0].fitness or 0.0 for steps in (0, 2, 6)
        ]
        replicates = {round(1000 * own) // 10 % 10 for own in fitness}
        assert len(replicates) == 1
        first |= replicates
        again = evaluator.evaluate([Candidate(genome, 6, number) for number in range(5)])
        assert len({evaluation.fitness for evaluation in again}) == 5
    assert first == {0, 1, 2}


def test_quality_is_0_until_something_reaches_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rung_problems, "load_table", lambda _: table())
    problem = TableProblem("")
    masks = [Genome.from_bitstring(f"{number:03b}") for number in range(8)]
    asked = [Candidate(mask, 2) for mask in masks] * 5 + [Candidate(mask, 6) for mask in masks]
    evaluator = problem.evaluator(1)
    curve = quality_curve(problem, [evaluator.evaluate([c])[0] for c in asked])
    # 40 thirds come first: 13.3 evaluations' worth of steps.
    assert curve[0] == 0.0
    assert curve[-1] == 1.0
    assert len(curve) == len(COUNTS)


def test_quality_takes_a_diverged_mask_for_the_worst() -> None:
    masks = [Genome.from_bitstring(f"{number:02b}") for number in range(4)]
    found = scaled(dict(zip(masks, [0.2, float("-inf"), 0.4, 0.8], strict=True)))
    assert found[masks[1]] == found[masks[0]]
    assert found[masks[3]] == 1.0
