"""How good are the best masks of a table really?  Measured again at draws that did not choose them.

The best of many means of a few noisy scores is partly luck.  Here the masks that lead a table are trained often again,
at replicates of which the table knows nothing: their means say which mask is the best, and how sure that is.

    python -m benchmarks.search_quality.leaders demo --masks 40 --replicates 150 --workers 2
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import RESULTS, conditions_of, write_record
from benchmarks.search_quality.table_data import load_table
from benchmarks.search_quality.table_parts import FAILED, Part
from benchmarks.search_quality.tables import Builder, measure_in_processes
from search.evaluation import SEARCH_REPLICATE
from search.observations import FloatArray

PROGRAM = "search_quality.leaders"
N_SHOWN = 12


def leading_masks_of(table: str, count: int) -> dict[str, float]:
    """The masks with the best means in a table, best first, and those means."""
    read = load_table(table)
    best = np.argsort(-read.brief.truth, kind="stable")[:count]
    return {read.genome(int(row)).bitstring: float(read.brief.truth[row]) for row in best}


def parts_of(builder: Builder, masks: Sequence[str], replicates: int) -> list[Part]:
    """Every mask at each replicate from the table's last on."""
    first = SEARCH_REPLICATE + builder.task.brief_replicates
    steps = builder.spec.finetune.steps
    # A part that is there is not measured again: other masks are other parts.
    label = f"leaders-{hashlib.sha256(','.join(masks).encode()).hexdigest()[:12]}"
    return [
        Part(builder.name, builder.folder, steps, 1.0, first + number, tuple(masks), label)
        for number in range(replicates)
    ]


def fitness_of(builder: Builder, parts: Sequence[Part]) -> FloatArray:
    """``(R, M)``: validation accuracy; what diverged scores 0."""
    n_samples = len(builder.bench.task.data.validation.labels)
    right = builder.stacked(parts)["right"][0]
    fitness: FloatArray = np.where(right == FAILED, 0, right) / float(n_samples)
    return fitness


def remeasured(table: str, folder: Path = RESULTS) -> dict[str, float]:
    """Mean fitness of the masks that were measured again, from the record.

    Raises:
        FileNotFoundError: They were not.
    """
    path = folder / f"{PROGRAM}-{table}.json"
    masks = json.loads(path.read_text(encoding="utf-8"))["figures"]["masks"]
    return {mask: row["mean"] for mask, row in masks.items()}


def render(table: str, masks: Mapping[str, Mapping[str, Any]], replicates: int) -> str:
    """The best of them."""
    best = sorted(masks, key=lambda mask: -masks[mask]["mean"])[:N_SHOWN]
    lines = [
        f"The {len(masks)} masks that lead the table {table}, {replicates} trainings each at new draws; the best "
        f"{len(best)} of them.",
        "",
        "| mask | in the table, % | measured again, % | standard error, points |",
        "|---|---|---|---|",
        *(
            f"| {mask} | {100 * masks[mask]['table']:.1f} | {100 * masks[mask]['mean']:.1f} "
            f"| {100 * masks[mask]['standard_error']:.2f} |"
            for mask in best
        ),
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table")
    parser.add_argument("--masks", type=int, default=40)
    parser.add_argument("--replicates", type=int, default=150)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    conditions = conditions_of(PROGRAM)
    builder = Builder(arguments.table)
    leading = leading_masks_of(arguments.table, arguments.masks)
    parts = parts_of(builder, list(leading), arguments.replicates)
    measure_in_processes(arguments.workers, parts)
    fitness = fitness_of(builder, parts)
    errors = fitness.std(axis=0, ddof=1) / np.sqrt(len(fitness))
    masks = {
        mask: {
            "table": round(known, 4),
            "mean": round(float(mean), 4),
            "standard_error": round(float(error), 4),
        }
        for (mask, known), mean, error in zip(
            leading.items(), fitness.mean(axis=0), errors, strict=True
        )
    }
    figures = {"replicates": arguments.replicates, "masks": masks}
    text = render(arguments.table, masks, arguments.replicates)
    write_record(conditions, figures, text, arguments.table)


if __name__ == "__main__":
    main()
