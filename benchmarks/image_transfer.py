"""A vision transformer and a ResNet, trained on printed letters, transferred to handwritten digits, over HTTP.

Two folders of images go in; a mask, its evidence and a folder for ``from_pretrained`` come out.  The program ends with
an error if that folder, read by transformers itself with its own image processor, does not predict on the test images
what the product's network predicts with the delivered weights, or if fused plans compute something else than the loop.

    python -m benchmarks.image_transfer --seeds 1
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.delivery import Delivery, unpacked
from benchmarks.image_delivery import (
    COMPARED_MASKS,
    COMPARED_STEPS,
    compare_plans,
    compare_with_library,
    measured_plans,
)
from benchmarks.image_tasks import write_digits, write_letters
from benchmarks.record import conditions_of, write_record
from models.plans.plan import Plan
from service.spec import SearchSpec
from tests.service.server_process import ServerProcess

SIDE, LETTERS_PER_CLASS = 16, 120
NETWORKS: dict[str, dict[str, Any]] = {
    "vit": {
        "model_type": "vit",
        "image_size": SIDE,
        "patch_size": 4,
        "num_channels": 1,
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 128,
    },
    "resnet": {
        "model_type": "resnet",
        "num_channels": 1,
        "embedding_size": 16,
        "hidden_sizes": [16, 32, 64],
        "depths": [2, 2, 2],
        "layer_type": "basic",
    },
}
# A ResNet takes images of any size; the data set says which.
SIZES: dict[str, dict[str, int]] = {"vit": {}, "resnet": {"size": SIDE}}
LEGEND = (
    "Test accuracy in %, gains of the found mask over the baselines in points, with 95% intervals. Pixels, logits and "
    "predictions: PNG files of the test part through the delivered folder's `AutoImageProcessor` and "
    "`AutoModelForImageClassification`, beside the product's network with `weights.safetensors`. Plans: milliseconds "
    "per step of one candidate, as the search timed them before it took a plan; largest relative difference of "
    f"validation loss, {COMPARED_MASKS} masks after {COMPARED_STEPS} steps, in float64 where not said otherwise."
)
BASELINES = ("keep_all", "transfer_all", "best_prefix")
# Relative, after three steps of Adam in float64; the contract tests allow as much.
SAME_LOSS = 1e-6


def spec_of(network: str, seed: int) -> dict[str, Any]:
    """One search: everything else is the default."""
    images = {"kind": "image_folder"} | SIZES[network]
    return {
        "name": f"{network} {seed}",
        "model": {
            "kind": "transformers",
            "task": "image_classification",
            "config": NETWORKS[network],
        },
        "source": {"kind": "pretrain", "dataset": images | {"path": "letters"}},
        "dataset": images | {"path": "digits", "train_size": 150, "validation_size": 200},
        "budget": {"evaluations": 100},
        "final": {"steps": 300},
        "seed": seed,
    }


def run(server: ServerProcess, network: str, seed: int, folder: Path) -> dict[str, Any]:
    """One search over HTTP, and all that is asked of what it delivers."""
    client, document = server.client, spec_of(network, seed)
    search = client.wait(client.submit(document)["id"])
    if search["status"] != "succeeded":
        raise SystemExit(f"{network}, seed {seed}: {search['status']}: {search.get('error')}")
    result = client.result(search["id"])
    folder.mkdir(parents=True)
    client.save_weights(search["id"], folder / "weights.safetensors")
    client.save_model(search["id"], folder / "model.zip")
    spec, surroundings = SearchSpec.model_validate(document), server.settings.surroundings
    delivery = Delivery(
        spec,
        surroundings,
        folder / "weights.safetensors",
        unpacked(folder / "model.zip", folder / "unpacked"),
    )
    kept = {key: value for key, value in result.items() if key not in ("curve", "by_class")}
    library = compare_with_library(delivery, result["test"]["delivered"])
    plans = compare_plans(spec, surroundings, server.settings.job_dir(search["id"]))
    problems = library.pop("problems") + [
        f"{layout} differs from the loop by {difference}"
        for layout, difference in plans["float64"].items()
        if isinstance(difference, float) and not difference <= SAME_LOSS
    ]
    return {
        "network": network,
        "seed": seed,
        "result": kept,
        "library": library,
        "plans": plans,
        "milliseconds": measured_plans(server.settings, search["id"]),
        "problems": problems,
    }


def summarise(runs: list[dict[str, Any]], seconds: float) -> str:
    """What was found, what was delivered, and how it was computed."""
    legend = f"{LEGEND} The whole program took {seconds:.0f} s."
    parts = [_found(runs), _gains(runs), _delivered(runs), _plans(runs), _refusals(runs), legend]
    return "\n\n".join(parts)


def _found(runs: list[dict[str, Any]]) -> str:
    rows = []
    for one in runs:
        result, mask = one["result"], one["result"]["mask"]
        baselines = [_of_baseline(one, name, "test") for name in BASELINES]
        kept = f"{mask.count('1')} of {len(mask)}"
        rows.append([kept, _interval(result["test"]), *baselines])
    header = "genes kept | found mask | keep-all | transfer-all | best prefix"
    return _table(header, runs, rows)


def _gains(runs: list[dict[str, Any]]) -> str:
    rows = []
    for one in runs:
        gains = [_of_baseline(one, name, "gain") for name in BASELINES]
        verdict, seconds = one["result"]["verdict"]["code"], one["result"]["seconds"]
        rows.append([*gains, verdict, f"{seconds:.0f}"])
    header = "gain over keep-all | over transfer-all | over best prefix | verdict | seconds"
    return _table(header, runs, rows)


def _delivered(runs: list[dict[str, Any]]) -> str:
    rows = []
    for one in runs:
        found = one["library"]
        rows.append(
            [
                f"{found['pixels_difference']:.2g}",
                f"{found['logits_difference_from_files']:.2g}",
                f"{found['same_predictions']} of {found['images']}",
                f"{100 * found['accuracy_from_files']:.2f}",
                f"{100 * found['test_delivered']:.2f}",
            ]
        )
    header = "pixels differ by | logits differ by | same predictions | accuracy from files | `test.delivered`"
    return _table(header, runs, rows)


def _plans(runs: list[dict[str, Any]]) -> str:
    rows = []
    for one in runs:
        plan = Plan.model_validate(one["result"]["provenance"]["plan"])
        times = one["milliseconds"]
        loops = [taken for label, taken in times.items() if label.startswith("loop")]
        fused = [taken for label, taken in times.items() if not label.startswith("loop")]
        fastest = [f"{min(taken):.2f}" if taken else "none" for taken in (loops, fused)]
        differences = [_shown(one["plans"]["float64"][layout]) for layout in ("vmap", "stacked")]
        rounded = ", ".join(_shown(x) for x in one["plans"]["float32"].values())
        rows.append([plan.label, *fastest, *differences, rounded])
    header = (
        "plan taken | fastest loop, ms | fastest fused plan, ms | vmap beside loop | stacked beside loop "
        "| both in float32"
    )
    return _table(header, runs, rows)


def _refusals(runs: list[dict[str, Any]]) -> str:
    """Why other plans were not taken, and what a stacked plan leaves to vmap."""
    refused, left = set(), set()
    for one in runs:
        for name, why in one["result"]["provenance"]["plan_refusals"].items():
            refused.add(f"{one['network']}: `{name}` ({why})")
        for name, why in one["plans"]["left_to_vmap"].items():
            left.add(f"{one['network']}: `{name}` ({why})")
    return (
        f"`plan_refusals`: {'; '.join(sorted(refused)) or 'none'}. "
        f"Left to vmap where stacked: {'; '.join(sorted(left)) or 'nothing'}."
    )


def _table(header: str, runs: list[dict[str, Any]], rows: list[list[str]]) -> str:
    columns = f"network | seed | {header}"
    lines = [f"| {columns} |", "|" + "---|" * (columns.count("|") + 1)]
    for one, cells in zip(runs, rows, strict=True):
        lines.append(f"| {one['network']} | {one['seed']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _of_baseline(one: dict[str, Any], name: str, figure: str) -> str:
    baseline = one["result"]["baselines"][name]
    return "none" if baseline is None else _interval(baseline[figure])


def _interval(estimate: dict[str, float]) -> str:
    mean, low, high = (100 * estimate[name] for name in ("mean", "low", "high"))
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def _shown(difference: float | str) -> str:
    return difference if isinstance(difference, str) else f"{difference:.1g}"


def main() -> None:
    """Run all searches and write the record; fail where what was delivered is not what was searched."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--networks", nargs="+", choices=sorted(NETWORKS), default=list(NETWORKS))
    arguments = parser.parse_args()
    conditions = conditions_of("image_transfer")
    started, runs = time.perf_counter(), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory() as name, ServerProcess(Path(name) / "data") as server:
        inputs = server.settings.inputs_dir
        write_letters(inputs / "letters", LETTERS_PER_CLASS, seed=0)
        write_digits(inputs / "digits")
        for seed in range(1, arguments.seeds + 1):
            for network in arguments.networks:
                runs.append(run(server, network, seed, Path(name) / f"{network}-{seed}"))
                runs.sort(key=lambda one: (list(NETWORKS).index(one["network"]), one["seed"]))
                # Written anew after each: a run that is cut short leaves what it has.
                seconds = time.perf_counter() - started
                figures = {"runs": runs, "seconds": seconds}
                write_record(conditions, figures, summarise(runs, seconds))
    problems = [
        f"{one['network']}, seed {one['seed']}: {problem}"
        for one in runs
        for problem in one["problems"]
    ]
    if problems:
        raise SystemExit("\n".join(problems))


if __name__ == "__main__":
    main()
