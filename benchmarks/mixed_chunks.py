"""What chunks of several replicates save: the demo's whole search with and without them, in turn.

Both run by one pinned plan; the one without is a job whose plan was recorded with ``mixes_replicates`` off, as jobs of
before this was possible are.  Seconds are those of the evaluations in the ledger, so that what comes before the search
is left out.

    python -m benchmarks.mixed_chunks --rounds 2
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import conditions_of, spread, write_record
from models.plans.plan import fused_plan
from models.surroundings import Surroundings
from search.decisions import Decision, DecisionLog
from search.evaluation import UNTRAINED
from search.learning_rate import PREPARING_PHASE
from search.ledger import EvaluationRow, InMemoryLedger, Position
from service.pipeline import run_search
from service.spec import SearchSpec

SPEC = Path(__file__).parent.parent / "examples" / "digits.json"
PLAN = fused_plan("stacked", 32, threads=1, processes=2, channels_last=True)
PHASES = ("search", "race", "final")


def run_once(seed: int, *, mixes: bool) -> dict[str, dict[str, float]]:
    """Run one search; chunks, evaluations and seconds of each phase."""
    document = json.loads(SPEC.read_text(encoding="utf-8"))
    plan = PLAN.model_dump(mode="json")
    spec = SearchSpec.model_validate(document | {"seed": seed, "plan": plan})
    ledger = InMemoryLedger()
    value: Decision = {"plan": plan, "refusals": {}, "mixes_replicates": mixes}
    DecisionLog(ledger).record(Position(PREPARING_PHASE), "plan", value, {})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_search(spec, ledger=ledger, folder=folder, surroundings=Surroundings.of(folder))
    chunks: dict[str, set[tuple[int, int]]] = defaultdict(set)
    seconds: dict[str, list[float]] = defaultdict(list)
    for row in ledger.rows():
        if isinstance(row, EvaluationRow) and row.evaluation.candidate.fidelity != UNTRAINED:
            phase = row.position.phase
            chunks[phase].add((row.position.batch, row.position.chunk))
            seconds[phase].append(row.evaluation.duration_seconds)
    return {
        phase: {
            "chunks": len(chunks[phase]),
            "evaluations": len(seconds[phase]),
            "seconds": round(sum(seconds[phase]), 2),
        }
        for phase in PHASES
    }


def render(rounds: Sequence[Mapping[str, Any]]) -> str:
    """A row per phase: chunks and time per evaluation, without and with mixing, and the ratio within each round."""
    lines = [
        "| phase | evaluations in a chunk, one replicate | several | seconds, one replicate | several "
        "| an evaluation is faster by |",
        "|---|---|---|---|---|---|",
    ]
    for phase in PHASES:
        alone, mixed = ([one[key][phase] for one in rounds] for key in ("alone", "mixed"))
        sizes = [
            f"{np.mean([run['evaluations'] / run['chunks'] for run in runs]):.1f}"
            for runs in (alone, mixed)
        ]
        seconds = [spread([run["seconds"] for run in runs]) for runs in (alone, mixed)]
        ratios = [
            (a["seconds"] / a["evaluations"]) / (m["seconds"] / m["evaluations"])
            for a, m in zip(alone, mixed, strict=True)
        ]
        lines.append(f"| {phase} | {' | '.join([*sizes, *seconds, spread(ratios)])} |")
    lines += ["", f"{len(rounds)} rounds: medians (least to most).  Plan: {PLAN.label}."]
    return "\n".join(lines)


def main() -> None:
    """Run both in turn and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    conditions = conditions_of("mixed_chunks")
    rounds: list[dict[str, Any]] = []
    for seed in range(parser.parse_args().rounds):
        alone, mixed = (run_once(seed, mixes=mixes) for mixes in (False, True))
        rounds.append({"seed": seed, "alone": alone, "mixed": mixed})
        write_record(conditions, {"rounds": rounds}, render(rounds))


if __name__ == "__main__":
    main()
