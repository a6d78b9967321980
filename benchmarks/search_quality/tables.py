"""Measures every mask of small real tasks, so that searches can be replayed thousands of times in seconds.

All masks at the brief fidelity and its rungs, all masks at full length, and a subset at full length many times with
every test answer.  Parts are kept in a scratch folder as they are done: started again, a build goes on.

    python -m benchmarks.search_quality.tables label_cycle_mlp --workers 2
    python -m benchmarks.search_quality.tables label_cycle_mlp --estimate
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.search_quality.table_data import TABLES, load_table
from benchmarks.search_quality.table_parts import FAILED, Part, measure, open_bench
from benchmarks.search_quality.table_tasks import RUNG_REPLICATES, TABLE_TASKS
from search.evaluation import FINAL_REPLICATE, RACE_REPLICATE, SEARCH_REPLICATE, UNTRAINED
from search.genome import keep_all, prefixes, transfer_all

SCRATCH = Path(__file__).parents[2] / "build" / "tables"
# Masks of one part of a long measurement: small enough that two processes end at about the same time.
BLOCK = 256
N_TIMED = 64


def all_masks(n_genes: int) -> list[str]:
    """Every mask, in order of the binary numbers they spell: a mask's number is its row."""
    return ["".join(bits) for bits in itertools.product("01", repeat=n_genes)]


