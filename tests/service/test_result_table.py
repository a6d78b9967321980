"""The result in a terminal."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from service.progress_bar import ProgressBar
from service.result import Progress
from service.result_table import render_result


def estimate(mean: float, spread: float | None = 0.05) -> dict[str, Any]:
    if spread is None:
        return {"mean": mean, "low": None, "high": None}
    return {"mean": mean, "low": mean - spread, "high": mean + spread}


def baseline(mean: float) -> dict[str, Any]:
    return {
        "mask": "11",
        "learning_rate": 0.001,
        "fitness": estimate(mean),
        "test": estimate(mean),
        "gain": estimate(0.9 - mean),
    }


RESULT: dict[str, Any] = {
    "mask": "01",
    "genes": [
        {"name": "conv1", "tensors": [], "parameters": 1234, "keep": False, "effect": None},
        {
            "name": "head[0]",
            "tensors": [],
            "parameters": 10,
            "keep": True,
            "effect": estimate(0.02),
        },
    ],
    "fitness": estimate(0.95),
    "test": estimate(0.9)
    | {"metric": "accuracy", "delivered": 0.91, "samples": 637, "replicates": 5},
    "baselines": {"keep_all": baseline(0.8), "transfer_all": baseline(0.7), "best_prefix": None},
    "verdict": {"code": "better_than_both", "text": "better than transfer-all and keep-all"},
    "evaluations": 200,
    "seconds": 61.2,
    "stop_reason": "evaluation_budget",
}


def text_of(result: dict[str, Any]) -> str:
    console = Console(file=StringIO(), width=140)
    console.print(render_result(result, {"Report": Path("out/report.html")}))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_the_table_compares_the_mask_with_every_baseline_and_gives_the_verdict() -> None:
    text = text_of(RESULT)
    assert "0.900  [0.850, 0.950]" in text
    assert "+0.100  [+0.050, +0.150]" in text
    assert "better than transfer-all and keep-all" in text
    assert "637 test samples" in text
    assert "out/report.html" in text


def test_two_tasks_have_a_table_of_their_own() -> None:
    parts = {
        "metric": "combined",
        "target": estimate(0.7) | {"metric": "macro_f1", "weight": 0.7},
        "source": estimate(0.6) | {"metric": "accuracy", "weight": 0.3},
    }
    baselines = {
        name: baseline and baseline | {"test": baseline["test"] | parts}
        for name, baseline in RESULT["baselines"].items()
    }
    text = text_of(RESULT | {"test": RESULT["test"] | parts, "baselines": baselines})
    assert "0.7 x target macro_f1" in text
    assert text.count("0.600  [0.550, 0.650]") == 3


def test_names_of_genes_are_shown_as_they_are() -> None:
    text = text_of(RESULT)
    assert "head[0]" in text
    assert "1,234" in text


def test_one_replicate_has_no_interval() -> None:
    assert "0.900  [" not in text_of(RESULT | {"test": RESULT["test"] | estimate(0.9, None)})


def test_a_search_without_progress_can_be_shown() -> None:
    console = Console(file=StringIO(), width=140, force_terminal=True)
    with ProgressBar(console) as bar:
        bar.show_search({"status": "queued", "progress": None})
        bar.show_search({"status": "succeeded", "progress": None})
    assert isinstance(console.file, StringIO)
    assert "succeeded" in console.file.getvalue()


def test_what_the_search_has_to_say_is_shown_once() -> None:
    console = Console(file=StringIO(), width=140, force_terminal=True)
    report = Progress(budget=200, message="transfer-all is clearly ahead").model_dump()
    with ProgressBar(console) as bar:
        for _ in range(3):
            bar.show(report)
        # The report of an older version.
        bar.show({name: value for name, value in report.items() if name != "message"})
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().count("transfer-all is clearly ahead") == 1
