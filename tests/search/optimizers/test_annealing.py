"""Tests that the annealing optimizer is simanneal, asked from outside, and stands noise and failures."""

from __future__ import annotations

import gc
import math
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from simanneal import Annealer

from benchmarks.search_quality.problems import draw_problem
from benchmarks.search_quality.replay import found_in, noisy, run_study
from search.annealing.chain import ChainRunner, Proposal, flip_any
from search.errors import TransferMaskError
from search.evaluation import Candidate, Evaluation, Outcome
from search.genome import Genome, keep_all, transfer_all
from search.optimizer import GenePriors, SearchProblem
from search.optimizers.annealing import Annealing, AnnealingConfig

N_GENES, STEPS, SEED = 10, 200, 11
HOTTEST, COLDEST = 8.0, 0.5
WEIGHTS = np.random.default_rng(1).normal(size=(N_GENES, N_GENES))


def energy(genome: Genome) -> float:
    """A rugged landscape: random pair terms."""
    spins = np.where(genome.keeps, 1.0, -1.0)
    return float(spins @ WEIGHTS @ spins)


class SimannealAlone(Annealer):  # type: ignore[misc]  # simanneal has no annotations
    """simanneal as its users write it: energies computed on the spot, no thread, the global stream."""

    Tmax, Tmin, steps, updates, copy_strategy = HOTTEST, COLDEST, STEPS, 0, "slice"

    def __init__(self) -> None:
        handler = signal.getsignal(signal.SIGINT)
        super().__init__(initial_state=list(keep_all(N_GENES).keeps))
        signal.signal(signal.SIGINT, handler)
        self.trajectory: list[Genome] = []

    def move(self) -> None:
        self.trajectory.append(Genome(tuple(self.state)))
        gene = random.randrange(N_GENES)
        self.state[gene] = not self.state[gene]

    def energy(self) -> float:
        return energy(Genome(tuple(self.state)))


def run_chain() -> list[Genome]:
    chain = ChainRunner(start=keep_all(N_GENES), propose=flip_any, seed=SEED, steps=STEPS)
    for step in range(1, STEPS + 1):
        move = chain.propose(HOTTEST * (COLDEST / HOTTEST) ** (step / STEPS))
        assert move is not None
        chain.settle(energy(move.proposal.genome) - energy(move.current))
    assert chain.propose(1.0) is None
    return chain.trajectory


def test_one_chain_accepts_the_states_that_simanneal_alone_accepts_with_the_same_seed() -> None:
    random.seed(SEED)
    alone = SimannealAlone()
    alone.anneal()
    assert len(set(alone.trajectory)) > 10
    assert run_chain() == alone.trajectory


def test_a_chain_leaves_the_callers_random_stream_and_interrupt_handler_alone() -> None:
    handler = signal.getsignal(signal.SIGINT)
    random.seed(4)
    expected = random.Random(4).random()
    run_chain()
    assert random.random() == expected
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_dropped_chain_ends_its_thread() -> None:
    before = threading.active_count()
    chain = ChainRunner(start=keep_all(4), propose=flip_any, seed=1)
    assert chain.propose(1.0) is not None
    thread = chain._thread
    del chain
    gc.collect()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert threading.active_count() == before


def test_a_dropped_optimizer_ends_the_threads_of_its_chains() -> None:
    before = threading.active_count()
    optimizer = annealing(6)
    tell_all(optimizer, energy_like(6))
    assert optimizer.ask()
    threads = [chain._thread for chain in optimizer._chains]
    assert threading.active_count() == before + len(threads)
    del optimizer
    gc.collect()
    for thread in threads:
        thread.join(timeout=10)
    assert threading.active_count() == before


def test_outside_the_main_thread_the_error_says_why_and_what_to_do() -> None:
    errors: list[Exception] = []

    def build() -> None:
        try:
            ChainRunner(start=keep_all(3), propose=flip_any, seed=1)
        except TransferMaskError as error:
            errors.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])
    assert "process of its own" in str(errors[0])


def test_an_error_inside_simanneals_loop_is_raised_and_hangs_nobody() -> None:
    def fail(genome: Genome, temperature: float) -> Proposal:
        raise ArithmeticError("no way from here")

    chain = ChainRunner(start=keep_all(4), propose=fail, seed=1)
    with pytest.raises(ArithmeticError, match="no way from here"):
        chain.propose(1.0)


def test_a_difference_that_is_not_finite_is_refused() -> None:
    chain = ChainRunner(start=keep_all(4), propose=flip_any, seed=1)
    chain.propose(1.0)
    with pytest.raises(ValueError, match="finite"):
        chain.settle(math.nan)


def annealing(n_genes: int, seed: int = 0, budget: int = 200, **options: object) -> Annealing:
    config = AnnealingConfig.model_validate({"kind": "annealing", **options})
    return Annealing(config, SearchProblem(n_genes, 40, budget), seed)


