"""What is asked of an evaluator and what comes back.

A *candidate* is a mask at a fidelity and a replicate, not yet measured; an *evaluation* is what came back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from search.genome import Genome

# Blocks of replicate numbers.  Draws of one block are never seen by another, so that the race and the final
# judge masks on draws that did not help to select them.
SEARCH_REPLICATE = 0
RACE_REPLICATE = 1_000
FINAL_REPLICATE = 2_000

# The fidelity at which a mask is judged as grafted.
UNTRAINED = 0


@dataclass(frozen=True, slots=True)
class Arm:
    """The rest of the recipe where it varies between candidates of one search.

    ``learning_rate`` is absolute; None means the recipe's own, which is how optimizers ask.  With several rates the
    candidate is trained at each of them and judged at its best one.
    """

    learning_rate: float | tuple[float, ...] | None = None

    @property
    def label(self) -> str:
        """Text form that is unique for the arm, for ledgers and keys; empty for the recipe's own."""
        return f"learning_rate={','.join(map(repr, self.rates))}" if self.rates else ""

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rates; none where they are the recipe's own."""
        if self.learning_rate is None:
            return ()
        if isinstance(self.learning_rate, tuple):
            return self.learning_rate
        return (self.learning_rate,)

    @classmethod
    def from_label(cls, label: str) -> Arm:
        """Read back what ``label`` wrote."""
        if not label:
            return cls()
        rates = tuple(map(float, label.removeprefix("learning_rate=").split(",")))
        return cls(rates if len(rates) > 1 else rates[0])


@dataclass(frozen=True, slots=True)
class Candidate:
    """A mask to be measured.

    Attributes:
        genome: The mask.
        fidelity: Fine-tuning steps that the evaluation may spend, at least 0.
        replicate: Index of the random draws; candidates at one replicate share every draw.
        arm: The rest of the recipe where it varies.
    """

    genome: Genome
    fidelity: int
    replicate: int = SEARCH_REPLICATE
    arm: Arm = Arm()

    @property
    def key(self) -> tuple[str, int, str, int]:
        """Identity of the measurement: mask, fidelity, arm, replicate.  Equal keys, equal results."""
        return (self.genome.bitstring, self.fidelity, self.arm.label, self.replicate)

    def in_common(self, *, mixes_replicates: bool) -> tuple[int, Arm, int | None]:
        """What the candidates of one chunk have in common: fidelity, arm and, unless they may be mixed, replicate."""
        return self.fidelity, self.arm, None if mixes_replicates else self.replicate


class Outcome(StrEnum):
    """How an evaluation ended."""

    MEASURED = "measured"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came back for one candidate.

    Attributes:
        candidate: What was asked.
        outcome: How it ended.
        fitness: Selection score on validation data, higher is better; None unless measured, never NaN.
        duration_seconds: The candidate's share of the time its chunk took.
        loss: Mean validation cross entropy in nats; None unless measured and known.
    """

    candidate: Candidate
    outcome: Outcome
    fitness: float | None
    duration_seconds: float
    loss: float | None = None

    def __post_init__(self) -> None:
        measured = self.outcome is Outcome.MEASURED
        if measured != (self.fitness is not None):
            raise ValueError(f"outcome {self.outcome} cannot have fitness {self.fitness}")
        if self.fitness is not None and not math.isfinite(self.fitness):
            raise ValueError(f"fitness {self.fitness} is not finite; its outcome is diverged")


class Evaluator(Protocol):
    """Measures candidates.

    The promise: evaluations come back in the order asked; one bad candidate is an ``Outcome`` and leaves the
    others untouched; equal keys give equal fitness.  All candidates of one call share fidelity, arm and, unless the
    evaluator mixes them, replicate (the caller cuts its batches so), which is what allows them to be trained together.

    Raises:
        ChunkOutOfMemoryError: Several candidates did not fit into memory together.
    """

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Measure one chunk."""
        ...
