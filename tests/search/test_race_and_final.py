"""Tests of the phases after the search: race, final, learning rate, verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from pydantic import ValidationError

from search.decisions import DecisionLog
from search.errors import InvalidInputError
from search.evaluation import FINAL_REPLICATE, RACE_REPLICATE, Arm, Candidate, Evaluation, Outcome
from search.final import FinalOptions, run_final
from search.genome import Genome, keep_all, prefixes, transfer_all
from search.learning_rate import choose_arm
from search.ledger import InMemoryLedger
from search.optimizer import SearchProblem
from search.race import RaceOptions, run_race
from search.recorded import RecordedEvaluator
from search.statistics import Interval
from search.verdict import judge

PROBLEM = SearchProblem(4, 40, 100)
# No longer than a search evaluation: the short heat decides.
FINAL = FinalOptions(steps=40)
ARM = Arm(0.001)
LUCKY, GOOD = Genome.from_bitstring("1010"), Genome.from_bitstring("0101")


class FormulaEvaluator:
    """Fitness by a function of the candidate; None means that it diverged."""

    def __init__(self, fitness: Callable[[Candidate], float | None]) -> None:
        self._fitness = fitness

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        evaluations = []
        for candidate in candidates:
            fitness = self._fitness(candidate)
            outcome = Outcome.DIVERGED if fitness is None else Outcome.MEASURED
            evaluations.append(Evaluation(candidate, outcome, fitness, 0.0))
        return evaluations


def bench(fitness: Callable[[Candidate], float | None]) -> RecordedEvaluator:
    ledger = InMemoryLedger()
    return RecordedEvaluator(FormulaEvaluator(fitness), ledger, DecisionLog(ledger), chunk_size=16)


def lucky_at_first(candidate: Candidate) -> float:
    """LUCKY scores well at the search's draws only, GOOD always, the rest badly."""
    if candidate.genome == LUCKY and candidate.replicate == 0:
        return 0.95
    return 0.9 if candidate.genome == GOOD else 0.5 + 0.001 * (candidate.replicate % 7)


def test_the_race_judges_on_fresh_draws_so_a_lucky_mask_loses() -> None:
    recorded = bench(lucky_at_first)
    found = recorded.measure("search", [Candidate(g, 40, arm=ARM) for g in (LUCKY, GOOD)])
    outcome = run_race(
        recorded, PROBLEM, ARM, found, options=RaceOptions(leaders=2, replicates=3), final=FINAL
    )
    assert outcome.standings[0].genome == GOOD
    assert outcome.finalists(1) == [GOOD]
    entrants = {standing.genome for standing in outcome.standings}
    assert {keep_all(4), transfer_all(4), LUCKY, GOOD} <= entrants
    assert outcome.best_prefix in prefixes(4)


def test_the_race_measures_every_entrant_at_the_same_fresh_replicates() -> None:
    seen: list[Candidate] = []

    def remember(candidate: Candidate) -> float:
        seen.append(candidate)
        return 0.5

    recorded = bench(remember)
    run_race(recorded, PROBLEM, ARM, [], options=RaceOptions(leaders=1, replicates=2), final=FINAL)
    raced = [c for c in seen if c.replicate >= RACE_REPLICATE]
    assert {c.replicate for c in raced} == {RACE_REPLICATE, RACE_REPLICATE + 1}
    per_replicate = [{c.genome for c in raced if c.replicate == RACE_REPLICATE + r} for r in (0, 1)]
    assert per_replicate[0] == per_replicate[1]


def test_the_long_heat_decides_since_what_learns_fastest_need_not_end_best() -> None:
    """LUCKY leads at 40 steps at every draw, GOOD at 600, and only at the learning rate that suits it."""

    def slow_starter(candidate: Candidate) -> float:
        if candidate.fidelity == 40:
            return 0.9 if candidate.genome == LUCKY else 0.5
        suits = candidate.arm.learning_rate == pytest.approx(0.003)
        return 0.8 if candidate.genome == GOOD and suits else 0.6

    recorded = bench(slow_starter)
    found = recorded.measure("search", [Candidate(g, 40, arm=ARM) for g in (LUCKY, GOOD)])
    for replicates, winner in ((0, LUCKY), (1, GOOD)):
        options = RaceOptions(leaders=2, full_length_replicates=replicates)
        outcome = run_race(
            bench(slow_starter), PROBLEM, ARM, found, options=options, final=FinalOptions(steps=600)
        )
        assert outcome.finalists(1) == [winner]


def test_noise_is_split_into_what_pairing_removes_and_what_it_leaves() -> None:
    shift = {RACE_REPLICATE + r: 0.1 * r for r in range(3)}

    def shifted(candidate: Candidate) -> float:
        return candidate.genome.agreement(GOOD) + shift.get(candidate.replicate, 0.0)

    noise = run_race(
        bench(shifted), PROBLEM, ARM, [], options=RaceOptions(leaders=4, replicates=3), final=FINAL
    ).noise
    assert noise.total == pytest.approx(0.1)
    assert noise.paired == pytest.approx(0.0, abs=1e-12)


