"""How far a search is and how long it will take: an estimate in training steps, priced by the steps measured so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from search.evaluation import UNTRAINED, Evaluation
from search.final import FINAL_PHASE, n_contenders
from search.futility import FutilityWatch
from search.optimizer import SearchProblem
from search.race.course import Course
from search.race.short_heat import RACE_PHASE
from search.recorded import RecordedEvaluator
from search.study import SEARCH_PHASE
from service.result import Progress
from service.spec import SearchOptions


def planned_trainings(options: SearchOptions, n_genes: int) -> dict[str, int]:
    """Trainings of each phase at most: each at one learning rate or, where a candidate has several, at all of them."""
    return {
        SEARCH_PHASE: options.budget.evaluations,
        RACE_PHASE: sum(_course(options).trainings(n_genes)),
        FINAL_PHASE: n_contenders(n_genes) * options.final.replicates,
    }


def planned_steps(options: SearchOptions, n_genes: int) -> dict[str, int]:
    """Training steps of each phase at most, over all candidates: what the search will cost before it starts.

    A training that diverges in the final, having trained in the race, comes on top: another mask takes its place.
    """
    n_rates = len(options.finetune.learning_rates_of_one)
    brief, full_length = options.finetune.steps * n_rates, options.final.steps
    n_brief, n_full = _course(options).trainings(n_genes)
    return {
        SEARCH_PHASE: options.budget.evaluations * brief,
        RACE_PHASE: n_brief * brief + n_full * full_length,
        FINAL_PHASE: n_contenders(n_genes) * options.final.replicates * full_length,
    }


def most_side_by_side(options: SearchOptions, n_genes: int) -> int:
    """Candidates that any phase trains side by side, at most: larger chunks would never be full."""
    problem = SearchProblem(n_genes, options.finetune.steps, options.budget.evaluations)
    return max(
        options.optimizer.batch_within(problem),
        sum(_course(options).entrants(n_genes)),
        planned_trainings(options, n_genes)[FINAL_PHASE],
    )


def _course(options: SearchOptions) -> Course:
    n_rates = len(options.finetune.learning_rates_of_one)
    return Course(
        options.race, options.final, options.finetune.steps, options.final.n_arms(n_rates)
    )


class ProgressTracker:
    """Counts steps and seconds, and tells a listener."""

    def __init__(self, options: SearchOptions, listener: Callable[[Progress], None]) -> None:
        """Plan the whole search before it starts; the number of genes is not known yet."""
        self._options, self._listener = options, listener
        self._budget = options.budget.evaluations
        self._planned = planned_steps(options, n_genes=1)
        self._done = dict.fromkeys(self._planned, 0)
        self._steps, self._step_seconds = 0, 0.0
        self._evaluations = 0
        # Those with evaluations at the search fidelity: shortlists and rungs are batches too, and no generations.
        self._batches: set[int] = set()
        self._best_fitness: float | None = None
        self._best_mask: str | None = None
        self._phase = ""
        self._recorded: RecordedEvaluator | None = None
        self._futility = FutilityWatch()

    def follow(self, recorded: RecordedEvaluator, n_genes: int) -> None:
        """Take the time from what measures; the number of genes completes the plan."""
        self._recorded = recorded
        self._planned = planned_steps(self._options, n_genes)

    def finish(self) -> None:
        """Report the end, however many of the planned steps were needed."""
        self._done = dict(self._planned)
        self._tell()

    def enter(self, phase: str) -> None:
        """Begin a phase; the ones before it are over, whether or not they used all their steps."""
        phases = list(self._planned)
        if phase in phases:
            for earlier in phases[: phases.index(phase)]:
                self._done[earlier] = self._planned[earlier]
        self._phase = phase
        self._tell()

    def measured(self, phase: str, batch: int, evaluations: Sequence[Evaluation]) -> None:
        """Take in one chunk."""
        trained = [e for e in evaluations if e.candidate.fidelity != UNTRAINED]
        steps = sum(e.candidate.fidelity * max(1, len(e.candidate.arm.rates)) for e in trained)
        self._steps += steps
        self._step_seconds += sum(evaluation.duration_seconds for evaluation in trained)
        if phase in self._done:
            self._done[phase] = min(self._planned[phase], self._done[phase] + steps)
        if phase == SEARCH_PHASE:
            fidelity = self._options.finetune.steps
            # What was measured on a lower rung is neither comparable nor a whole evaluation.
            whole = [e for e in evaluations if e.candidate.fidelity == fidelity]
            self._evaluations += len(whole)
            if whole:
                self._batches.add(batch)
                self._futility.add(batch, whole)
            for evaluation in whole:
                self._consider(evaluation)
        self._tell()

    def reserve_seconds(self) -> float:
        """Seconds that race and final will take at the measured speed; 0 while nothing is measured."""
        steps = self._planned[RACE_PHASE] + self._planned[FINAL_PHASE]
        return steps * self._step_seconds / self._steps if self._steps else 0.0

    def _consider(self, evaluation: Evaluation) -> None:
        if evaluation.fitness is not None and (
            self._best_fitness is None or evaluation.fitness > self._best_fitness
        ):
            self._best_fitness = evaluation.fitness
            self._best_mask = evaluation.candidate.genome.bitstring

    def _tell(self) -> None:
        total, done = sum(self._planned.values()), sum(self._done.values())
        seconds = self._recorded.elapsed_seconds if self._recorded else 0.0
        rate = self._step_seconds / self._steps if self._steps else None
        self._listener(
            Progress(
                phase=self._phase,
                evaluations=self._evaluations,
                budget=self._budget,
                fraction=done / total if total else 0.0,
                generation=max(0, len(self._batches) - 1),
                best_fitness=self._best_fitness,
                best_mask=self._best_mask,
                seconds=seconds,
                eta_seconds=None if rate is None else (total - done) * rate,
                message=self._futility.message,
            )
        )
