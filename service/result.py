"""What a search reports while it runs and what it delivers: the documents of the HTTP contract."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from models.checkpoints.report import CheckpointReport
from search.statistics import Interval
from search.verdict import VerdictCode


class Document(BaseModel):
    """Base of everything that leaves the service: frozen."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Progress(Document):
    """Where a running search is.

    ``fraction`` and ``eta_seconds`` are over all phases; ``best_fitness`` is the best selection score so far, an
    optimistic figure.  ``message`` says so where a pure strategy is clearly ahead of everything tried.
    """

    phase: str = "preparing"
    evaluations: int = 0
    budget: int
    fraction: float = 0.0
    generation: int = 0
    best_fitness: float | None = None
    best_mask: str | None = None
    seconds: float = 0.0
    eta_seconds: float | None = None
    message: str | None = None


class Estimate(Document):
    """A mean with its 95% interval."""

    mean: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, interval: Interval) -> Estimate:
        """Take over an interval."""
        return cls(mean=interval.mean, low=interval.low, high=interval.high)


class GeneReport(Document):
    """One gene and what became of it.

    ``effect`` is the expected fitness of keeping it minus that of transferring it, averaged over the decisions on all
    other genes: of the brief fine-tune, on validation data, as the surrogate of the search's evaluations says, which
    shrinks it towards zero.  Null where there is no model.
    """

    name: str
    tensors: tuple[str, ...]
    parameters: int
    keep: bool
    effect: Estimate | None = None


class PairReport(Document):
    """Two genes that act together.

    ``effect`` is f(11) - f(10) - f(01) + f(00), estimated as the effect of a gene is: above 0 the two want to be
    decided alike, below 0 differently.
    """

    genes: tuple[str, str]
    effect: Estimate


class FitnessReport(Estimate):
    """Validation fitness in the final; optimistic for the winner, which the same validation samples chose."""

    replicates: int


class PartReport(Estimate):
    """Test score on one of two tasks, and the task's weight in the score that both are combined to."""

    metric: str
    weight: float
    delivered: float
    samples: int


class TestReport(Estimate):
    """Test score over replicates and samples; ``delivered`` is that of the weights one can download.

    Where keeping the source task counts, the metric is ``combined``: the sum of ``target`` and ``source`` by their
    weights.
    """

    __test__ = False  # pytest: not a test class

    metric: str
    delivered: float
    samples: int
    replicates: int
    target: PartReport | None = None
    source: PartReport | None = None


class BaselineReport(Document):
    """An obvious choice beside the winner; ``gain`` is the winner's paired test gain over it."""

    mask: str
    learning_rate: float
    fitness: FitnessReport
    test: TestReport
    gain: Estimate


class Baselines(Document):
    """The obvious choices; null where one does not exist (no prefix of one gene) or diverged."""

    keep_all: BaselineReport | None
    transfer_all: BaselineReport | None
    best_prefix: BaselineReport | None


class ClassReport(Document):
    """The winner on one class: means over replicates, null for 0 / 0; ``support`` is the class's number of samples."""

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


class ClassesReport(Document):
    """The winner on the target task's test part, class by class.

    ``confusion`` holds mean counts over replicates, in the order of ``classes``: row the true class, column the
    predicted one.  It is null for more than 100 classes.
    """

    classes: tuple[ClassReport, ...]
    confusion: tuple[tuple[float, ...], ...] | None


class NoiseReport(Document):
    """Standard deviation of one evaluation's fitness between replicates, alone and paired with others."""

    total: float | None
    paired: float | None


class RungReport(Document):
    """A fidelity below the search fidelity: its steps, and how it ranked the first generation beside that.

    ``correlation`` is Spearman's, null where too few masks were measured at both; a rung that is not ``used`` was
    switched off for it.
    """

    steps: int
    correlation: float | None
    used: bool


class VerdictReport(Document):
    """What the test data support."""

    code: VerdictCode
    text: str


class Provenance(Document):
    """What produced the result.

    ``plan_refusals`` tells, where the plan was measured, why other plans were not taken, and which layers a stacked
    plan leaves to ``vmap``.
    """

    version: str
    torch: str
    device: str
    seed: int
    plan: dict[str, Any]
    plan_refusals: dict[str, str] = {}


class CurvePoint(Document):
    """Best selection score after so many evaluations of the search phase."""

    evaluations: int
    fitness: float
    best_fitness: float


class SearchResult(Document):
    """The answer, with its evidence.

    ``checkpoints`` tells, for a source and a target that come from one, what became of its tensors.
    ``evaluations`` counts those of the search phase at its fidelity, ``untrained`` masks that were measured without
    any training.
    """

    mask: str
    learning_rate: float
    genes: tuple[GeneReport, ...]
    pairs: tuple[PairReport, ...] = ()
    kept: dict[str, str]
    transferred: dict[str, str]
    fitness: FitnessReport
    test: TestReport
    baselines: Baselines
    by_class: ClassesReport | None = None
    noise: NoiseReport
    verdict: VerdictReport
    rungs: tuple[RungReport, ...] = ()
    curve: tuple[CurvePoint, ...]
    evaluations: int
    untrained: int = 0
    seconds: float
    stop_reason: str
    provenance: Provenance
    checkpoints: dict[str, CheckpointReport] = {}
