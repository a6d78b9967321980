"""Does `source_retention` find masks that keep the source task, and what does that cost on the target?

On the demo's task (digits 0 to 4 as the source, 5 to 9 as the target, 60 labels) every seed is another split, another
source and another target.  The whole search runs once for the target alone (w = 0) and once with half the fitness from
the source task (w = 0.5), over the same networks and data.  Both found masks, and the pure ones, are then measured at
fresh replicates, each found mask at the learning rate that its search chose: test accuracy on both tasks.

    python -m benchmarks.retention --seeds 10 --workers 2
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.evaluator import Task
    from service.spec import SearchSpec

SPEC = Path(__file__).parent.parent / "examples" / "digits.json"
WEIGHTS = (0.0, 0.5)
SOURCE = {
    "kind": "digits",
    "classes": [0, 1, 2, 3, 4],
    "validation_size": 200,
    "test_size": 200,
}
STEPS = 200
LESS = {
    "budget": {"evaluations": 120},
    "race": {"leaders": 6, "replicates": 3},
    "final": {
        "steps": STEPS,
        "finalists": 3,
        "replicates": 3,
        "learning_rate_factors": [0.3, 1, 3],
    },
}
# Measured after the searches, on draws that none of them saw.
FRESH_REPLICATE, REPLICATES = 4_000, 5
CHUNK = 18


def spec_of(seed: int, weight: float) -> SearchSpec:
    """The demo's spec with one weight of the source task."""
    from models.plans.plan import fused_plan
    from service.spec import SearchSpec

    document = json.loads(SPEC.read_text(encoding="utf-8")) | LESS
    document["source"] = {"kind": "pretrain", "dataset": SOURCE, "steps": 600}
    document["fitness"] = {"metric": "accuracy", "source_retention": {"weight": weight}}
    document |= {"seed": seed, "plan": fused_plan("vmap", CHUNK, threads=1).model_dump()}
    return SearchSpec.model_validate(document)


def build(seed: int, folder: Path) -> Task:
    """The task in which the source counts; without its retention it is the one of the other search."""
    from models.surroundings import Surroundings
    from service.composition import build_task, draw_up, read_data
    from service.source_task import read_retention

    spec, inputs = spec_of(seed, WEIGHTS[1]), Surroundings.of(folder)
    data = read_data(spec, inputs)
    retention = read_retention(spec, inputs, data)
    assert retention is not None  # its weight is above 0
    blueprint = draw_up(spec, inputs, held_out=data.held_out | retention.held_out)
    source, target = blueprint.source.load(0), blueprint.target.load
    return build_task(spec, blueprint, data, source, target, retention=retention)


def search(task: Task, seed: int, weight: float, folder: Path) -> dict[str, Any]:
    """Run one whole search; give its mask and learning rate."""
    from search.ledger import InMemoryLedger
    from service.composition import set_up
    from service.pipeline import run_phases

    options = spec_of(seed, weight)
    own = task if weight else dataclasses.replace(task, retention=None)
    result = run_phases(
        options,
        lambda decisions: set_up(own, options, decisions=decisions, folder=folder),
        ledger=InMemoryLedger(),
        folder=folder,
    )
    return {"mask": result.mask, "learning_rate": result.learning_rate}


def measure(task: Task, entry: dict[str, Any], folder: Path) -> dict[str, float]:
    """Mean test accuracy of one mask on both tasks, over fresh replicates at full length."""
    from models.devices import pick_device
    from models.evaluator import GraftEvaluator
    from models.final_artifacts import FinalArtifacts
    from models.plans.plan import fused_plan
    from search.evaluation import Arm, Candidate
    from search.genome import Genome

    assert task.retention is not None  # see build
    artifacts = FinalArtifacts(folder / "measured")
    evaluator = GraftEvaluator(task, fused_plan("vmap", 1, threads=1), pick_device(), artifacts)
    genome = Genome.from_bitstring(entry["mask"], task.genes.n_genes)
    candidates = [
        Candidate(
            genome,
            STEPS,
            FRESH_REPLICATE + replicate,
            Arm(entry["learning_rate"]),
        )
        for replicate in range(REPLICATES)
    ]
    for candidate in candidates:
        evaluator.evaluate([candidate])
    answers = artifacts.answers(candidates, task.data.test.labels, task.retention.test.labels)
    assert answers.source is not None  # its labels were given
    return {
        "target": float(answers.target.hits.double().mean()),
        "source": float(answers.source.hits.double().mean()),
    }


def run_seed(seed: int) -> dict[str, Any]:
    """Both searches and all measurements of one seed, with one thread."""
    run: dict[str, Any] = {"seed": seed}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        task = build(seed, folder)
        for weight in WEIGHTS:
            found = search(task, seed, weight, folder / f"w{weight}")
            run[f"w = {weight:g}"] = found | measure(task, found, folder)
        n_genes = task.genes.n_genes
        for label, bit in (("keep-all", "1"), ("transfer-all", "0")):
            # At the rate of the search for the target alone.
            entry = {
                "mask": bit * n_genes,
                "learning_rate": run["w = 0"]["learning_rate"],
            }
            run[label] = entry | measure(task, entry, folder)
    return run


def summarise(runs: list[dict[str, Any]]) -> str:
    """A row per way to a mask, and the paired differences."""
    from benchmarks.record import over_seeds, show

    lines = [
        "| mask | target test accuracy, % | source test accuracy, % | kept genes, of 9 |",
        "|---|---|---|---|",
    ]
    for way in ("w = 0", "w = 0.5", "keep-all", "transfer-all"):
        target, source = (
            show(over_seeds([run[way][task] for run in runs]), 1, 100)
            for task in ("target", "source")
        )
        kept = over_seeds([float(run[way]["mask"].count("1")) for run in runs])
        lines.append(f"| {way} | {target} | {source} | {show(kept, 1)} |")
    target, source = (
        show(over_seeds([run["w = 0.5"][task] - run["w = 0"][task] for run in runs]), 1, 100)
        for task in ("target", "source")
    )
    lines += [
        f"| w = 0.5 over w = 0, points | {target} | {source} | |",
        "",
        f"Means over {len(runs)} seeds with 95% t intervals, differences paired within a seed; {REPLICATES} fresh "
        f"replicates each, {STEPS} steps. Keep-all and transfer-all are at the rate of the mask found with w = 0.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run all seeds and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    from benchmarks.record import conditions_of, write_record
    from benchmarks.seed_workers import over_seed_processes

    conditions = conditions_of("retention")
    runs: list[dict[str, Any]] = []
    for run in over_seed_processes(run_seed, range(1, arguments.seeds + 1), arguments.workers):
        runs = sorted([*runs, run], key=lambda run: int(run["seed"]))
        # Written anew after each seed: a run that is cut short leaves what it has, and says how many.
        write_record(conditions, {"runs": runs}, summarise(runs))


if __name__ == "__main__":
    main()
