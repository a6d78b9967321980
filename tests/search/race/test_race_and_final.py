"""Tests of the phases after the search: race, final, learning rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from pydantic import ValidationError

from search.decisions import DecisionLog
from search.errors import InvalidInputError
from search.evaluation import FINAL_REPLICATE, RACE_REPLICATE, Arm, Candidate, Evaluation, Outcome
from search.final import FinalOptions, n_contenders, run_final
from search.genome import Genome, keep_all, prefixes, transfer_all
from search.learning_rate import choose_arm
from search.ledger import InMemoryLedger
from search.optimizer import SearchProblem
from search.race.course import RaceOptions, RaceOutcome, run_race
from search.race.field import Field
from search.race.long_heat import Entry, LongHeat
from search.race.ranking import Standing
from search.race.short_heat import brief_candidate, run_short_heat
from search.recorded import RecordedEvaluator

PROBLEM = SearchProblem(4, 40, 100)
# No longer than a search evaluation: the short heat decides.
FINAL = FinalOptions(steps=40, learning_rate_factors=(1.0,))
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


def entry(genome: Genome, fitness: float, arm: Arm = ARM) -> Entry:
    return Entry(Standing(genome, fitness, 0.5), arm)


def masks_of(outcome: RaceOutcome) -> list[Genome]:
    """The race's order without the baselines."""
    baselines = {keep_all(4), transfer_all(4), *prefixes(4)}
    return [entry.genome for entry in outcome.entries if entry.genome not in baselines]


def remembering(
    fitness: Callable[[Candidate], float | None], seen: list[Candidate]
) -> Callable[[Candidate], float | None]:
    def remember(candidate: Candidate) -> float | None:
        seen.append(candidate)
        return fitness(candidate)

    return remember


def test_the_race_judges_on_fresh_draws_so_a_lucky_mask_loses() -> None:
    recorded = bench(lucky_at_first)
    found = recorded.measure("search", [Candidate(g, 40, arm=ARM) for g in (LUCKY, GOOD)])
    outcome = run_race(
        recorded, PROBLEM, ARM, found, options=RaceOptions(leaders=2, replicates=3), final=FINAL
    )
    assert outcome.entries[0].genome == GOOD
    entrants = {entry.genome for entry in outcome.entries}
    assert {keep_all(4), transfer_all(4), LUCKY, GOOD} <= entrants
    assert entrants & set(prefixes(4))


def test_leaders_are_chosen_by_all_evaluations_together_not_by_the_luckiest_score() -> None:
    """Fitness counts kept genes; one mask that keeps a single gene was lucky."""
    genomes = [Genome(tuple(bool(n >> bit & 1) for bit in range(6))) for n in range(1, 63)]
    lucky = Genome.from_bitstring("001000")

    def score(candidate: Candidate) -> float:
        genome = candidate.genome
        if genome == lucky and candidate.replicate == 0:
            return 0.95
        return 0.1 + 0.13 * sum(genome.keeps) + 0.01 * (hash(genome.keeps) % 3)

    recorded = bench(score)
    found = recorded.measure("search", [Candidate(g, 40, arm=ARM) for g in genomes])
    seen: list[Candidate] = []
    run_race(
        bench(remembering(score, seen)),
        SearchProblem(6, 40, 100),
        ARM,
        found,
        options=RaceOptions(leaders=3),
        final=FINAL,
    )
    raced = {c.genome for c in seen if c.replicate >= RACE_REPLICATE}
    assert lucky not in raced


def test_the_race_measures_every_entrant_at_the_same_fresh_replicates() -> None:
    seen: list[Candidate] = []
    recorded = bench(remembering(lambda _: 0.5, seen))
    run_race(recorded, PROBLEM, ARM, [], options=RaceOptions(leaders=1, replicates=2), final=FINAL)
    raced = [c for c in seen if c.replicate >= RACE_REPLICATE]
    assert {c.replicate for c in raced} == {RACE_REPLICATE, RACE_REPLICATE + 1}
    per_replicate = [{c.genome for c in raced if c.replicate == RACE_REPLICATE + r} for r in (0, 1)]
    assert per_replicate[0] == per_replicate[1]


