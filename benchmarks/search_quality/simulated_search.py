"""One whole search in a world whose truth is known: do the intervals of its result contain it?

Search phase, race, final and verdict are the product's own functions; test answers are compared as the service does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.search_quality.replay import build
from benchmarks.search_quality.worlds import Truth, World
from search.decisions import DecisionLog
from search.final import Contender, run_final
from search.ledger import InMemoryLedger
from search.observations import FloatArray
from search.optimizer import SearchProblem
from search.race.course import RaceOptions, run_race
from search.recorded import RecordedEvaluator
from search.statistics import Interval, crossed_interval, replicate_interval
from search.study import Study
from search.verdict import VerdictCode, judge
from service.delivery import Found

# What tells the claim over the best prefix from those over the pure strategies, in the words of the verdict.
PREFIX_CLAIM = "better than the best prefix"


@dataclass(frozen=True, slots=True)
class Check:
    """One stated interval and what it should contain.

    Attributes:
        quantity: ``"test"``, ``"fitness"``, ``"baseline test"``, ``"baseline fitness"`` or ``"gain over ..."``.
        interval: As reported.
        truth: What it estimates.
    """

    quantity: str
    interval: Interval
    truth: float

    @property
    def miss(self) -> str | None:
        """``"below"`` or ``"above"``, where the truth lies outside the interval."""
        low, high = self.interval.low, self.interval.high
        # An interval without width around a mean that was summed in another order is no miss.
        if low is not None and self.truth < low - 1e-9:
            return "below"
        if high is not None and self.truth > high + 1e-9:
            return "above"
        return None


@dataclass(frozen=True, slots=True)
class Judged:
    """What one search said.

    Attributes:
        code: Of the verdict.
        claims_prefix: Whether a gain over the best prefix was claimed too.
        checks: Every interval.
    """

    code: VerdictCode
    claims_prefix: bool
    checks: tuple[Check, ...]

    @property
    def claims_better(self) -> bool:
        """Whether something is said to be better than keep-all or transfer-all."""
        return self.code != "no_evidence"

    @property
    def claims_wrongly(self) -> bool:
        """Whether any baseline is said to be beaten that in truth is not worse."""
        return any(
            check.quantity.startswith("gain")
            and check.interval.low is not None
            and check.interval.low > 0 >= check.truth - 1e-12
            for check in self.checks
        )


def search(world: World, options: Mapping[str, Any], budget: int, seed: int) -> Found:
    """Search, race, final; what cannot be measured at full length does not enter the race."""
    setting, ledger = world.setting, InMemoryLedger()
    recorded = RecordedEvaluator(world, ledger, DecisionLog(ledger), chunk_size=4096)
    problem = SearchProblem(setting.n_genes, setting.search_fidelity, budget)
    study = Study(build(dict(options), problem, seed), recorded, problem, setting.arm).run()
    found = [e for e in study.evaluations if world.competes(e.candidate.genome)]
    race = run_race(
        recorded, problem, setting.arm, found, options=RaceOptions(), final=setting.final
    )
    return Found(study, race, run_final(recorded, world, race.entries, setting.arm, setting.final))


def judged(world: World, found: Found) -> Judged:
    """Read the test part, state the intervals, and compare them with the truth."""
    winner, baselines = found.final.winner, found.baselines()
    hits, truth = _hits(world, winner), _truth(world, winner)
    checks = [
        Check("test", crossed_interval(hits), truth.test),
        Check("fitness", replicate_interval(winner.fitness), truth.fitness),
    ]
    gains: dict[str, Interval] = {}
    for name, baseline in baselines.items():
        theirs, own = _truth(world, baseline), _hits(world, baseline)
        gains[name] = crossed_interval(hits - own)
        if baseline is winner:
            continue
        checks += [
            Check("baseline test", crossed_interval(own), theirs.test),
            Check("baseline fitness", replicate_interval(baseline.fitness), theirs.fitness),
            Check(f"gain over {name}", gains[name], truth.test - theirs.test),
        ]
    names = (name for name, baseline in baselines.items() if baseline is winner)
    verdict = judge(next(names, "mask"), gains)
    return Judged(verdict.code, PREFIX_CLAIM in verdict.text, tuple(checks))


def _hits(world: World, contender: Contender) -> FloatArray:
    return world.test_hits(contender.candidates).astype(np.float64)


def _truth(world: World, contender: Contender) -> Truth:
    return world.truth(contender.genome, contender.arm)
