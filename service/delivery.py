"""What a finished search delivers: the verdict on the test split, weights, the result document, the report."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from models.checkpoints import save_state, write_atomically
from models.checkpoints.reloading import check_loads_back
from models.devices import describe_device
from models.graft import graft
from search.decisions import Decision, DecisionLog
from search.effects import estimate_effects
from search.errors import TransferMaskError
from search.evaluation import FINAL_REPLICATE, UNTRAINED, Evaluation
from search.final import FINAL_PHASE, Contender, FinalOutcome
from search.genome import keep_all, transfer_all
from search.ledger import Json, Position
from search.race.course import RaceOutcome
from search.statistics import Interval, replicate_interval
from search.study import StudyOutcome
from search.verdict import judge
from service.composition import ARTIFACTS_FOLDER, Workbench
from service.explanation import report_genes, report_pairs, report_rungs
from service.job_files import GRAFTED, REPORT, WEIGHTS
from service.judgement import read_test
from service.model_folder import write_model_folder
from service.result import (
    BaselineReport,
    Baselines,
    ClassesReport,
    CurvePoint,
    Estimate,
    FitnessReport,
    NoiseReport,
    Provenance,
    SearchResult,
    TestReport,
    VerdictReport,
)
from service.spec import SearchOptions
from service.version import VERSION


@dataclass(frozen=True, slots=True)
class Found:
    """What the three phases found."""

    study: StudyOutcome
    race: RaceOutcome
    final: FinalOutcome

    def baselines(self) -> dict[str, Contender]:
        """The baselines that reached the end of the final, by name."""
        n_genes = self.final.winner.genome.n_genes
        pure = {"keep_all": keep_all(n_genes), "transfer_all": transfer_all(n_genes)}
        contenders = {name: self.final.contender(genome) for name, genome in pure.items()}
        contenders["best_prefix"] = self.final.best_prefix
        return {name: entry for name, entry in contenders.items() if entry is not None}


def deliver(
    found: Found,
    options: SearchOptions,
    bench: Workbench,
    *,
    decisions: DecisionLog,
    folder: Path,
    seconds: float,
) -> SearchResult:
    """Read the test split, write the files, give the result.

    What was read of the test split is a ledger row: a job that is killed after this and started again does not read it
    a second time.
    """
    scores = _read_test_once(found, bench, decisions)
    _write_weights(found.final.winner, bench, folder)
    _check_weights(bench, folder)
    write_model_folder(folder, folder / WEIGHTS, bench.package)
    result = _result(found, scores, options, bench, seconds)
    # matplotlib takes a second to load, and only a search that has come to its end draws.
    from service.report import render_report  # noqa: PLC0415

    write_atomically(folder / REPORT, render_report(result, options.name).encode())
    shutil.rmtree(folder / ARTIFACTS_FOLDER, ignore_errors=True)
    return result


def _read_test_once(found: Found, bench: Workbench, decisions: DecisionLog) -> Decision:
    """Test figures of the winner and the baselines, and the winner's gains; of both tasks, where two are judged."""

    def read() -> tuple[Decision, Decision]:
        return read_test(found.final.winner, found.baselines(), bench), {}

    return decisions.decide(Position(FINAL_PHASE), "test", read)


def _write_weights(winner: Contender, bench: Workbench, folder: Path) -> None:
    """Write the winner's weights, grafted only and fine-tuned."""
    task, first = bench.task, winner.evaluations[0].candidate
    grafted = graft(task.target(FINAL_REPLICATE), task.source, task.genes, winner.genome)
    save_state(folder / GRAFTED, grafted)
    path = bench.artifacts.weights_path(first)
    # A job that was killed after its last step has delivered already, and its artifacts are gone.
    if path.exists():
        write_atomically(folder / WEIGHTS, path.read_bytes())
    elif not (folder / WEIGHTS).exists():
        raise TransferMaskError(
            f"{path} is missing, expected the weights of a final evaluation: workers of one database "
            "must share one data directory"
        )


