"""One search from its spec to its result: the phases in order.

Blocking; meant for the main thread of a process of its own.  Started again with the ledger of a run that was killed, it
repeats that run from the ledger and goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from models.randomness import derive_seed
from models.surroundings import Surroundings
from search.decisions import DecisionLog
from search.evaluation import Arm
from search.final import FINAL_PHASE, run_final
from search.learning_rate import PREPARING_PHASE, choose_arm
from search.ledger import Ledger
from search.optimizers import build_optimizer
from search.race.course import run_race
from search.race.short_heat import RACE_PHASE
from search.recorded import RecordedEvaluator
from search.study import SEARCH_PHASE, Study, StudyOutcome
from service.composition import Workbench, compose
from service.delivery import Found, deliver
from service.progress import ProgressTracker
from service.result import Progress, SearchResult
from service.spec import SearchOptions, SearchSpec


def run_search(
    spec: SearchSpec,
    *,
    ledger: Ledger,
    folder: Path,
    surroundings: Surroundings,
    listener: Callable[[Progress], None] = lambda _: None,
) -> SearchResult:
    """Search, race, final, verdict, artifacts.

    Args:
        spec: What to search; checked before by ``check_spec``.
        ledger: Empty, or what an earlier run of the same job left.
        folder: Where the job keeps its files; gets ``weights.safetensors``, ``grafted.safetensors``, ``report.html``
            and, for networks of a library that loads such a folder, ``model``.
        surroundings: What the spec may reach outside of itself.
        listener: Told after every chunk; replayed ones included.

    Raises:
        InvalidInputError: What only the data can show is wrong, or nothing trains without diverging.
        LeaseLostError: Another worker owns the job now.
    """

    def prepare(decisions: DecisionLog) -> Workbench:
        return compose(spec, decisions=decisions, folder=folder, surroundings=surroundings)

    return run_phases(spec, prepare, ledger=ledger, folder=folder, listener=listener)


def run_phases(
    options: SearchOptions,
    prepare: Callable[[DecisionLog], Workbench],
    *,
    ledger: Ledger,
    folder: Path,
    listener: Callable[[Progress], None] = lambda _: None,
) -> SearchResult:
    """Run all phases over whatever ``prepare`` builds; arguments as for ``run_search``."""
    started_at = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    tracker = ProgressTracker(options, listener)
    tracker.enter(PREPARING_PHASE)
    decisions = DecisionLog(ledger)
    with closing(prepare(decisions)) as bench:
        recorded = RecordedEvaluator(
            bench.evaluator,
            ledger,
            decisions,
            chunk_size=bench.plan.candidates_at_once,
            mixes_replicates=bench.task.mixes_replicates,
            listener=tracker.measured,
            started_at=started_at,
        )
        tracker.follow(recorded, bench.problem.n_genes)
        arm = choose_arm(
            recorded,
            decisions,
            bench.problem,
            options.finetune.learning_rates,
            per_candidate=options.finetune.learning_rate_per_candidate,
        )
        tracker.enter(SEARCH_PHASE)
        study = _search(options, bench, recorded, arm, tracker)
        tracker.enter(RACE_PHASE)
        race = run_race(
            recorded,
            bench.problem,
            arm,
            study.evaluations,
            options=options.race,
            final=options.final,
        )
        tracker.enter(FINAL_PHASE)
        final = run_final(recorded, bench.final_evaluator, race.entries, arm, options.final)
    found = Found(study, race, final)
    seconds = recorded.elapsed_seconds
    result = deliver(found, options, bench, decisions=decisions, folder=folder, seconds=seconds)
    tracker.finish()
    return result


def _search(
    options: SearchOptions,
    bench: Workbench,
    recorded: RecordedEvaluator,
    arm: Arm,
    tracker: ProgressTracker,
) -> StudyOutcome:
    """Run the search phase; with a time limit it ends while there is time for race and final."""
    limit = options.budget.seconds

    def out_of_time() -> str | None:
        if limit is not None and recorded.elapsed_seconds + tracker.reserve_seconds() >= limit:
            return "time_budget"
        return None

    seed = derive_seed(options.seed, "optimizer") % 2**32
    optimizer = build_optimizer(options.optimizer, bench.problem, seed)
    return Study(optimizer, recorded, bench.problem, arm, out_of_time).run()
