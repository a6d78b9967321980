"""Tests that the annealing optimizer is simanneal, asked from outside."""

from __future__ import annotations

import gc
import math
import random
import signal
import threading
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from search.annealing_chain import ChainRunner, CoolingSchedule, FlipAnnealer
from search.errors import TransferMaskError
from search.evaluation import Evaluation, Outcome
from search.genome import Genome, keep_all
from search.optimizer import SearchProblem
from search.optimizers.annealing import Annealing, AnnealingConfig

N_GENES, STEPS, SEED = 10, 200, 11
WEIGHTS = np.random.default_rng(1).normal(size=(N_GENES, N_GENES))


def energy(genome: Genome) -> float:
    """A rugged landscape: random pair terms."""
    spins = np.where(genome.keeps, 1.0, -1.0)
    return float(spins @ WEIGHTS @ spins)


class SimannealAlone(FlipAnnealer):
    """simanneal as its users write it: energies computed on the spot, no thread, the global stream."""

    def energy(self) -> float:
        return energy(Genome(tuple(self.state)))


class LinearByHand:
    """Metropolis with linear cooling, written out."""

    def __init__(self, start: Genome, hottest: float, coldest: float) -> None:
        self.trajectory: list[Genome] = []
        state = start
        for step in range(1, STEPS + 1):
            temperature = hottest + (coldest - hottest) * (step - 1) / STEPS
            self.trajectory.append(state)
            proposal = state.flipped(random.randrange(N_GENES))
            delta = energy(proposal) - energy(state)
            if not (delta > 0 and math.exp(-delta / temperature) < random.random()):
                state = proposal


def run_chain(cooling: CoolingSchedule) -> list[Genome]:
    chain = ChainRunner(
        start=keep_all(N_GENES), temperatures=(8.0, 0.5), cooling=cooling, steps=STEPS, seed=SEED
    )
    energies: dict[Genome, float] = {}
    while (wanted := chain.advance(energies)) is not None:
        energies[wanted] = energy(wanted)
    return chain.trajectory


def test_one_chain_accepts_the_states_that_simanneal_alone_accepts_with_the_same_seed() -> None:
    random.seed(SEED)
    alone = SimannealAlone(keep_all(N_GENES), (8.0, 0.5), "exponential", STEPS)
    alone.anneal()
    assert len(set(alone.trajectory)) > 10
    assert run_chain("exponential") == alone.trajectory


def test_linear_cooling_is_metropolis_with_a_linear_schedule() -> None:
    random.seed(SEED)
    assert run_chain("linear") == LinearByHand(keep_all(N_GENES), 8.0, 0.5).trajectory


def test_a_chain_leaves_the_callers_random_stream_and_interrupt_handler_alone() -> None:
    handler = signal.getsignal(signal.SIGINT)
    random.seed(4)
    expected = random.Random(4).random()
    run_chain("exponential")
    assert random.random() == expected
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_dropped_chain_ends_its_thread() -> None:
    before = threading.active_count()
    chain = ChainRunner(
        start=keep_all(4), temperatures=(1.0, 0.1), cooling="exponential", steps=9, seed=1
    )
    assert chain.advance({}) == keep_all(4)
    thread = chain._thread
    del chain
    gc.collect()
    thread.join(timeout=10)
    assert not thread.is_alive()
    assert threading.active_count() == before


def test_outside_the_main_thread_the_error_says_why_and_what_to_do() -> None:
    errors: list[Exception] = []

    def build() -> None:
        try:
            FlipAnnealer(keep_all(3), (1.0, 0.1), "exponential", 5)
        except TransferMaskError as error:
            errors.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])
    assert "process of its own" in str(errors[0])


def tell_all(optimizer: Annealing, fitness: Any) -> int:
    asked = optimizer.ask()
    optimizer.tell([Evaluation(c, Outcome.MEASURED, fitness(c.genome), 0.0) for c in asked])
    return len(asked)


def test_temperatures_are_calibrated_on_the_scale_of_the_measured_differences() -> None:
    def temperatures(scale: float) -> tuple[float, float]:
        optimizer = Annealing(AnnealingConfig(), SearchProblem(N_GENES, 40, 200), seed=0)
        tell_all(optimizer, lambda genome: -scale * energy(genome))
        return optimizer._temperatures

    start, end = temperatures(1.0)
    assert start > end > 0
    assert temperatures(0.01) == pytest.approx((start / 100, end / 100))


def test_a_plateau_ends_the_search_instead_of_going_on_forever() -> None:
    optimizer = Annealing(AnnealingConfig(), SearchProblem(3, 40, 1000), seed=0)
    batches = 0
    while tell_all(optimizer, lambda _: 0.5):
        batches += 1
        assert batches < 100
    assert len(optimizer._energies) == 8


def test_a_failed_candidate_is_never_accepted_and_does_not_end_the_search() -> None:
    optimizer = Annealing(AnnealingConfig(chains=1), SearchProblem(6, 40, 60), seed=0)
    tell_all(optimizer, lambda genome: genome.agreement(keep_all(6)))
    (chain,) = optimizer._chains
    for _ in range(8):
        asked = optimizer.ask()
        optimizer.tell([Evaluation(c, Outcome.DIVERGED, None, 0.0) for c in asked])
    failed = {genome for genome, value in optimizer._energies.items() if value > 1}
    assert len(failed) == 8
    assert failed.isdisjoint(chain.trajectory)


def test_an_error_inside_simanneals_loop_is_raised_and_hangs_nobody() -> None:
    # A start temperature of 0 divides by zero at the first worsening.
    chain = ChainRunner(
        start=keep_all(4), temperatures=(0.0, 0.1), cooling="exponential", steps=9, seed=1
    )
    with pytest.raises((ValueError, ZeroDivisionError)):
        chain.advance({})


def test_temperatures_that_would_vanish_are_refused() -> None:
    with pytest.raises(ValidationError, match="end_temperature"):
        AnnealingConfig(start_temperature=1.0, end_temperature=1e-300)
