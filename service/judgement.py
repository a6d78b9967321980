"""What the test parts say of the winner and the baselines: the figures of one ledger row.

Plain numbers, because a resumed job reads them back from the ledger instead of reading the test parts again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from models.scoring.answers import Answers, Scoring
from models.scoring.class_report import class_figures, mean_confusion
from models.scoring.predictions import Predictions
from search.decisions import Decision
from search.final import Contender
from search.ledger import Json
from search.statistics import Interval, crossed_interval
from service.composition import Workbench

# The metric of a test report in which two tasks count.
COMBINED = "combined"
# Above this the matrix of who is taken for whom is left out.
MOST_CLASSES_IN_MATRIX = 100


def read_test(winner: Contender, baselines: Mapping[str, Contender], bench: Workbench) -> Decision:
    """Read the test parts.

    Returns:
        ``tests``: figures of the winner and the baselines by name; ``gains``: the winner's over each baseline, paired;
        ``by_class``: the winner's, class by class.
    """
    reader = _Reader.of(bench)
    answers = reader.answers(winner)
    own = reader.scoring.sample_scores(answers)
    tests: dict[str, Json] = {"winner": reader.figures(answers)}
    gains: dict[str, Json] = {}
    for name, baseline in baselines.items():
        theirs = reader.answers(baseline)
        tests[name] = reader.figures(theirs)
        gains[name] = _interval(own - reader.scoring.sample_scores(theirs))
    return {
        "mask": winner.genome.bitstring,
        "tests": tests,
        "gains": gains,
        "by_class": _by_class(answers.target, bench.task.data.class_names),
    }


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads what the final's networks say of the test parts, and scores it."""

    bench: Workbench
    scoring: Scoring

    @classmethod
    def of(cls, bench: Workbench) -> _Reader:
        retention = bench.task.retention
        weight = 0.0 if retention is None else retention.weight
        return cls(bench, Scoring(bench.task.metric, weight))

    def answers(self, contender: Contender) -> Answers:
        """What one contender says, a row per replicate."""
        task = self.bench.task
        return self.bench.artifacts.answers(
            contender.candidates,
            task.data.test.labels,
            None if task.retention is None else task.retention.test.labels,
        )

    def figures(self, answers: Answers) -> dict[str, Json]:
        """Score one contender: what the verdict judges and, where that is of two tasks, each task alone."""
        scores = self.scoring.sample_scores(answers)
        figures = _figures(scores) | {"replicates": len(scores)}
        retention = self.bench.task.retention
        if retention is None or answers.source is None:
            return figures
        target, source = (
            self.scoring.target_scores(answers),
            self.scoring.source_scores(answers.source),
        )
        own: dict[str, Json] = {"metric": self.bench.task.metric, "weight": 1 - retention.weight}
        other: dict[str, Json] = {"metric": "accuracy", "weight": retention.weight}
        return figures | {
            "metric": COMBINED,
            "target": _figures(target) | own,
            "source": _figures(source) | other,
        }


def _figures(scores: Tensor) -> dict[str, Json]:
    delivered = float(scores[0].mean())
    return _interval(scores) | {"delivered": delivered, "samples": scores.shape[1]}


def _interval(scores: Tensor) -> dict[str, Json]:
    interval: Interval = crossed_interval(scores.numpy())
    return {"mean": interval.mean, "low": interval.low, "high": interval.high}


def _by_class(predictions: Predictions, names: Sequence[str]) -> dict[str, Json]:
    figures: list[Json] = [
        dataclasses.asdict(own_class) for own_class in class_figures(predictions, names)
    ]
    matrix: Json = None
    if len(figures) <= MOST_CLASSES_IN_MATRIX:
        matrix = mean_confusion(predictions, names).tolist()
    return {"classes": figures, "confusion": matrix}
