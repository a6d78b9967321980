"""Measuring through the ledger: what it holds is answered from it, the rest is measured and appended.

Every phase of a job goes through one ``RecordedEvaluator``.  Started over with the ledger of a job that was killed, it
gives the same answers in the same order without measuring, and goes on where the ledger ends.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from search.decisions import DecisionLog
from search.errors import ChunkOutOfMemoryError
from search.evaluation import Arm, Candidate, Evaluation, Evaluator
from search.ledger import EvaluationRow, Ledger, Position

Key = tuple[str, int, str, int]
# Told after each chunk: its phase, its batch number within the phase, and what came back.
ChunkListener = Callable[[str, int, Sequence[Evaluation]], None]


class StopRequested(Exception):  # noqa: N818 - a signal between two parts, not an error
    """A decision from outside ended the batch; the reason is in the ledger."""

    def __init__(self, reason: str) -> None:
        """Keep the reason in the words of ``stop_reason``."""
        self.reason = reason
        super().__init__(reason)


class RecordedEvaluator:
    """Cuts batches into chunks, answers chunks from the ledger or the evaluator, records what is new.

    Not thread safe; the only writer of its ledger.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        ledger: Ledger,
        decisions: DecisionLog,
        *,
        chunk_size: int,
        mixes_replicates: bool = False,
        listener: ChunkListener | None = None,
        clock: Callable[[], float] = time.monotonic,
        started_at: float | None = None,
    ) -> None:
        """Read the ledger.

        Args:
            evaluator: Measures what the ledger does not know.
            ledger: What earlier runs of the same job have measured and decided.
            decisions: Of the same ledger.
            chunk_size: Candidates trained together, at least 1; halved when they do not fit into memory.
            mixes_replicates: Whether the evaluator takes candidates at different replicates together.
            listener: Told after each chunk, replayed ones included.
            clock: Seconds; for tests.
            started_at: When this run began by that clock, if that was before now.
        """
        self._evaluator, self._ledger, self._chunk_size = evaluator, ledger, chunk_size
        self._mixes_replicates = mixes_replicates
        self._decisions, self._listener, self._clock = decisions, listener, clock
        self._stored = {
            row.evaluation.candidate.key: row.evaluation
            for row in ledger.rows()
            if isinstance(row, EvaluationRow)
        }
        self._unread = set(self._stored)
        self._answered: dict[Key, Evaluation] = {}
        self._batches: Counter[str] = Counter()
        self._started_at = clock() if started_at is None else started_at
        self._earlier_seconds = sum(e.duration_seconds for e in self._stored.values())

    @property
    def elapsed_seconds(self) -> float:
        """Seconds spent on the job: measuring in earlier runs, everything in this one."""
        return self._earlier_seconds + self._clock() - self._started_at

    def knows(self, candidate: Candidate) -> bool:
        """Whether an earlier batch has the answer, so that asking again costs nothing."""
        return candidate.key in self._answered

    def answered(self, candidates: Iterable[Candidate]) -> list[Evaluation]:
        """Give the evaluations that exist; candidates without one are left out."""
        return [self._answered[c.key] for c in candidates if self.knows(c)]

    def measure(
        self,
        phase: str,
        candidates: Sequence[Candidate],
        evaluator: Evaluator | None = None,
        interrupt: Callable[[], str | None] | None = None,
    ) -> list[Evaluation]:
        """Measure one batch.

        Args:
            phase: Names the rows; batches are numbered within it.
            candidates: In any mix of fidelities, arms and replicates; repeats are measured once.
            evaluator: Used instead of the job's own for this batch.
            interrupt: Asked before each new chunk; a reason ends the batch and becomes a ledger row.

        Returns:
            One evaluation per candidate, in the order asked.

        Raises:
            StopRequested: ``interrupt`` gave a reason, now or before the job was resumed.
            LeaseLostError: Another worker owns the job now.
        """
        batch = self._batches[phase]
        self._batches[phase] += 1
        chunk = 0
        for group in self._groups(c for c in candidates if not self.knows(c)):
            remaining = group
            while remaining:
                position = Position(phase, batch, chunk)
                chunk += 1
                self._heed(interrupt, position)
                if self._is_known_not_to_fit(position):
                    continue
                try:
                    self._measure_chunk(position, remaining, evaluator or self._evaluator)
                except ChunkOutOfMemoryError:
                    self._halve_chunks(position)
                remaining = [c for c in remaining if not self.knows(c)]
        return [self._answered[candidate.key] for candidate in candidates]

    def _groups(self, candidates: Iterable[Candidate]) -> list[list[Candidate]]:
        """Different candidates that can be trained together, each group and all groups in the order they came."""
        groups: dict[tuple[int, Arm, int | None], dict[Key, Candidate]] = {}
        for candidate in candidates:
            common = candidate.in_common(mixes_replicates=self._mixes_replicates)
            groups.setdefault(common, {}).setdefault(candidate.key, candidate)
        return [list(group.values()) for group in groups.values()]

    def _measure_chunk(
        self, position: Position, candidates: Sequence[Candidate], evaluator: Evaluator
    ) -> None:
        chunk = candidates[: self._chunk_size]
        missing = [candidate for candidate in chunk if candidate.key not in self._stored]
        if missing:
            self._mark_divergence(position)
            evaluations = evaluator.evaluate(missing)
            self._ledger.append([EvaluationRow(position, evaluation) for evaluation in evaluations])
            self._stored.update((e.candidate.key, e) for e in evaluations)
        answers = {candidate.key: self._stored[candidate.key] for candidate in chunk}
        self._unread -= answers.keys()
        self._answered |= answers
        if self._listener is not None:
            self._listener(position.phase, position.batch, list(answers.values()))

    def _heed(self, interrupt: Callable[[], str | None] | None, position: Position) -> None:
        """Stop where an earlier run stopped; ask ``interrupt`` only where no earlier run has been."""
        stop = self._decisions.find(position, "stop")
        if stop is None and interrupt is not None and not self._unread:
            reason = interrupt()
            if reason is not None:
                stop = {"reason": reason}
                self._decisions.record(position, "stop", stop, {})
        if stop is not None:
            raise StopRequested(str(stop["reason"]))

    def _is_known_not_to_fit(self, position: Position) -> bool:
        """Whether an earlier run found no memory for this chunk; go on with its smaller ones then."""
        smaller = self._decisions.find(position, "chunk_size")
        if smaller is not None:
            self._chunk_size = int(str(smaller["chunk_size"]))
        return smaller is not None

    def _halve_chunks(self, position: Position) -> None:
        """Go on with smaller chunks; the number of the one that did not fit is left to this decision."""
        self._chunk_size = max(1, self._chunk_size // 2)
        self._decisions.record(position, "chunk_size", {"chunk_size": self._chunk_size}, {})

    def _mark_divergence(self, position: Position) -> None:
        """Record, once in the life of a job, that it asks for other candidates than those in its ledger.

        That happens after an upgrade.  The ledger then serves as a cache.
        """
        if not self._unread:
            return
        self._unread.clear()
        if not self._decisions.has_any("left_the_ledger"):
            self._decisions.record(position, "left_the_ledger", {}, {})
