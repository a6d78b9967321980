"""The ways to evaluate candidates, each as a child program: a plain loop, a process pool of it, a plan of the project.

The plain loop is ordinary torch as a user would write it: one module, one Adam, one candidate after another.
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import time
from collections.abc import Callable, Sequence
from multiprocessing.pool import Pool
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from benchmarks.throughput.child import Message, serve
from benchmarks.throughput.networks import BATCH, LEARNING_RATE, build_task, draw_candidates
from models.devices import available_cores
from models.evaluator import Task
from models.graft import graft
from models.plans.plan import Plan
from models.recipe.minibatches import draw_minibatches
from search.errors import TransferMaskError
from search.evaluation import Candidate
from service.planning import Workers, build_evaluator, measure_plans
from service.spec import SearchOptions

PLAIN_LOOP, PLAIN_POOL, OURS = "plain loop", "plain pool", "ours"
CPU = torch.device("cpu")

# Validation accuracy and mean cross entropy; NaN for a candidate that diverged.
Score = tuple[float, float]
Evaluate = Callable[[Sequence[Candidate]], list[Score]]

_task_of_worker: list[Task] = []


def evaluate_plainly(task: Task, candidate: Candidate) -> Score:
    """Graft, fine-tune and score one candidate as one would write it by hand."""
    network = copy.deepcopy(task.network)
    network.load_state_dict(graft(task.target(0), task.source, task.genes, candidate.genome))
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    x, y = task.data.train.inputs["x"], task.data.train.labels
    for indices in draw_minibatches(
        len(y), candidate.fidelity, BATCH, task.seed, candidate.replicate
    ):
        optimizer.zero_grad()
        cross_entropy(network(x[indices]), y[indices]).backward()
        optimizer.step()
    network.eval()
    x, y = task.data.validation.inputs["x"], task.data.validation.labels
    with torch.no_grad():
        logits = network(x)
    accuracy = (logits.argmax(dim=1) == y).double().mean()
    return float(accuracy), float(cross_entropy(logits, y))


def chosen_plan(task: Task, workers: Workers) -> Plan:
    """Give the plan that the product's own probe chooses, on this machine now, for a search with default options."""
    options = SearchOptions(finetune=task.strategy.config)
    return measure_plans(task, options, CPU, workers).plan


def _plain_loop(task: Task) -> Evaluate:
    return lambda candidates: [evaluate_plainly(task, candidate) for candidate in candidates]


def _plain_pool(pool: Pool) -> Evaluate:
    return lambda candidates: pool.map(_evaluate_in_worker, candidates, chunksize=1)


def _start_worker(network: str) -> None:
    torch.set_num_threads(1)
    _task_of_worker.append(build_task(network))


def _evaluate_in_worker(candidate: Candidate) -> Score:
    return evaluate_plainly(_task_of_worker[0], candidate)


def _by_plan(task: Task, plan: Plan, workers: Workers) -> Evaluate:
    evaluator, size = build_evaluator(task, plan, CPU, workers), plan.candidates_at_once

    def evaluate(candidates: Sequence[Candidate]) -> list[Score]:
        evaluations = [
            evaluation
            for start in range(0, len(candidates), size)
            for evaluation in evaluator.evaluate(candidates[start : start + size])
        ]
        return [
            (float("nan") if e.fitness is None else e.fitness, e.loss or float("nan"))
            for e in evaluations
        ]

    return evaluate


def _start(
    network: str, way: str, plan_document: dict[str, Any] | None
) -> tuple[Message, Callable[[Message], Message]]:
    task = build_task(network)
    ready: Message = {"plan": None, "candidates_at_once": 1, "refusal": None}
    if way == PLAIN_LOOP:
        evaluate = _plain_loop(task)
    elif way == PLAIN_POOL:
        cores = available_cores()
        context = multiprocessing.get_context("spawn")
        evaluate = _plain_pool(context.Pool(cores, _start_worker, (network,)))
        ready["candidates_at_once"] = cores
    else:
        # Worker processes end with this one.
        workers = Workers(task, artifacts=None)
        given = plan_document is not None
        plan = Plan.model_validate(plan_document) if given else chosen_plan(task, workers)
        ready |= {"plan": plan.model_dump(), "candidates_at_once": plan.candidates_at_once}
        evaluate = _by_plan(task, plan, workers)

    def respond(question: Message) -> Message:
        candidates = draw_candidates(task, question["candidates"], question["steps"])
        started = time.perf_counter()
        scores = evaluate(candidates)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "scores": scores}

    try:
        respond({"candidates": ready["candidates_at_once"], "steps": 1})
    except (TransferMaskError, RuntimeError) as error:  # a layout cannot compute every network
        ready["refusal"] = str(error).partition("\n")[0]
    return ready, respond


def main() -> None:
    """Serve one way on one network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", required=True)
    parser.add_argument("--way", required=True)
    parser.add_argument("--plan", type=json.loads)
    arguments = parser.parse_args()
    serve(lambda: _start(arguments.network, arguments.way, arguments.plan))


if __name__ == "__main__":
    main()