class Builder:
    """One table being measured."""

    def __init__(self, name: str) -> None:
        """Train the source, count the genes."""
        self.name, self.task = name, TABLE_TASKS[name]
        self.spec = self.task.spec
        digest = hashlib.sha256(self.spec.model_dump_json().encode()).hexdigest()
        self.folder = SCRATCH / f"{name}-{digest[:12]}"
        self.bench = open_bench(name, self.folder)
        self.masks = all_masks(self.bench.problem.n_genes)

    @property
    def rungs(self) -> list[int]:
        """Steps of the cheaper fidelities."""
        return [UNTRAINED, self.spec.finetune.steps // 3]

    def brief_parts(self) -> list[Part]:
        """Every mask, briefly and at the rungs."""
        plan = [(self.spec.finetune.steps, self.task.brief_replicates)]
        plan += [(steps, RUNG_REPLICATES) for steps in self.rungs]
        return [
            part
            for steps, replicates in plan
            for replicate in range(replicates)
            for part in self._blocks("brief", steps, 1.0, SEARCH_REPLICATE + replicate)
        ]

    def full_parts(self) -> list[Part]:
        """Every mask at full length."""
        return [
            part
            for factor in self.task.full_factors
            for replicate in range(self.task.full_replicates)
            for part in self._blocks(
                "full", self.spec.final.steps, factor, RACE_REPLICATE + replicate
            )
        ]

    def subset_parts(self, subset: Sequence[int]) -> list[Part]:
        """A few masks at full length, often; the replicates are those of a final."""
        masks = tuple(self.masks[row] for row in subset)
        return [
            self._part("subset", self.spec.final.steps, factor, FINAL_REPLICATE + replicate, masks)
            for factor in self.subset_factors
            for replicate in range(self.task.subset_replicates)
        ]

    @property
    def subset_factors(self) -> tuple[float, ...]:
        """Learning-rate factors of the subset."""
        return self.spec.final.learning_rate_factors if self.task.subset_size else ()

    def _blocks(self, label: str, steps: int, factor: float, replicate: int) -> list[Part]:
        return [
            self._part(
                f"{label}{start}", steps, factor, replicate, self.masks[start : start + BLOCK]
            )
            for start in range(0, len(self.masks), BLOCK)
        ]

    def _part(
        self, label: str, steps: int, factor: float, replicate: int, masks: Sequence[str]
    ) -> Part:
        tests = not label.startswith("brief")
        return Part(self.name, self.folder, steps, factor, replicate, tuple(masks), label, tests)

    def subset(self, brief_right: NDArray[Any]) -> list[int]:
        """Rows of the best masks, the pure ones, the prefixes and some drawn at random."""
        n_genes = self.bench.problem.n_genes
        named = [keep_all(n_genes), transfer_all(n_genes), *prefixes(n_genes)]
        rows = [int(genome.bitstring, 2) for genome in named]
        scores = np.where(brief_right == FAILED, 0, brief_right).mean(axis=0)
        best = np.argsort(-scores, kind="stable")[: self.task.subset_size // 3]
        drawn = np.random.default_rng(0).permutation(len(self.masks))
        chosen = dict.fromkeys([*best.tolist(), *rows, *drawn.tolist()])
        return sorted(list(chosen)[: self.task.subset_size])

    def stacked(self, parts: Sequence[Part]) -> dict[str, NDArray[Any]]:
        """Read parts that together are a (factor, replicate, mask) grid, in that order."""
        grid = (len({part.factor for part in parts}), len({part.replicate for part in parts}))
        read = [np.load(part.path, allow_pickle=False) for part in parts]
        flat = {
            field: np.concatenate([one[field] for one in read])
            for field in ("right", "loss", "hits")
        }
        n_masks = len(flat["right"]) // (grid[0] * grid[1])
        return {
            field: values.reshape(*grid, n_masks, *values.shape[1:])
            for field, values in flat.items()
        }


def estimate(builder: Builder) -> str:
    """Time 64 masks and say how long all of it takes, by the clock and by this process's share of the processor."""
    steps = builder.spec.finetune.steps
    drawn = np.random.default_rng(1).permutation(len(builder.masks))[:N_TIMED]
    masks = tuple(builder.masks[row] for row in drawn)
    part = Part(builder.name, builder.folder, steps, 1.0, SEARCH_REPLICATE, masks, "timed")
    measure(part)
    started = time.perf_counter(), time.process_time()
    measure(part)
    waited = time.perf_counter() - started[0]
    computed = time.process_time() - started[1]
    part.path.unlink()
    phases = {
        "brief": builder.brief_parts(),
        "full": builder.full_parts(),
        "subset": builder.subset_parts(range(builder.task.subset_size)),
    }
    steps_of = {name: sum(p.candidate_steps for p in parts) for name, parts in phases.items()}
    minutes = computed / part.candidate_steps / 60
    shares = ", ".join(f"{name} {minutes * count:.0f}" for name, count in steps_of.items())
    return (
        f"{builder.name}: {1000 * computed / part.candidate_steps:.2f} ms of computing per candidate-step "
        f"({waited / computed:.1f} times as long by the clock, just now); "
        f"{minutes * sum(steps_of.values()):.0f} minutes of computing ({shares}), to be divided by the workers"
    )


def build(
    builder: Builder, measure_all: Callable[[Sequence[Part]], None]
) -> dict[str, NDArray[Any]]:
    """Measure what is missing, in the order in which it is needed; give the table's arrays."""
    brief = builder.brief_parts()
    measure_all(brief)
    steps = builder.spec.finetune.steps
    arrays: dict[str, NDArray[Any]] = {}
    for name, wanted in [("brief", steps), *((f"rung{s}", s) for s in builder.rungs)]:
        found = builder.stacked([part for part in brief if part.steps == wanted])
        arrays |= {f"{name}_right": found["right"][0], f"{name}_loss": _stored(found, wanted)[0]}
    if builder.task.subset_size:
        rows = builder.subset(arrays["brief_right"])
        subset = builder.subset_parts(rows)
        measure_all(subset)
        arrays["subset"] = np.array(rows, dtype=np.uint16)
        found = builder.stacked(subset)
        arrays |= {"subset_right": found["right"], "subset_hits": found["hits"]}
        arrays["subset_loss"] = _stored(found, builder.spec.final.steps)
    if builder.task.full_factors:
        full = builder.full_parts()
        measure_all(full)
        found = builder.stacked(full)
        arrays["full_right"] = found["right"]
        arrays["full_loss"] = _stored(found, builder.spec.final.steps)
        hits = np.unpackbits(found["hits"], axis=3).sum(axis=3)
        arrays["full_test_right"] = hits.astype(np.uint16)
    return arrays


def _stored(found: Mapping[str, NDArray[Any]], steps: int) -> NDArray[Any]:
    """Losses, coarsely where they tell how sure a trained network is; untrained ones differ in the fourth digit."""
    return found["loss"].astype(np.float32 if steps == UNTRAINED else np.float16)


def measure_in_processes(workers: int, parts: Sequence[Part]) -> None:
    """Measure the parts that have no file yet."""
    from benchmarks.seed_workers import over_seed_processes

    missing = [part for part in parts if not part.path.exists()]
    started = time.perf_counter()
    done = over_seed_processes(measure, missing, workers, calls_per_process=1000)
    for number, part in enumerate(done, start=1):
        seconds = time.perf_counter() - started
        print(f"{number}/{len(missing)} {part.path.name} after {seconds:.0f} s", flush=True)


def save(
    builder: Builder,
    arrays: Mapping[str, NDArray[Any]],
    conditions: Mapping[str, str],
    folder: Path,
) -> None:
    """Write a table and its description."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{builder.name}.npz"
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type] # taken for allow_pickle
    document = describe(builder, conditions)
    path.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def describe(builder: Builder, conditions: Mapping[str, str]) -> dict[str, Any]:
    """What is needed to read the arrays and to measure them again."""
    task, data = builder.task, builder.bench.task.data
    return {
        "conditions": dict(conditions),
        "spec": builder.spec.model_dump(mode="json"),
        "genes": [gene.name for gene in builder.bench.task.genes.genes],
        "validation_samples": len(data.validation.labels),
        "test_samples": len(data.test.labels),
        "brief_steps": builder.spec.finetune.steps,
        "rung_steps": builder.rungs,
        "full_steps": builder.spec.final.steps if task.full_factors else None,
        "full_factors": list(task.full_factors),
        "subset_factors": list(builder.subset_factors),
        "first_replicates": {
            "brief": SEARCH_REPLICATE,
            "full": RACE_REPLICATE,
            "subset": FINAL_REPLICATE,
        },
        "failed": FAILED,
    }


def main() -> None:
    """Estimate or build one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", choices=list(TABLE_TASKS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--estimate", action="store_true", help="only say how long it takes")
    arguments = parser.parse_args()
    from benchmarks.record import conditions_of

    conditions = conditions_of("search_quality.tables")
    builder = Builder(arguments.table)
    print(estimate(builder), flush=True)
    if arguments.estimate:
        return
    arrays = build(builder, partial(measure_in_processes, arguments.workers))
    save(builder, arrays, conditions, TABLES)
    print(load_table(arguments.table).summary())


if __name__ == "__main__":
    main()
