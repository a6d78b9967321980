"""One search against the clock, in a process of its own: prints what was evaluated and when, as JSON.

The clock starts when the libraries are loaded, which takes both ways the same time: reading data and weights, building
the evaluator and choosing a plan are part of the search.  The trained source is given to everybody.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.search_quality.table_tasks import DEMO_SPEC
from search.evaluation import Candidate, Evaluation, Evaluator
from service.spec import SearchSpec

# Of replicates: every search has its own draws.
STRIDE = 1000


class OwnDraws:
    """An evaluator whose replicates nobody else has."""

    def __init__(self, evaluator: Evaluator, number: int) -> None:
        """Number the searches."""
        self._evaluator, self._offset = evaluator, STRIDE * number

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Measure one chunk."""
        moved = [replace(c, replicate=c.replicate + self._offset) for c in candidates]
        evaluations = self._evaluator.evaluate(moved)
        return [
            replace(evaluation, candidate=candidate)
            for evaluation, candidate in zip(evaluations, candidates, strict=True)
        ]


def search_with_transfermask(
    optimizer: str, budget: int, seed: int, folder: Path, plan: Any
) -> dict[str, Any]:
    """The search phase of the product; ``plan`` as in a spec: "auto" is measured."""
    from models.surroundings import Surroundings
    from search.decisions import DecisionLog
    from search.evaluation import Arm
    from search.ledger import InMemoryLedger
    from search.optimizers import build_optimizer
    from search.race.leaders import leading_masks
    from search.recorded import RecordedEvaluator
    from search.study import Study
    from service.composition import compose

    document = json.loads(DEMO_SPEC.read_text(encoding="utf-8"))
    document |= {"optimizer": {"kind": optimizer}, "budget": {"evaluations": budget}, "plan": plan}
    spec = SearchSpec.model_validate(document)
    rows: list[list[Any]] = []
    started = time.perf_counter()

    def note(phase: str, batch: int, evaluations: Sequence[Evaluation]) -> None:  # noqa: ARG001
        seconds = time.perf_counter() - started
        whole = (e for e in evaluations if e.candidate.fidelity == spec.finetune.steps)
        rows.extend(_row(seconds, e) for e in whole)

    ledger = InMemoryLedger()
    decisions = DecisionLog(ledger)
    bench = compose(spec, decisions=decisions, folder=folder, surroundings=Surroundings.of(folder))
    recorded = RecordedEvaluator(
        OwnDraws(bench.evaluator, seed),
        ledger,
        decisions,
        chunk_size=bench.plan.candidates_at_once,
        mixes_replicates=bench.task.mixes_replicates,
        listener=note,
    )
    proposing = build_optimizer(spec.optimizer, bench.problem, seed)
    found = Study(proposing, recorded, bench.problem, Arm()).run().evaluations
    full = [e for e in found if e.candidate.fidelity == bench.problem.search_fidelity]
    leading_masks(full)
    seconds = time.perf_counter() - started
    bench.close()
    return {
        "rows": rows,
        "seconds": seconds,
        "plan": bench.plan.label,
        "plan_document": bench.plan.model_dump(mode="json"),
    }


def search_with_peer(peer: str, budget: int, seed: int, folder: Path) -> dict[str, Any]:
    """A peer around the plain loop."""
    from benchmarks.search_quality.peers import run_peer
    from benchmarks.search_quality.plain_loop import PlainLoop
    from search.genome import Genome

    spec = SearchSpec.model_validate_json(DEMO_SPEC.read_text(encoding="utf-8"))
    times: list[float] = []
    started = time.perf_counter()
    loop = PlainLoop(spec, folder, seed)

    def measure(mask: Genome, replicate: int) -> float:
        fitness = loop(mask, replicate)
        times.append(time.perf_counter() - started)
        return fitness

    evaluations = run_peer(peer, measure, loop.n_genes, budget, seed)
    seconds = time.perf_counter() - started
    rows = [_row(at, e, spec.finetune.steps) for at, e in zip(times, evaluations, strict=True)]
    return {"rows": rows, "seconds": seconds, "plan": "plain loop"}


def _row(seconds: float, evaluation: Evaluation, steps: int | None = None) -> list[Any]:
    """When, mask, steps, replicate, fitness."""
    candidate = evaluation.candidate
    steps = candidate.fidelity if steps is None else steps
    mask = candidate.genome.bitstring
    return [round(seconds, 4), mask, steps, candidate.replicate, evaluation.fitness]


def load_libraries() -> None:
    """Import what either way needs, before any clock starts; torch loads a good deal with its first optimizer."""
    import sklearn.datasets  # noqa: F401
    import torch

    import benchmarks.search_quality.plain_loop  # noqa: F401
    import search.optimizers  # noqa: F401

    torch.optim.Adam([torch.zeros(1, requires_grad=True)])


def main() -> None:
    """Search once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("searcher", help="a peer, or transfermask")
    parser.add_argument("--optimizer", default="genetic")
    parser.add_argument("--budget", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--plan", type=json.loads, default="auto", help="of transfermask, as JSON")
    arguments = parser.parse_args()
    budget, seed, folder = arguments.budget, arguments.seed, arguments.folder
    load_libraries()
    if arguments.searcher == "transfermask":
        found = search_with_transfermask(arguments.optimizer, budget, seed, folder, arguments.plan)
    else:
        if arguments.searcher.startswith("optuna"):
            import optuna  # noqa: F401
        found = search_with_peer(arguments.searcher, budget, seed, folder)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
