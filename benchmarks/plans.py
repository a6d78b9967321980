"""Fused evaluation against what one would write: a plain loop over candidates, and a process pool of plain loops.

All on the demo's network and data, in one run, in turns, so that the ratios hold on a noisy machine.  The plain loop is
ordinary torch: one module, one Adam, one candidate after another.

    python -m benchmarks.plans --rounds 5
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.record import conditions_of, write_record
from models.dataset import Examples
from models.devices import available_cores
from models.evaluator import GraftEvaluator, Task
from models.family import build_family
from models.graft import graft
from models.inputs import InputFolder
from models.minibatches import draw_minibatches
from models.plan import Plan, fused_plan
from models.randomness import derive_seed
from models.splits import load_task
from models.strategy import build_strategy
from search.evaluation import Candidate
from search.genome import Genome
from service.composition import draw_up
from service.spec import SearchSpec

SPEC = Path(__file__).parent.parent / "examples" / "digits.json"
N_CANDIDATES, STEPS, FUSED_CHUNK = 48, 40, 16

_worker_task: list[Task] = []


def demo_task() -> Task:
    """The demo's task; the source is drawn instead of trained, which changes no timing."""
    document = json.loads(SPEC.read_text(encoding="utf-8")) | {"source": {"kind": "init"}}
    spec = SearchSpec.model_validate(document)
    blueprint = draw_up(spec, InputFolder(Path()))
    return Task(
        network=build_family(spec.model).build(blueprint.shape),
        genes=blueprint.genes,
        source=blueprint.source.load(0),
        target=blueprint.target.load,
        data=load_task(blueprint.dataset, spec.dataset, derive_seed(0, "data")),
        strategy=build_strategy(spec.finetune),
        metric="accuracy",
        seed=0,
    )


def plain(task: Task, candidate: Candidate) -> float:
    """Graft, fine-tune and score one candidate as one would write it by hand."""
    network = copy.deepcopy(task.network)
    network.load_state_dict(graft(task.target(0), task.source, task.genes, candidate.genome))
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    x, y = task.data.train.inputs["x"], task.data.train.labels
    for indices in draw_minibatches(len(y), candidate.fidelity, 32, task.seed, candidate.replicate):
        optimizer.zero_grad()
        cross_entropy(network(x[indices]), y[indices]).backward()
        optimizer.step()
    return _accuracy(network, task.data.validation)


def _accuracy(network: nn.Module, part: Examples) -> float:
    network.eval()
    with torch.no_grad():
        return float((network(part.inputs["x"]).argmax(dim=1) == part.labels).double().mean())


def _start_worker() -> None:
    torch.set_num_threads(1)
    _worker_task.append(demo_task())


def _plain_in_worker(candidate: Candidate) -> float:
    return plain(_worker_task[0], candidate)


def evaluate_all(evaluator: GraftEvaluator, candidates: list[Candidate], size: int) -> list[float]:
    """Evaluate in chunks."""
    fitness: list[float] = []
    for start in range(0, len(candidates), size):
        evaluations = evaluator.evaluate(candidates[start : start + size])
        fitness += [float("nan") if e.fitness is None else e.fitness for e in evaluations]
    return fitness


def main() -> None:
    """Time all ways in turns and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    conditions = conditions_of("plans")
    cores = available_cores()
    task = demo_task()
    rng = np.random.default_rng(0)
    masks = [Genome.from_bits(row) for row in rng.random((N_CANDIDATES, task.genes.n_genes)) < 0.5]
    candidates = [Candidate(mask, STEPS) for mask in masks]
    device = torch.device("cpu")
    fused = GraftEvaluator(task, fused_plan("vmap", FUSED_CHUNK, cores), device)
    loop = GraftEvaluator(task, Plan(layout="loop", threads=cores), device)
    seconds: dict[str, list[float]] = {"fused": [], "loop plan": [], "plain loop": [], "pool": []}
    os.environ["OMP_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(cores, _start_worker) as pool:
        pool.map(_plain_in_worker, candidates[: 2 * cores], chunksize=1)
        ways: dict[str, Any] = {
            "fused": lambda: evaluate_all(fused, candidates, FUSED_CHUNK),
            "loop plan": lambda: evaluate_all(loop, candidates, 1),
            "plain loop": lambda: [plain(task, candidate) for candidate in candidates],
            "pool": lambda: pool.map(_plain_in_worker, candidates, chunksize=1),
        }
        fitness = {}
        for round_number in range(arguments.rounds + 1):
            for name, way in ways.items():
                started = time.perf_counter()
                fitness[name] = way()
                if round_number > 0:  # the first round warms up
                    seconds[name].append(time.perf_counter() - started)
    agree = float(np.mean(np.isclose(fitness["fused"], fitness["plain loop"], atol=0.0051)))
    per_step = {
        name: [1000 * taken / (N_CANDIDATES * STEPS) for taken in values]
        for name, values in seconds.items()
    }
    lines = [
        "| way | ms per candidate-step, median (min to max) | fused is faster by, median (min to max) |",
        "|---|---|---|",
    ]
    for name, values in per_step.items():
        ratios = [value / own for value, own in zip(values, per_step["fused"], strict=True)]
        lines.append(
            f"| {name} | {_spread(values)} | {'' if name == 'fused' else _spread(ratios)} |"
        )
    lines += [
        "",
        f"{N_CANDIDATES} candidates x {STEPS} steps of batch 32, grafting and validation included; fused: vmap, "
        f"chunks of {FUSED_CHUNK}, {cores} threads; pool: {cores} processes with one thread each, started beforehand. "
        f"{100 * agree:.0f}% of the candidates score alike (within one validation sample) fused and in the plain loop.",
    ]
    write_record(
        conditions, {"ms_per_candidate_step": per_step, "agreement": agree}, "\n".join(lines)
    )


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
