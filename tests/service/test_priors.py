"""Tests of a job's gene priors: measured once, then read from the ledger."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import torch

from models.saliency import measure_gene_priors
from search.decisions import DecisionLog
from search.ledger import InMemoryLedger, JsonLinesLedger
from service.composition import set_up
from service.priors import commit_to_priors
from service.spec import SearchOptions
from tests.models.small_task import CPU, family_task

MLP: tuple[str, dict[str, object]] = ("mlp", {"hidden": [6, 5]})


def test_priors_are_a_row_that_is_read_back_exactly(tmp_path: Path) -> None:
    task, path = family_task(*MLP), tmp_path / "ledger.jsonl"
    first = commit_to_priors(task, CPU, DecisionLog(JsonLinesLedger(path)))
    assert first == measure_gene_priors(task, CPU)
    # With another source they would be others: the row is obeyed.
    other = replace(task, source={name: 2 * x for name, x in task.source.items()})
    ledger = JsonLinesLedger(path)
    assert commit_to_priors(other, CPU, DecisionLog(ledger)) == first
    assert len(ledger.rows()) == 1


def test_that_nothing_could_be_measured_is_a_row_too() -> None:
    task, ledger = family_task(*MLP), InMemoryLedger()
    endless = {name: torch.full_like(x, math.inf) for name, x in task.source.items()}
    broken = replace(task, source=endless)
    assert commit_to_priors(broken, CPU, DecisionLog(ledger)) is None
    assert commit_to_priors(task, CPU, DecisionLog(ledger)) is None
    assert len(ledger.rows()) == 1


def test_the_optimizer_is_given_them(tmp_path: Path) -> None:
    plan = {"layout": "loop", "threads": 1}
    task, decisions = family_task(*MLP), DecisionLog(InMemoryLedger())
    bench = set_up(
        task, SearchOptions.model_validate({"plan": plan}), decisions=decisions, folder=tmp_path
    )
    assert bench.problem.gene_priors == measure_gene_priors(task, CPU)
    assert bench.problem.n_genes == task.genes.n_genes
    bench.close()
