"""Tests of judging how long a search took: what counts is being there for good, and failures cost time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.search_quality.time_to_target import judge, render
from search.evaluation import Evaluation
from search.genome import Genome

TRUTH = {"00": 0.9, "01": 0.895, "10": 0.7}


def found(*rows: tuple[float, str, float], seconds: float = 9.0) -> dict[str, Any]:
    """What a searcher's process prints: each row one evaluation at a moment of its own."""
    replicates: dict[str, int] = {}
    printed = []
    for at, mask, fitness in rows:
        replicates[mask] = replicates.get(mask, -1) + 1
        printed.append([at, mask, 40, replicates[mask], fitness])
    return {"rows": printed, "seconds": seconds, "plan": "loop"}


def test_a_peer_is_there_from_the_last_time_on_that_its_best_score_is_of_a_good_mask() -> None:
    run = judge(
        "deap",
        found((1, "10", 0.6), (2, "00", 0.8), (3, "10", 0.85), (4, "01", 0.9), (5, "11", 0.2)),
        TRUTH,
    )
    assert (run["first_seconds"], run["settled_seconds"]) == pytest.approx((2, 4), abs=0.01)
    assert (run["answer"], run["regret_points"]) == ("01", 0.5)


def test_a_lucky_score_of_a_worse_mask_at_the_end_is_a_failure() -> None:
    run = judge("deap", found((1, "00", 0.8), (2, "11", 0.95)), TRUTH)
    assert run["first_seconds"] == pytest.approx(1, abs=0.01)
    assert run["settled_seconds"] is None
    # Nobody measured that mask again.
    assert run["regret_points"] is None


def test_transfermask_answers_by_what_all_evaluations_say() -> None:
    rows = [(1.0, "00", 0.9), (2.0, "00", 0.9), (3.0, "00", 0.91), (4.0, "10", 0.92)]
    rows += [(5.0 + n, "10", 0.6) for n in range(4)]
    assert judge("transfermask", found(*rows), TRUTH)["answer"] == "00"
    assert judge("deap", found(*rows), TRUTH)["answer"] == "10"


def test_choosing_an_answer_takes_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(evaluations: Sequence[Evaluation]) -> list[Genome]:
        time.sleep(0.2)
        return [evaluation.candidate.genome for evaluation in evaluations]

    monkeypatch.setattr("benchmarks.search_quality.target.leading_masks", slowly)
    assert judge("transfermask", found((1, "00", 0.8)), TRUTH)["first_seconds"] >= 1.2
    assert judge("deap", found((1, "00", 0.8)), TRUTH)["first_seconds"] < 1.2


def runs(*seconds: float | None, whole: float = 10.0) -> list[dict[str, Any]]:
    return [
        {"settled_seconds": s, "first_seconds": s, "seconds": whole, "evaluations": 4}
        for s in seconds
    ]


def test_the_table_says_where_nobody_succeeded() -> None:
    text = render(TRUTH, {"transfermask": runs(1, 3), "deap": runs(None, None)})
    assert "Best mask 00, 90.0%; within 1% of it: 2 masks." in text
    assert "| 2 of 2 | 2.0 |" in text
    assert "| 0 of 2 | more than 20.0 | more than 10.0 [" in text