def test_every_mask_takes_its_own_best_learning_rate_in_the_final() -> None:
    best_rate = {GOOD: 0.003, keep_all(4): 0.0003, transfer_all(4): 0.001}

    def prefers(candidate: Candidate) -> float:
        right = candidate.arm.learning_rate == pytest.approx(best_rate[candidate.genome])
        return (0.8 if right else 0.3) + (0.1 if candidate.genome == GOOD else 0.0)

    recorded = bench(prefers)
    outcome = run_final(
        recorded,
        FormulaEvaluator(prefers),
        list(best_rate),
        ARM,
        FinalOptions(steps=9, replicates=2),
    )
    assert outcome.winner.genome == GOOD
    for genome, rate in best_rate.items():
        contender = outcome.contender(genome)
        assert contender is not None
        assert contender.arm.learning_rate == pytest.approx(rate)
        assert [e.candidate.replicate for e in contender.evaluations] == [
            FINAL_REPLICATE,
            FINAL_REPLICATE + 1,
        ]


def test_a_rate_at_which_a_mask_diverges_does_not_count_for_it() -> None:
    def diverges_at_high_rates(candidate: Candidate) -> float | None:
        return None if candidate.arm.rates > (0.002,) else 0.7

    outcome = run_final(
        bench(diverges_at_high_rates),
        FormulaEvaluator(diverges_at_high_rates),
        [GOOD],
        ARM,
        FinalOptions(steps=9, replicates=2),
    )
    assert outcome.winner.standing.fitness == 0.7


def test_a_final_in_which_everything_diverges_says_which_rates_were_tried() -> None:
    with pytest.raises(InvalidInputError, match=r"\[0\.5, 1\.0\] given.*try smaller ones"):
        run_final(
            bench(lambda _: None),
            FormulaEvaluator(lambda _: None),
            [GOOD],
            Arm(1.0),
            FinalOptions(steps=9, replicates=2, learning_rate_factors=(0.5, 1.0)),
        )


def test_the_searchs_learning_rate_is_best_on_average_over_the_pure_strategies() -> None:
    table = {0.1: (0.9, 0.1), 0.01: (0.6, 0.6), 10.0: (None, 0.99)}

    def by_table(candidate: Candidate) -> float | None:
        keep, transfer = table[candidate.arm.rates[0]]
        return keep if candidate.genome == keep_all(4) else transfer

    log = DecisionLog(InMemoryLedger())
    chosen = choose_arm(bench(by_table), log, PROBLEM, list(table), per_candidate=False)
    assert chosen == Arm(0.01)


def test_candidates_that_choose_for_themselves_need_no_common_rate() -> None:
    def unasked(_: Candidate) -> float | None:
        raise AssertionError("nothing is measured")

    log = DecisionLog(InMemoryLedger())
    arm = choose_arm(bench(unasked), log, PROBLEM, [0.1, 0.01], per_candidate=True)
    assert arm == Arm((0.1, 0.01))
    assert FINAL.arms(arm) == [Arm(0.1), Arm(0.01)]


@pytest.mark.parametrize("arm", [Arm(), Arm(0.001), Arm((0.1, 1e-05))])
def test_arms_are_read_back_from_their_labels(arm: Arm) -> None:
    assert Arm.from_label(arm.label) == arm


def test_learning_rate_factors_must_differ_and_be_positive() -> None:
    with pytest.raises(ValidationError, match="all different"):
        FinalOptions(learning_rate_factors=(1.0, 1.0))


CLEAR, UNCLEAR = Interval(0.05, 0.01, 0.09), Interval(0.05, -0.01, 0.11)


@pytest.mark.parametrize(
    ("winner", "keep_gain", "transfer_gain", "code"),
    [
        ("mask", CLEAR, CLEAR, "better_than_both"),
        ("mask", UNCLEAR, CLEAR, "better_than_transfer_all"),
        ("mask", CLEAR, UNCLEAR, "better_than_keep_all"),
        ("mask", UNCLEAR, UNCLEAR, "no_evidence"),
        ("mask", None, CLEAR, "better_than_transfer_all"),
        ("mask", None, None, "no_evidence"),
        ("keep_all", UNCLEAR, CLEAR, "keep_all_wins"),
        ("transfer_all", CLEAR, UNCLEAR, "transfer_all_wins"),
    ],
)
def test_the_verdict_claims_only_what_the_intervals_support(
    winner: str, keep_gain: Interval | None, transfer_gain: Interval | None, code: str
) -> None:
    gains = {"keep_all": keep_gain, "transfer_all": transfer_gain}
    assert judge(winner, {name: gain for name, gain in gains.items() if gain}).code == code


def test_the_verdict_says_what_was_not_compared_and_how_the_best_prefix_did() -> None:
    text = judge("mask", {"transfer_all": CLEAR, "best_prefix": UNCLEAR}).text
    assert text == (
        "better than transfer-all; keep-all did not train to the end; "
        "no evidence of a gain over the best prefix"
    )
    both = {"transfer_all": CLEAR, "keep_all": CLEAR}
    assert judge("mask", both | {"best_prefix": CLEAR}).text == (
        "better than transfer-all and keep-all; also better than the best prefix"
    )
    assert judge("best_prefix", both).text.endswith("the mask is a prefix")


def test_a_contender_tells_what_was_measured_replicate_by_replicate() -> None:
    outcome = run_final(
        bench(lambda _: 0.5),
        FormulaEvaluator(lambda _: 0.5),
        [GOOD],
        ARM,
        FinalOptions(steps=9, replicates=3, learning_rate_factors=(1.0,)),
    )
    measured = [Candidate(GOOD, 9, FINAL_REPLICATE + number, ARM) for number in range(3)]
    assert list(outcome.winner.candidates) == measured
