"""Tests of the HTML report: self-contained, complete, and safe with any name."""

from __future__ import annotations

import re
from typing import Any

import pytest

from service.report import render_report
from service.result import SearchResult


def estimate(mean: float, **more: Any) -> dict[str, Any]:
    return {"mean": mean, "low": mean - 0.02, "high": mean + 0.02, **more}


def scored(mean: float) -> dict[str, Any]:
    return {
        "learning_rate": 0.003,
        "fitness": estimate(mean, replicates=5),
        "test": estimate(mean, metric="accuracy", delivered=mean, samples=636, replicates=5),
    }


def result(n_genes: int = 3, **changes: Any) -> SearchResult:
    mask = ("01" * n_genes)[:n_genes]
    document = {
        "mask": mask,
        "genes": [
            {
                "name": f"layer<{i}>",
                "tensors": [f"layer{i}.weight"],
                "parameters": 1000,
                "keep": bit == "1",
            }
            for i, bit in enumerate(mask)
        ],
        "kept": {"head.weight": "has shape (3, 16) in the source, (5, 16) in the target"},
        "transferred": {},
        "baselines": {
            "keep_all": scored(0.80) | {"mask": "1" * n_genes, "gain": estimate(0.081)},
            "transfer_all": scored(0.75) | {"mask": "0" * n_genes, "gain": estimate(0.131)},
            "best_prefix": None,
        },
        "noise": {"total": 0.061, "paired": 0.06},
        "verdict": {"code": "better_than_both", "text": "better than transfer-all and keep-all"},
        "curve": [
            {"evaluations": i, "fitness": 0.5 + i / 100, "best_fitness": 0.5 + i / 100}
            for i in range(1, 9)
        ],
        "evaluations": 8,
        "seconds": 61.0,
        "stop_reason": "evaluation_budget",
        "provenance": {
            "version": "0",
            "torch": "2",
            "device": "x",
            "seed": 0,
            "plan": {"layout": "vmap"},
        },
    }
    return SearchResult.model_validate(document | scored(0.881) | changes)


def test_the_page_holds_verdict_intervals_genes_and_three_figures() -> None:
    page = render_report(result(), "digits")
    for text in (
        "better than transfer-all and keep-all",
        "0.881 [0.861, 0.901]",
        "0.131 [0.111, 0.151]",
        "has shape (3, 16) in the source",
        "evaluation budget",
        "keep-all",
        "transfer-all",
    ):
        assert text in page
    assert page.count("<svg") == 3


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_run() -> None:
    page = render_report(result(), "digits")
    assert "<script" not in page
    assert not re.search(r"""(src|href)\s*=\s*["'](?!\#)""", page)
    assert "url(http" not in page


def test_names_cannot_smuggle_markup_in() -> None:
    page = render_report(result(), "<script>alert(1)</script>")
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "layer<0>" not in page


def test_the_same_result_gives_the_same_bytes() -> None:
    assert render_report(result(), "a") == render_report(result(), "a")


@pytest.mark.parametrize("n_genes", [1, 9, 10, 161])
def test_any_number_of_genes_can_be_drawn(n_genes: int) -> None:
    assert "<svg" in render_report(result(n_genes), "")


def test_a_result_without_intervals_or_curve_can_be_drawn() -> None:
    bare = scored(0.9)
    for block in ("fitness", "test"):
        bare[block] |= {"low": None, "high": None}
    page = render_report(result(curve=[], noise={"total": None, "paired": None}, **bare), "bare")
    assert "0.900" in page
