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


def test_the_page_says_what_rungs_were_worth() -> None:
    rungs = [
        {"steps": 0, "correlation": 0.12, "used": False},
        {"steps": 13, "correlation": 0.71, "used": True},
    ]
    page = " ".join(render_report(result(rungs=rungs), "").split())
    assert "0 steps ranked the first generation with a rank correlation of 0.12" in page
    assert "search fidelity and were switched off" in page
    assert "correlation of 0.71 to the search fidelity." in page
    assert "ranked the first generation" not in render_report(result(), "")


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


def by_class(n_classes: int, **changes: Any) -> dict[str, Any]:
    """Right answers, but for the last class, which is taken for the first."""
    names = [f"class<{number}>" for number in range(n_classes)]
    figures = {"precision": 0.75, "recall": 0.625, "f1": 0.682, "support": 40}
    matrix = [[37.4 * (i == j) for j in range(n_classes)] for i in range(n_classes)]
    matrix[-1][0] = 2.6
    classes: list[dict[str, Any]] = [figures | {"name": name} for name in names]
    classes[-1]["precision"] = None
    return {"by_class": {"classes": classes, "confusion": matrix} | changes}


def test_the_page_shows_every_class_and_who_is_taken_for_whom() -> None:
    page = render_report(result(**by_class(4)), "digits")
    assert page.count("<svg") == 4
    for text in ("class&lt;3&gt;", "0.682", ">37.4<", ">2.6<", "predicted class", "true class"):
        assert text in page
    assert '<td class="number">-</td>' in page
    assert "class<3>" not in page


@pytest.mark.parametrize("n_classes", [2, 20, 21, 100])
def test_a_matrix_of_any_size_can_be_drawn(n_classes: int) -> None:
    page = render_report(result(**by_class(n_classes)), "")
    assert page.count("<svg") == 4
    assert (">2.6<" in page) == (n_classes <= 20)
    assert len(page) < 1_000_000
    assert not re.search(r"""(src|href)\s*=\s*["'](?!\#)""", page)


def test_without_a_matrix_the_classes_are_still_shown() -> None:
    page = render_report(result(**by_class(3, confusion=None)), "")
    assert page.count("<svg") == 3
    assert "class&lt;2&gt;" in page


def test_two_tasks_are_shown_beside_what_they_are_combined_to() -> None:
    both = {
        "metric": "combined",
        "target": estimate(0.7, metric="macro_f1", weight=0.6, delivered=0.7, samples=600),
        "source": estimate(0.9, metric="accuracy", weight=0.4, delivered=0.9, samples=500),
    }
    own = scored(0.78)
    own["test"] |= both
    page = render_report(result(**own), "")
    for text in ("target macro f1", "source accuracy", "0.900 [0.880, 0.920]", "0.6 of the"):
        assert text in page


def explained(n_genes: int) -> SearchResult:
    plain = result(n_genes).model_dump()
    effects = [estimate(0.05 * (index % 3 - 1)) for index in range(n_genes)]
    genes = [gene | {"effect": own} for gene, own in zip(plain["genes"], effects, strict=True)]
    names = [gene["name"] for gene in genes]
    return result(n_genes, genes=genes, pairs=[{"genes": names[:2], "effect": estimate(-0.0629)}])


def test_the_page_shows_what_each_gene_and_the_surest_pairs_are_worth() -> None:
    page = render_report(explained(3), "")
    assert page.count("<svg") == 4
    for text in ("What each gene is worth", "-0.063 [-0.083, -0.043]", "0.050 [0.030, 0.070]"):
        assert text in page
    assert "What each gene is worth" not in render_report(result(3), "")


def test_effects_of_many_genes_can_be_drawn() -> None:
    assert render_report(explained(161), "").count("<svg") == 4


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