def energy_like(n_genes: int, seed: int = 5) -> Callable[[Genome], float]:
    """Fitness with unequal genes, about 1 from the worst to the best."""
    weights = np.random.default_rng(seed).normal(size=n_genes) / n_genes
    return lambda genome: float(weights @ np.where(genome.keeps, 1.0, -1.0))


def tell_all(optimizer: Annealing, fitness: Callable[[Genome], float]) -> list[Candidate]:
    asked = optimizer.ask()
    optimizer.tell([Evaluation(c, Outcome.MEASURED, fitness(c.genome), 0.0) for c in asked])
    return asked


def test_the_first_batch_holds_the_pure_masks_and_every_later_one_a_mask_per_chain() -> None:
    optimizer = annealing(20, chains=7, first_batch=16)
    first = [candidate.genome for candidate in tell_all(optimizer, energy_like(20))]
    assert {keep_all(20), transfer_all(20)} <= set(first)
    assert len(set(first)) == 16
    for _ in range(4):
        asked = tell_all(optimizer, energy_like(20))
        assert len({c.genome for c in asked if c.replicate == 0} - set(first)) == 7


@pytest.mark.parametrize("surrogate", [{"kind": "gaussian_process"}, None])
def test_temperatures_are_calibrated_on_the_scale_of_the_measured_differences(
    surrogate: object,
) -> None:
    def temperatures(scale: float, **options: Any) -> list[float]:
        optimizer = annealing(N_GENES, surrogate=surrogate, **options)
        tell_all(optimizer, lambda genome: -scale * energy(genome))
        optimizer.ask()
        return optimizer._temperatures()

    assert temperatures(1.0)[0] > 0.1
    assert temperatures(0.01) == pytest.approx([t / 100 for t in temperatures(1.0)], rel=1e-3)
    hot = temperatures(1.0, start_acceptance=0.9, end_acceptance=0.8)
    assert hot[0] > 5 * temperatures(1.0)[0]


def test_a_small_budget_gets_fewer_chains_and_a_smaller_first_batch() -> None:
    optimizer = annealing(20, budget=40)
    assert len(tell_all(optimizer, energy_like(20))) == 10
    assert len(tell_all(optimizer, energy_like(20))) == 5


def test_temperatures_do_not_fall_far_below_the_noise() -> None:
    optimizer = annealing(N_GENES, noise_floor=2, end_acceptance=1e-9, ladder_ratio=1)
    rng = np.random.default_rng(0)
    for _ in range(8):
        tell_all(optimizer, lambda genome: energy(genome) + rng.normal(scale=20))
    assert optimizer._energies.noise > 5
    assert min(optimizer._temperatures()) >= 2 * optimizer._energies.noise


def test_given_temperatures_are_taken_as_they_are() -> None:
    optimizer = annealing(6, start_temperature=0.25, ladder_ratio=4, chains=3)
    tell_all(optimizer, energy_like(6))
    optimizer.ask()
    assert optimizer._temperatures() == pytest.approx([0.25, 0.5, 1.0])


@pytest.mark.parametrize("surrogate", [{"kind": "gaussian_process"}, None])
def test_a_plateau_ends_the_search_once_every_mask_was_asked(surrogate: object) -> None:
    optimizer = annealing(6, budget=1000, surrogate=surrogate)
    asked: list[Candidate] = []
    while batch := tell_all(optimizer, lambda _: 0.5):
        asked += batch
        assert len(asked) < 500
    assert len({candidate.genome for candidate in asked}) == 2**6


@pytest.mark.parametrize("surrogate", [{"kind": "gaussian_process"}, None])
def test_a_failed_candidate_is_never_accepted_and_does_not_end_the_search(
    surrogate: object,
) -> None:
    optimizer = annealing(8, chains=2, surrogate=surrogate)
    tell_all(optimizer, energy_like(8))
    failed: set[Genome] = set()
    for _ in range(8):
        asked = optimizer.ask()
        failed |= {candidate.genome for candidate in asked if candidate.replicate == 0}
        optimizer.tell([Evaluation(c, Outcome.DIVERGED, None, 0.0) for c in asked])
    assert len(failed) >= 8
    # A chain that finds nothing new starts again on a mask that may fail; it never goes to one.
    for chain in optimizer._chains:
        assert failed.isdisjoint([*chain.trajectory, chain.state][1:])
    assert tell_all(optimizer, energy_like(8))


def test_a_chain_goes_on_by_what_is_known_at_the_time_of_the_decision() -> None:
    """A mask that looked good by luck loses its hold once it has been measured again."""
    optimizer = annealing(8, surrogate=None, chains=1, challenges=1)
    lucky = optimizer.ask()[0].genome
    # The replicate decides: the first score of one mask is far too good.
    fitness = {(lucky, 0): 10.0, (lucky, 1): -100.0}

    def tell(asked: list[Candidate]) -> None:
        optimizer.tell(
            [
                Evaluation(c, Outcome.MEASURED, fitness.get((c.genome, c.replicate), 1.0), 0.0)
                for c in asked
            ]
        )

    optimizer = annealing(8, surrogate=None, chains=1, challenges=1)
    tell(optimizer.ask())
    tell(optimizer.ask())
    (chain,) = optimizer._chains
    assert chain.state == lucky
    again = optimizer.ask()
    assert Candidate(lucky, 40, 1) in again
    tell(again)
    assert chain.state != lucky


