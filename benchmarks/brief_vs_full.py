"""Does a brief fine-tune tell which mask is best at full length?  Rank correlations on the demo's task.

Random masks, the pure strategies and the prefixes are scored as the search scores them, and at full length at their own
best learning rate, over several seeds (splits, sources and targets).

    python -m benchmarks.brief_vs_full --seeds 3
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.record import conditions_of, over_seeds, show, write_record
from models.plans.plan import fused_plan
from models.surroundings import Surroundings
from search.decisions import DecisionLog
from search.evaluation import FINAL_REPLICATE, SEARCH_REPLICATE, Arm, Candidate
from search.genome import Genome, keep_all, prefixes, transfer_all
from search.ledger import InMemoryLedger
from search.race.long_heat import at_each_rate
from service.composition import compose
from service.spec import SearchSpec

SPEC = Path(__file__).parent.parent / "examples" / "digits.json"
N_RANDOM, FACTORS = 14, (1.0, 3.0)


def measure(seed: int, folder: Path) -> dict[str, Any]:
    """Score the masks of one seed both ways."""
    document = json.loads(SPEC.read_text(encoding="utf-8"))
    document |= {"seed": seed, "plan": fused_plan("vmap", 24, threads=1).model_dump()}
    spec = SearchSpec.model_validate(document)
    decisions = DecisionLog(InMemoryLedger())
    bench = compose(spec, decisions=decisions, folder=folder, surroundings=Surroundings.of(folder))
    n_genes = bench.problem.n_genes
    drawn = np.random.default_rng(seed).random((N_RANDOM, n_genes)) < 0.5
    structured = [keep_all(n_genes), transfer_all(n_genes), *prefixes(n_genes)]
    masks = list(dict.fromkeys([*structured, *(Genome.from_bits(row) for row in drawn)]))
    rate = spec.finetune.learning_rates[0]
    brief = bench.evaluator.evaluate(
        [Candidate(mask, spec.finetune.steps, SEARCH_REPLICATE, Arm(rate)) for mask in masks]
    )
    arms = [Arm(rate * factor) for factor in FACTORS]
    full = [
        evaluation
        for arm in arms
        for evaluation in bench.final_evaluator.evaluate(
            [Candidate(mask, spec.final.steps, FINAL_REPLICATE, arm) for mask in masks]
        )
    ]
    labels = bench.task.data.test.labels
    own_best = [entries[0] for mask in masks if (entries := at_each_rate(full, mask, arms))]
    test = {
        entry.genome: float(
            bench.artifacts.answers(
                [Candidate(entry.genome, spec.final.steps, FINAL_REPLICATE, entry.arm)], labels
            )
            .target.hits.double()
            .mean()
        )
        for entry in own_best
    }
    pairs = {
        evaluation.candidate.genome: (evaluation.fitness, test[evaluation.candidate.genome])
        for evaluation in brief
    }
    ordered = sorted(pairs.values(), key=lambda pair: -(pair[0] or 0.0))
    return {
        "seed": seed,
        "masks": {mask.bitstring: pair for mask, pair in pairs.items()},
        "rank_correlation": float(spearmanr(*zip(*pairs.values(), strict=True)).statistic),
        "best_briefly": ordered[0][1],
        "best_of_all": max(test.values()),
        "keep_all": test[keep_all(n_genes)],
        "transfer_all": test[transfer_all(n_genes)],
    }


def main() -> None:
    """Measure all seeds and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    conditions = conditions_of("brief_vs_full")
    rows = []
    for seed in range(1, arguments.seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(seed, Path(folder)))
    columns = ("rank_correlation", "keep_all", "transfer_all", "best_briefly", "best_of_all")
    lines = [
        "Test accuracy after 600 steps, at each mask's best of two learning rates; rank correlation of it with the",
        "validation accuracy after 40 steps at one.",
        "",
        "| seed | " + " | ".join(column.replace("_", " ") for column in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for row in rows:
        lines.append(f"| {row['seed']} | " + " | ".join(f"{row[c]:.3f}" for c in columns) + " |")
    means = (show(over_seeds([row[column] for row in rows])) for column in columns)
    lines.append("| mean | " + " | ".join(means) + " |")
    write_record(conditions, {"rows": rows}, "\n".join(lines))


if __name__ == "__main__":
    main()