def noisy(genome: Genome, replicate: int, spread: float) -> float:
    """Reproducible noise of one evaluation, of standard deviation ``spread``."""
    seed = [int(genome.bitstring, 2), replicate]
    return spread * float(np.random.default_rng(seed).normal())


def short_heat_over(
    quality: Callable[[Genome], float], spread: float, seen: list[Candidate], at_least: int = 1
) -> Field:
    genomes = [Genome.from_bits(row) for row in np.eye(10, dtype=bool)[1:9]]
    field = Field.of_leaders([*genomes, *prefixes(10)], 10, 8)

    def fitness(candidate: Candidate) -> float:
        return quality(candidate.genome) + noisy(candidate.genome, candidate.replicate, spread)

    return run_short_heat(
        bench(remembering(fitness, seen)),
        field,
        brief_candidate(40, ARM),
        replicates=4,
        at_least=at_least,
    ).field


def test_a_clear_loser_is_dropped_after_two_replicates_and_the_pure_strategies_never() -> None:
    """All masks are alike but one, which is far behind; keep-all and transfer-all are far behind too."""
    loser = Genome.from_bits(np.eye(10, dtype=bool)[5])
    behind, seen = {loser, keep_all(10), transfer_all(10)}, list[Candidate]()
    field = short_heat_over(lambda g: 0.2 if g in behind else 0.8, 0.01, seen)
    assert loser not in field.genomes
    assert field.pure == (keep_all(10), transfer_all(10))
    assert sum(c.genome == loser for c in seen) == 2
    assert len(field.masks) == 7


def test_prefixes_are_compared_with_the_best_prefix_not_with_the_best_mask() -> None:
    all_prefixes, seen = set(prefixes(10)), list[Candidate]()
    field = short_heat_over(lambda g: 0.2 if g in all_prefixes else 0.8, 0.01, seen)
    assert len(field.prefixes) == 8


def test_at_least_so_many_stay_however_clearly_they_are_behind() -> None:
    best, seen = Genome.from_bits(np.eye(10, dtype=bool)[4]), list[Candidate]()
    field = short_heat_over(lambda g: 0.9 if g == best else 0.2, 0.01, seen, at_least=3)
    assert len(field.masks) == 3
    assert field.masks[0] == best


def test_the_truly_best_is_dropped_in_at_most_5_of_100_flat_short_heats() -> None:
    genomes = [Genome.from_bits(row) for row in np.eye(10, dtype=bool)[1:9]]
    dropped, n_races = 0, 200
    for race in range(n_races):

        def luck(candidate: Candidate, race: int = race) -> float:
            return noisy(candidate.genome, candidate.replicate + 10_000 * race, 0.05)

        field = run_short_heat(
            bench(luck),
            Field.of_leaders(genomes, 10, 8),
            brief_candidate(40, ARM),
            replicates=3,
            at_least=1,
        ).field
        # All are equally good, so any one of them is "the" best.
        dropped += genomes[0] not in field.genomes
    assert dropped / n_races <= 0.05


def test_the_long_heat_decides_since_what_learns_fastest_need_not_end_best() -> None:
    """LUCKY leads at 40 steps at every draw, GOOD at 600, and only at the learning rate that suits it."""

    def slow_starter(candidate: Candidate) -> float:
        if candidate.fidelity == 40:
            return 0.9 if candidate.genome == LUCKY else 0.5
        suits = candidate.arm.learning_rate == pytest.approx(0.003)
        return 0.8 if candidate.genome == GOOD and suits else 0.6

    recorded = bench(slow_starter)
    found = recorded.measure("search", [Candidate(g, 40, arm=ARM) for g in (LUCKY, GOOD)])
    one_rate = FinalOptions(steps=600, learning_rate_factors=(1.0,))
    for replicates, final, winner in ((0, one_rate, LUCKY), (2, FinalOptions(steps=600), GOOD)):
        options = RaceOptions(leaders=2, full_length_replicates=replicates)
        outcome = run_race(bench(slow_starter), PROBLEM, ARM, found, options=options, final=final)
        assert masks_of(outcome)[0] == winner
    assert outcome.entries[0].arm.learning_rate == pytest.approx(0.003)