def test_a_challenged_mask_is_measured_again_at_its_next_replicate_as_often_as_the_option_says() -> (
    None
):
    def replicates(challenges: int | None) -> Counter[int]:
        optimizer = annealing(12, chains=3, challenges=challenges)
        top = keep_all(12)
        asked = [c for _ in range(13) for c in tell_all(optimizer, top.agreement)]
        per_mask: dict[Genome, list[int]] = {}
        for candidate in asked:
            per_mask.setdefault(candidate.genome, []).append(candidate.replicate)
        assert all(own == list(range(len(own))) for own in per_mask.values())
        return Counter(candidate.replicate for candidate in asked)

    def measured_again(challenges: int | None) -> int:
        return replicates(challenges).total() - replicates(challenges)[0]

    assert measured_again(None) == 0
    assert measured_again(1) > measured_again(3) > 0


def test_saliencies_decide_which_genes_are_tried() -> None:
    saliencies = (0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    problem = SearchProblem(8, 40, 200, GenePriors(saliencies, (1.0,) * 8))
    config = AnnealingConfig(
        surrogate=None, segment_probability=0, saliency_weight=1, first_batch=2, chains=4
    )
    optimizer = Annealing(config, problem, seed=0)
    first = {c.genome for c in tell_all(optimizer, lambda _: 0.5)}
    assert first == {keep_all(8), transfer_all(8)}
    for candidate in tell_all(optimizer, lambda _: 0.5):
        assert any(candidate.genome in (g.flipped(2), g.flipped(6)) for g in first)


def test_a_batch_told_in_part_leaves_the_other_chains_waiting() -> None:
    optimizer = annealing(10, chains=4, challenges=None)
    tell_all(optimizer, energy_like(10))
    asked = optimizer.ask()
    optimizer.tell([Evaluation(asked[0], Outcome.MEASURED, 0.5, 0.0)])
    assert sum(chain.pending is not None for chain in optimizer._chains) == 3
    assert {c.genome for c in asked[1:]} <= {c.genome for c in optimizer.ask()}


def test_the_same_seed_and_evaluations_ask_the_same_to_the_end() -> None:
    def asked() -> list[Candidate]:
        optimizer = annealing(10, challenges=2, reheat_after=2, cooling="adaptive")
        return [c for _ in range(12) for c in tell_all(optimizer, lambda g: -energy(g))]

    assert asked() == asked()
    assert len(asked()) > 100


def quality(seed: int, **options: object) -> float:
    """Of the leader that 150 noisy evaluations find; 0 for a random mask, 1 for the optimum."""
    problem = draw_problem("neighbours", 20, seed)
    deviation = float(problem.random_values.std())
    landscape = noisy(
        lambda genome: float(problem.values(np.array([genome.keeps]))[0]), 0.5 * deviation, seed
    )
    found = found_in(run_study({"kind": "annealing", **options}, landscape, 20, 150, seed + 100))
    return problem.quality(np.array(found.leader.keeps))


def test_denoised_energies_and_walks_beat_plain_annealing_under_noise() -> None:
    denoised = [quality(seed) for seed in range(5)]
    plain = [quality(seed, surrogate=None, challenges=None) for seed in range(5)]
    assert np.mean(denoised) > np.mean(plain) + 0.1


def test_a_surrogate_too_slow_for_walks_guides_the_moves_all_the_same() -> None:
    optimizer = annealing(12, surrogate={"kind": "random_forest"})
    fitness = energy_like(12)
    means = [np.mean([fitness(c.genome) for c in tell_all(optimizer, fitness)]) for _ in range(4)]
    assert means[-1] > means[0] + 0.2 * fitness_range(fitness, 12)


def fitness_range(fitness: Callable[[Genome], float], n_genes: int) -> float:
    """Best minus worst of a landscape without interactions."""
    pure = keep_all(n_genes)
    return sum(abs(fitness(pure) - fitness(pure.flipped(gene))) for gene in range(n_genes))


def test_temperatures_that_would_rise_are_refused_with_both_numbers() -> None:
    with pytest.raises(
        ValidationError, match=r"end_temperature \(2.0\) must not exceed start_temperature \(1.0\)"
    ):
        AnnealingConfig(start_temperature=1.0, end_temperature=2.0)
    with pytest.raises(
        ValidationError, match=r"end_acceptance \(0.9\) must not exceed start_acceptance \(0.05\)"
    ):
        AnnealingConfig(end_acceptance=0.9)
    with pytest.raises(ValidationError, match="end_temperature"):
        AnnealingConfig(start_temperature=1.0, end_temperature=1e-300)