def _check_weights(bench: Workbench, folder: Path) -> None:
    """Load what was written back into the architecture, strictly, before it is called a result."""
    for name in (GRAFTED, WEIGHTS):
        check_loads_back(folder / name, bench.task.network)


def _result(
    found: Found,
    scores: Decision,
    options: SearchOptions,
    bench: Workbench,
    seconds: float,
) -> SearchResult:
    winner, metric = found.final.winner, options.fitness.metric
    tests, gains = _documents(scores["tests"]), _documents(scores["gains"])
    baselines = {
        name: BaselineReport(
            mask=entry.genome.bitstring,
            learning_rate=_learning_rate(entry),
            fitness=_fitness(entry),
            test=TestReport.model_validate({"metric": metric, **tests[name]}),
            gain=Estimate.model_validate(gains[name]),
        )
        for name, entry in found.baselines().items()
    }
    measured = found.study.at(bench.problem.search_fidelity)
    effects = estimate_effects(measured)
    return SearchResult(
        mask=winner.genome.bitstring,
        learning_rate=_learning_rate(winner),
        genes=report_genes(bench.task.genes, winner.genome, effects),
        pairs=report_pairs(bench.task.genes, effects),
        kept={fixed.name: fixed.reason for fixed in bench.task.genes.kept},
        transferred={fixed.name: fixed.reason for fixed in bench.task.genes.transferred},
        fitness=_fitness(winner),
        test=TestReport.model_validate({"metric": metric, **tests["winner"]}),
        baselines=Baselines.model_validate(
            {name: baselines.get(name) for name in Baselines.model_fields}
        ),
        by_class=_by_class(scores.get("by_class")),
        noise=NoiseReport(total=found.race.noise.total, paired=found.race.noise.paired),
        verdict=_verdict(found, gains),
        rungs=report_rungs(found.study.rungs),
        curve=_curve(measured),
        evaluations=len(measured),
        untrained=len(found.study.at(UNTRAINED)),
        seconds=seconds,
        stop_reason=found.study.stop_reason,
        provenance=Provenance(
            version=VERSION,
            torch=torch.__version__,
            device=describe_device(bench.device),
            seed=options.seed,
            plan=bench.plan.model_dump(mode="json"),
            plan_refusals=dict(bench.refusals),
        ),
        checkpoints=dict(bench.checkpoints),
    )


def _verdict(found: Found, gains: dict[str, dict[str, Json]]) -> VerdictReport:
    names = (name for name, entry in found.baselines().items() if entry is found.final.winner)
    intervals = {
        name: Interval(**Estimate.model_validate(gain).model_dump()) for name, gain in gains.items()
    }
    verdict = judge(next(names, "mask"), intervals)
    return VerdictReport(code=verdict.code, text=verdict.text)


def _fitness(contender: Contender) -> FitnessReport:
    interval = replicate_interval(contender.fitness)
    return FitnessReport(
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        replicates=len(contender.evaluations),
    )


def _learning_rate(contender: Contender) -> float:
    (rate,) = contender.arm.rates  # the final's arms all have one
    return rate


def _curve(evaluations: Sequence[Evaluation]) -> tuple[CurvePoint, ...]:
    points, best = [], float("-inf")
    for count, evaluation in enumerate(evaluations, start=1):
        if evaluation.fitness is not None:
            best = max(best, evaluation.fitness)
            points.append(
                CurvePoint(evaluations=count, fitness=evaluation.fitness, best_fitness=best)
            )
    return tuple(points)


def _by_class(value: Json) -> ClassesReport | None:
    """Read the winner's figures by class; a row that an older version wrote has none."""
    return None if value is None else ClassesReport.model_validate(value)


def _documents(value: Json) -> dict[str, dict[str, Json]]:
    """Narrow a JSON value read back from the ledger to an object of objects."""
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not a JSON object")
    return {name: inner for name, inner in value.items() if isinstance(inner, dict)}
