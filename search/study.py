"""The search phase: ask, measure, tell, until the budget is spent or nothing new comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from search.evaluation import Arm, Candidate, Evaluation
from search.optimizer import Optimizer, SearchProblem
from search.proposing.rungs import RungAgreement, RungScreen
from search.recorded import RecordedEvaluator, StopRequested

# Batches in a row without a candidate that is new; an optimizer that only repeats itself has converged.
MAX_IDLE_BATCHES = 10

SEARCH_PHASE = "search"


@dataclass(frozen=True, slots=True)
class StudyOutcome:
    """What the search phase found.

    Attributes:
        evaluations: Every different candidate measured, in order.
        stop_reason: ``evaluation_budget``, ``time_budget``, ``exhausted`` (the optimizer only repeats itself) or
            ``completed`` (the optimizer has nothing more to try).
        rungs: What the fidelities below the search fidelity were worth, where there are any.
    """

    evaluations: tuple[Evaluation, ...]
    stop_reason: str
    rungs: tuple[RungAgreement, ...] = ()

    def at(self, fidelity: int) -> tuple[Evaluation, ...]:
        """What was measured at one fidelity; lower rungs are not comparable with the search fidelity."""
        return tuple(e for e in self.evaluations if e.candidate.fidelity == fidelity)


class Study:
    """One search phase; started over with the same ledger it repeats itself exactly."""

    def __init__(
        self,
        optimizer: Optimizer,
        recorded: RecordedEvaluator,
        problem: SearchProblem,
        arm: Arm,
        interrupt: Callable[[], str | None] | None = None,
    ) -> None:
        """Bind the parts.

        Args:
            optimizer: Proposes; freshly constructed.
            recorded: Measures.
            problem: Gives the budget and the search fidelity.
            arm: Recipe of the candidates for which the optimizer does not name one.
            interrupt: Gives a reason to stop from outside, or None.
        """
        self._optimizer, self._recorded, self._problem = optimizer, recorded, problem
        self._arm, self._interrupt = arm, interrupt
        self._spent = 0.0
        self._found: dict[Candidate, Evaluation] = {}

    def run(self) -> StudyOutcome:
        """Search to the end.

        Raises:
            LeaseLostError: Another worker owns the job now.
        """
        try:
            reason = self._run_batches()
        except StopRequested as stop:
            reason = stop.reason
        optimizer = self._optimizer
        rungs = optimizer.agreements() if isinstance(optimizer, RungScreen) else ()
        return StudyOutcome(tuple(self._found.values()), reason, rungs)

    def _run_batches(self) -> str:
        idle_batches = 0
        while True:
            asked = self._optimizer.ask()
            if not asked:
                return "completed"
            batch = self._within_budget(asked)
            idle_batches = 0 if any(map(self._is_new, batch)) else idle_batches + 1
            self._measure_and_tell(batch)
            if len(batch) < len(asked) or self._spent >= self._problem.budget_evaluations:
                return "evaluation_budget"
            if idle_batches >= MAX_IDLE_BATCHES:
                return "exhausted"

    def _measure_and_tell(self, batch: list[Candidate]) -> None:
        new = {c for c in map(self._with_arm, batch) if not self._recorded.knows(c)}
        self._spent += sum(map(self._cost, new))
        asked_for = [self._with_arm(candidate) for candidate in batch]
        try:
            evaluations = self._recorded.measure(SEARCH_PHASE, asked_for, interrupt=self._interrupt)
        finally:
            # Where the batch was stopped half-way, what it measured was found all the same.
            found = self._recorded.answered(asked_for)
            self._found.update((evaluation.candidate, evaluation) for evaluation in found)
        self._optimizer.tell(
            [
                replace(evaluation, candidate=asked)
                for asked, evaluation in zip(batch, evaluations, strict=True)
            ]
        )

    def _within_budget(self, asked: list[Candidate]) -> list[Candidate]:
        """The batch up to the first new candidate that the budget does not cover."""
        spent = self._spent
        new: set[Candidate] = set()
        for index, candidate in enumerate(asked):
            if self._is_new(candidate) and candidate not in new:
                new.add(candidate)
                spent += self._cost(candidate)
                if spent > self._problem.budget_evaluations:
                    return asked[:index]
        return asked

    def _cost(self, candidate: Candidate) -> float:
        return candidate.fidelity / max(1, self._problem.search_fidelity)

    def _is_new(self, candidate: Candidate) -> bool:
        return not self._recorded.knows(self._with_arm(candidate))

    def _with_arm(self, candidate: Candidate) -> Candidate:
        return replace(candidate, arm=self._arm) if candidate.arm == Arm() else candidate
