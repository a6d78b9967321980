"""The evaluator: grafts a chunk of masks, fine-tunes it briefly, scores it on validation data."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from models.checkpoints import State
from models.data.dataset import Examples
from models.data.splits import TaskData
from models.final_artifacts import FinalArtifacts
from models.genes import GeneMap
from models.graft import complete_state, graft_population
from models.placement import placed_network, placed_state
from models.plans.memory import is_out_of_memory
from models.plans.plan import Plan
from models.plans.precision import arithmetic
from models.population import build_layout
from models.randomness import generator
from models.recipe.fine_tuning import FineTuner, Rows
from models.recipe.strategy import Strategy
from models.scoring.answers import Answers, Judged, Scoring
from models.scoring.predictions import Predictions
from models.scoring.retention import Retention
from search.errors import ChunkOutOfMemoryError
from search.evaluation import UNTRAINED, Candidate, Evaluation, Outcome
from search.genome import Genome


@dataclass(frozen=True, slots=True)
class Task:
    """All that defines a score, apart from how it is computed.

    Attributes:
        network: The architecture, on the CPU; its own weights are not used and may have no memory.
        genes: Which tensors are kept or transferred as one.
        source: State of the source network, on the CPU.
        target: State of the target network at a replicate, on the CPU.
        data: Training, validation and test part, on the CPU.
        strategy: What a training step does.
        metric: How a candidate is scored on the target task.
        seed: Of every draw.
        teachers: Logits ``(N, C)`` of the strategy's teachers on the training part, by their names.
        retention: The source task, where keeping it counts too.
        mixes_replicates: Whether a chunk may hold several replicates: where minibatches are all that a training draws.
        redraws_target: Whether the target may differ between replicates.
    """

    network: nn.Module
    genes: GeneMap
    source: State
    target: Callable[[int], State]
    data: TaskData
    strategy: Strategy
    metric: str
    seed: int
    teachers: Mapping[str, Tensor] = field(default_factory=dict)
    retention: Retention | None = None
    mixes_replicates: bool = False
    redraws_target: bool = True


class GraftEvaluator:
    """Measures masks; bit for bit repeatable on the CPU.

    A chunk is padded to one of the plan's sizes, so that a candidate's score does not depend on its neighbours.

    Attributes:
        computing_seconds: Spent so far on training chunks and applying them; the rest of an evaluation is overhead.
    """

    def __init__(
        self,
        task: Task,
        plan: Plan,
        device: torch.device,
        artifacts: FinalArtifacts | None = None,
    ) -> None:
        """Bring everything to the device.

        Args:
            task: What to measure.
            plan: How to compute it; sets the process's number of threads.
            device: Where.
            artifacts: If given, candidates are scored on the test part too, and what a final keeps is written there.
        """
        torch.set_num_threads(plan.threads)
        self.computing_seconds = 0.0
        self._task, self._plan, self._device, self._artifacts = task, plan, device, artifacts
        self._layout = build_layout(
            plan.layout,
            placed_network(task.network, device, plan.torch_dtype),
            channels_last=plan.channels_last,
            captured=plan.captured,
        )
        self._data = task.data.to(device, plan.torch_dtype)
        self._source = placed_state(task.source, device, plan.torch_dtype)
        self._tuner = FineTuner(
            task.network, task.genes, self._data, task.strategy, task.seed, task.teachers
        )
        own = task.retention
        self._retention = None if own is None else own.to(device, plan.torch_dtype)
        self._scoring = Scoring(task.metric, 0.0 if own is None else own.weight)

    def keeping(self, artifacts: FinalArtifacts) -> GraftEvaluator:
        """The same with artifacts, sharing all that is on the device: only one of the two may measure at a time."""
        other = copy.copy(self)
        other._artifacts, other.computing_seconds = artifacts, 0.0
        return other

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Measure one chunk.

        Raises:
            ChunkOutOfMemoryError: Several candidates did not fit into memory together.
            ValueError: The candidates differ in fidelity or arm, or in the replicate though the task does not mix them.
        """
        started = time.perf_counter()
        try:
            evaluated = self._evaluate(candidates)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(candidates) > 1:
                raise ChunkOutOfMemoryError(f"{len(candidates)} candidates: {error}") from error
            evaluated = [(Outcome.OUT_OF_MEMORY, None, None)]
        seconds = (time.perf_counter() - started) / len(candidates)
        return [
            Evaluation(candidate, outcome, score, seconds, loss)
            for candidate, (outcome, score, loss) in zip(candidates, evaluated, strict=True)
        ]

    def rehearse(self, steps: int, *, only_steps: bool = False) -> None:
        """Graft and train one full chunk of drawn masks, as ``evaluate`` does, and forget it.

        Args:
            steps: Of the training.
            only_steps: Leave out what takes its time once, however many steps there are.

        Raises:
            RuntimeError: The plan's layout cannot compute this network, or memory ran out.
        """
        stream = generator(0, "rehearsal")
        n_candidates, n_genes = self._plan.chunk_size, self._task.genes.n_genes
        bits = (torch.rand(n_candidates, n_genes, generator=stream) < 0.5).tolist()
        candidates = [Candidate(Genome(tuple(row)), steps) for row in bits]
        self._trained(candidates, only_steps=only_steps)

    def _evaluate(self, candidates: Sequence[Candidate]) -> list[Judged]:
        state, n_rates = self._trained(self._padded(candidates))
        data, retention = self._data, self._retention
        source_part = None if retention is None else retention.validation
        judged = self._scoring.judged(self._answers(state, data.validation, source_part))
        rows = best_rows(judged, n_rates)[: len(candidates)]
        if self._artifacts is not None:
            source_part = None if retention is None else retention.test
            answers = self._answers(state, data.test, source_part)
            for row, candidate in zip(rows, candidates, strict=True):
                own = complete_state(
                    {name: tensor[row] for name, tensor in state.items()}, self._task.genes
                )
                self._artifacts.write(candidate, answers, row, own)
        return [judged[row] for row in rows]

    def _padded(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The chunk, filled up with its first candidate to a size of the plan."""
        first, mixes = candidates[0], self._task.mixes_replicates
        common = first.in_common(mixes_replicates=mixes)
        for other in candidates:
            if other.in_common(mixes_replicates=mixes) != common:
                raise ValueError(
                    f"a chunk of candidates that cannot be trained together has {first} and {other}"
                )
        padding = self._plan.padded_size(len(candidates)) - len(candidates)
        return [*candidates, *[first] * padding]

    def _trained(
        self, candidates: Sequence[Candidate], *, only_steps: bool = False
    ) -> tuple[State, int]:
        """Graft and train a chunk; one row per candidate and learning rate.

        Returns:
            The state, ``(P * R, *shape)`` per tensor, and the number R of rates of each candidate.
        """
        first = candidates[0]
        rates = first.arm.rates or self._task.strategy.config.learning_rates_of_one
        if first.fidelity == UNTRAINED:
            # All of them give the same.
            rates = rates[:1]
        genomes = tuple(candidate.genome for candidate in candidates for _ in rates)
        replicates = tuple(candidate.replicate for candidate in candidates for _ in rates)
        state = self._grafted(genomes, replicates)
        with arithmetic(self._plan.dtype, self._device), self._computing():
            self._tuner.train(
                self._layout,
                state,
                Rows(genomes, tuple(rates) * len(candidates)),
                steps=first.fidelity,
                # Not only where they differ: a candidate's score must not depend on what else is in its chunk.
                replicates=replicates if self._task.mixes_replicates else first.replicate,
                only_steps=only_steps,
            )
        return state, len(rates)

    def _grafted(self, genomes: Sequence[Genome], replicates: Sequence[int]) -> State:
        """Weights of a chunk before its training, ``(P, *shape)`` per tensor; each replicate has its target."""
        keeps = torch.tensor(
            [genome.keeps for genome in genomes], dtype=torch.bool, device=self._device
        )
        if not (self._task.mixes_replicates and self._task.redraws_target):
            return graft_population(
                self._target(replicates[0]), self._source, self._task.genes, keeps
            )
        grafted: State = {}
        for replicate in dict.fromkeys(replicates):
            rows = [row for row, one in enumerate(replicates) if one == replicate]
            part = graft_population(
                self._target(replicate), self._source, self._task.genes, keeps[rows]
            )
            for name in list(part):
                tensor = part.pop(name)
                shape = (len(replicates), *tensor.shape[1:])
                grafted.setdefault(name, tensor.new_empty(shape))[rows] = tensor
        return grafted

    def _target(self, replicate: int) -> State:
        """Made anew for every chunk: while that trains, its memory is needed for better things."""
        return placed_state(self._task.target(replicate), self._device, self._plan.torch_dtype)

    def _answers(self, state: State, part: Examples, source_part: Examples | None) -> Answers:
        """What a chunk says of a part of the target task and, where it is judged, of the source task."""
        source = None if source_part is None else self._predictions(state, source_part)
        return Answers(self._predictions(state, part), source)

    def _predictions(self, state: State, part: Examples) -> Predictions:
        with arithmetic(self._plan.dtype, self._device), self._computing():
            logits = self._layout.logits(state, part)
        return Predictions.of(logits, part.labels)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Add the time of a block to ``computing_seconds``; one that fails is not counted."""
        started = time.perf_counter()
        yield
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        self.computing_seconds += time.perf_counter() - started


def best_rows(judged: Sequence[Judged], n_rates: int) -> list[int]:
    """Number of each candidate's best row, of ``P * R`` rows of candidates at R learning rates each.

    Between rows of equal fitness the loss decides, as between masks.
    """

    def order(row: int) -> tuple[float, float]:
        _, fitness, loss = judged[row]
        return (
            -math.inf if fitness is None else fitness,
            -math.inf if loss is None else -loss,
        )

    return [
        max(range(first, first + n_rates), key=order) for first in range(0, len(judged), n_rates)
    ]