LONG_HEAT = LongHeat(600, (Arm(0.1), Arm(0.2), Arm(0.3)), RACE_REPLICATE + 3, 3, 2)


def field_of_ten() -> Field:
    """Eight masks and eight prefixes of ten genes, and the pure strategies."""
    genomes = [Genome.from_bits(row) for row in np.eye(10, dtype=bool)[1:9]]
    return Field.of_leaders([*genomes, *prefixes(10)], 10, 8)


def test_the_long_heat_halves_each_kind_and_never_takes_more_trainings_than_it_announced() -> None:
    field, seen = field_of_ten(), list[Candidate]()
    entries = LONG_HEAT.run(
        bench(remembering(lambda c: noisy(c.genome, c.replicate, 0.1), seen)), field
    )
    per_round = [[c for c in seen if c.replicate == RACE_REPLICATE + 3 + r] for r in range(3)]
    assert [len({c.genome for c in own}) for own in per_round] == [18, 10, 6]
    assert [len(own) for own in per_round] == [18 * 3, 10 * 2, 6 * 2]
    assert len(seen) == LONG_HEAT.trainings(8, 8, 2)
    assert {keep_all(10), transfer_all(10)} <= {entry.genome for entry in entries}


def test_winner_and_rates_are_chosen_by_all_rounds_together() -> None:
    """At its first replicate a rate is lucky; over the rounds another one is better."""
    mask = Genome.from_bits(np.eye(10, dtype=bool)[5])

    def lucky_once(candidate: Candidate) -> float:
        if candidate.genome != mask:
            return 0.3
        if candidate.arm == Arm(0.3):
            return 0.9 if candidate.replicate == RACE_REPLICATE + 3 else 0.5
        return 0.8 if candidate.arm == Arm(0.2) else 0.1

    first = LONG_HEAT.run(bench(lucky_once), field_of_ten())[0]
    assert (first.genome, first.arm) == (mask, Arm(0.2))
    assert first.standing.fitness == pytest.approx(0.8)


def test_without_a_long_heat_rates_are_chosen_for_the_finalists_on_draws_of_the_race() -> None:
    seen: list[Candidate] = []
    recorded = bench(remembering(lambda c: 0.8 if c.arm == Arm(0.003) else 0.5, seen))
    genomes = [LUCKY, GOOD, Genome.from_bitstring("1001")]
    found = recorded.measure("search", [Candidate(g, 40, arm=ARM) for g in genomes])
    final = FinalOptions(steps=40, finalists=1, learning_rate_factors=(1.0, 3.0))
    race = run_race(recorded, PROBLEM, ARM, found, options=RaceOptions(leaders=3), final=final)
    assert {entry.arm.learning_rate for entry in race.entries} == {0.003}
    tried = [c for c in seen if c.arm == Arm(0.003)]
    # One mask, one prefix, two pure strategies; draws after those of the short heat.
    assert [c.replicate for c in tried] == [RACE_REPLICATE + 3] * 4


def test_noise_is_split_into_what_pairing_removes_and_what_it_leaves() -> None:
    shift = {RACE_REPLICATE + r: 0.1 * r for r in range(3)}

    def shifted(candidate: Candidate) -> float:
        return candidate.genome.agreement(GOOD) + shift.get(candidate.replicate, 0.0)

    noise = run_race(
        bench(shifted), PROBLEM, ARM, [], options=RaceOptions(leaders=4, replicates=3), final=FINAL
    ).noise
    assert noise.total == pytest.approx(0.1)
    assert noise.paired == pytest.approx(0.0, abs=1e-12)


def test_the_final_takes_the_races_winner_and_rates_whatever_its_own_trainings_say() -> None:
    """What the test scores must not choose what is tested: keep-all scores best in the final."""
    entries = [
        entry(GOOD, 0.9, Arm(0.003)),
        entry(transfer_all(4), 0.8, Arm(0.001)),
        entry(LUCKY, 0.7),
        entry(prefixes(4)[0], 0.6),
        entry(keep_all(4), 0.5, Arm(0.0003)),
    ]

    def prefers_keep_all(candidate: Candidate) -> float:
        return 0.9 if candidate.genome == keep_all(4) else 0.3

    seen: list[Candidate] = []
    outcome = run_final(
        bench(prefers_keep_all),
        FormulaEvaluator(remembering(prefers_keep_all, seen)),
        entries,
        ARM,
        FinalOptions(steps=9, replicates=2),
    )
    assert outcome.winner.genome == GOOD
    assert outcome.best_prefix is not None
    assert outcome.best_prefix.genome == prefixes(4)[0]
    # Finalists that did not win are not trained again.
    rates = {GOOD: 0.003, transfer_all(4): 0.001, prefixes(4)[0]: 0.001, keep_all(4): 0.0003}
    assert {c.genome: c.arm.learning_rate for c in seen} == rates
    assert len(seen) == 2 * n_contenders(4)
    assert {c.replicate for c in seen} == {FINAL_REPLICATE, FINAL_REPLICATE + 1}


def test_where_the_winner_diverges_in_the_final_the_next_one_of_the_race_takes_its_place() -> None:
    first, second = prefixes(4)[:2]
    order = [entry(g, 0.5) for g in (LUCKY, first, GOOD, keep_all(4), transfer_all(4), second)]

    def unlucky(candidate: Candidate) -> float | None:
        diverges = candidate.genome in (LUCKY, first)
        return None if diverges and candidate.replicate == FINAL_REPLICATE + 1 else 0.5

    outcome = run_final(
        bench(unlucky), FormulaEvaluator(unlucky), order, ARM, FinalOptions(steps=9, replicates=2)
    )
    assert outcome.winner.genome == GOOD
    assert outcome.best_prefix is not None
    assert outcome.best_prefix.genome == second
    assert outcome.contender(LUCKY) is None


def test_a_rate_at_which_a_mask_diverges_does_not_count_for_it() -> None:
    def diverges_at_high_rates(candidate: Candidate) -> float | None:
        return None if candidate.arm.rates > (0.15,) else 0.7

    entries = LONG_HEAT.run(bench(diverges_at_high_rates), field_of_ten())
    assert {e.arm for e in entries} == {Arm(0.1)}


def test_a_final_in_which_everything_diverges_says_which_rates_were_tried() -> None:
    with pytest.raises(InvalidInputError, match=r"\[0\.5, 1\.0\] given.*try smaller ones"):
        run_final(
            bench(lambda _: None),
            FormulaEvaluator(lambda _: None),
            [entry(GOOD, 0.5)],
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
    assert FinalOptions().arms(arm) == [Arm(0.1), Arm(0.01)]


@pytest.mark.parametrize("arm", [Arm(), Arm(0.001), Arm((0.1, 1e-05))])
def test_arms_are_read_back_from_their_labels(arm: Arm) -> None:
    assert Arm.from_label(arm.label) == arm


def test_learning_rate_factors_must_differ_and_be_positive() -> None:
    with pytest.raises(ValidationError, match="all different"):
        FinalOptions(learning_rate_factors=(1.0, 1.0))


def test_a_contender_tells_what_was_measured_replicate_by_replicate() -> None:
    outcome = run_final(
        bench(lambda _: 0.5),
        FormulaEvaluator(lambda _: 0.5),
        [entry(GOOD, 0.5)],
        ARM,
        FinalOptions(steps=9, replicates=3),
    )
    measured = [Candidate(GOOD, 9, FINAL_REPLICATE + number, ARM) for number in range(3)]
    assert list(outcome.winner.candidates) == measured
