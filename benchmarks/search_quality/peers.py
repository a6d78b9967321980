"""What people use today, set up as its documentation shows, at equal numbers of evaluations.

A peer searches with a meter until the budget is spent or it has nothing more to try.  None of them keeps the scores of
masks it has seen (Optuna, nevergrad, DEAP and simanneal do not, and a noisy objective gives no reason to).  The answer
of a peer is the mask with its best score.

    python -m benchmarks.search_quality.peers --genes 30 --noise 0.5 --budget 200 --seeds 4
"""

from __future__ import annotations

import argparse
import math
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from benchmarks.search_quality.meter import BudgetSpentError, Meter
from benchmarks.search_quality.problems import FAMILIES, draw_problem
from benchmarks.search_quality.replay import Landscape, found_in, noisy
from search.evaluation import Evaluation
from search.genome import Genome, keep_all, transfer_all

Peer = Callable[[Meter], None]


def search_randomly(meter: Meter) -> None:
    """Uniformly drawn masks."""
    rng = np.random.default_rng(meter.seed)
    while meter.left:
        meter(Genome.from_bits(rng.random(meter.n_genes) < 0.5))


def search_with_optuna_tpe(meter: Meter) -> None:
    """Optuna's default sampler, a categorical parameter per gene.

    Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011.
    """
    import optuna

    _optimize_with_optuna(meter, optuna.samplers.TPESampler(seed=meter.seed))


def search_with_optuna_gp(meter: Meter) -> None:
    """Optuna's Gaussian process sampler, a categorical parameter per gene."""
    import optuna

    _optimize_with_optuna(meter, optuna.samplers.GPSampler(seed=meter.seed))


def _optimize_with_optuna(meter: Meter, sampler: Any) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial: optuna.Trial) -> float:
        bits = [
            trial.suggest_categorical(f"gene{gene}", [False, True]) for gene in range(meter.n_genes)
        ]
        return meter(Genome.from_bits(bits))

    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=meter.budget)


def search_with_nevergrad(meter: Meter) -> None:
    """Nevergrad's portfolio for discrete problems: a (1+1) algorithm that mixes mutation rates.

    Rapin and Teytaud, "Nevergrad - A gradient-free optimization platform", 2018.
    """
    import nevergrad

    space = nevergrad.p.TransitionChoice([0, 1], repetitions=meter.n_genes)
    space.random_state.seed(meter.seed)
    optimizer = nevergrad.optimizers.PortfolioDiscreteOnePlusOne(space, budget=meter.budget)
    optimizer.minimize(lambda bits: -meter(Genome.from_bits(bits)))


def search_with_deap(meter: Meter) -> None:
    """``eaSimple`` with the rates and the tournament of DEAP's OneMax example.

    One bit of a mutated mask flips on average; the population is an eighth of the budget, so that there are about a
    dozen generations (two in three masks of each are new).
    """
    from deap import algorithms, base, tools

    class Fitness(base.Fitness):  # type: ignore[misc]
        weights = (1.0,)

    class Individual(list[bool]):
        def __init__(self, bits: Sequence[bool]) -> None:
            super().__init__(bits)
            self.fitness = Fitness()

    random.seed(meter.seed)
    toolbox = base.Toolbox()
    toolbox.register("bit", random.getrandbits, 1)
    toolbox.register("individual", tools.initRepeat, Individual, toolbox.bit, meter.n_genes)
    toolbox.register("population", tools.initRepeat, list, toolbox.individual)
    toolbox.register("evaluate", lambda bits: (meter(Genome.from_bits(bits)),))
    toolbox.register("mate", tools.cxTwoPoint)
    toolbox.register("mutate", tools.mutFlipBit, indpb=1 / meter.n_genes)
    toolbox.register("select", tools.selTournament, tournsize=3)
    population = toolbox.population(n=max(10, meter.budget // 8))
    # The meter ends it: how many masks of a generation are new is a matter of chance.
    algorithms.eaSimple(population, toolbox, cxpb=0.5, mutpb=0.2, ngen=meter.budget, verbose=False)


def search_with_simanneal(meter: Meter) -> None:
    """Simanneal's ``Annealer``, one flip a step, its exponential cooling over the whole budget.

    A tenth of the budget walks freely to learn the usual step dE.  The walk starts where half of the usual worsening
    steps are accepted and ends where one in ten thousand is.
    """
    from simanneal import Annealer

    class MaskAnnealer(Annealer):  # type: ignore[misc]
        def move(self) -> None:
            gene = random.randrange(len(self.state))
            self.state[gene] = not self.state[gene]

        def energy(self) -> float:
            return -meter(Genome.from_bits(self.state))

    random.seed(meter.seed)
    annealer = MaskAnnealer([random.random() < 0.5 for _ in range(meter.n_genes)])
    energies = []
    for _ in range(max(2, meter.budget // 10)):
        energies.append(annealer.energy())
        annealer.move()
    step = float(np.abs(np.diff(energies)).mean())
    annealer.Tmax, annealer.Tmin = step / math.log(2), step / math.log(1e4)
    # The start is an evaluation of its own.
    annealer.steps, annealer.updates = meter.left - 1, 0
    annealer.anneal()


def search_greedily(meter: Meter) -> None:
    """Add the best gene, again and again, as long as that helps; the other way round with what is left.

    From the better of transfer-all and keep-all first.  Kaplun et al., "Less is More: Selective Layer Finetuning with
    SubTuning", 2023.
    """
    pure = [transfer_all(meter.n_genes), keep_all(meter.n_genes)]
    scored = sorted(((meter(mask), mask) for mask in pure), key=lambda pair: -pair[0])
    for score, start in scored:
        best, mask = score, start
        while True:
            free = [gene for gene in range(meter.n_genes) if mask.keeps[gene] == start.keeps[gene]]
            steps = [(meter(mask.flipped(gene)), gene) for gene in free]
            if not steps or max(steps)[0] <= best:
                break
            best, gene = max(steps)
            mask = mask.flipped(gene)


PEERS: dict[str, Peer] = {
    "random": search_randomly,
    "optuna_tpe": search_with_optuna_tpe,
    "optuna_gp": search_with_optuna_gp,
    "nevergrad": search_with_nevergrad,
    "deap": search_with_deap,
    "simanneal": search_with_simanneal,
    "subtuning": search_greedily,
}
# A trial takes it a second or more.
OPTUNA_GP_GENES, OPTUNA_GP_BUDGET = 60, 200


def is_affordable(peer: str, n_genes: int, budget: int) -> bool:
    """Whether a peer finishes such a search in minutes."""
    return peer != "optuna_gp" or (n_genes <= OPTUNA_GP_GENES and budget <= OPTUNA_GP_BUDGET)


def run_peer(
    name: str, landscape: Landscape, n_genes: int, budget: int, seed: int
) -> tuple[Evaluation, ...]:
    """Search with a peer.

    Returns:
        What it evaluated, in order; at most ``budget``, fewer only where it has nothing more to try.
    """
    meter = Meter(landscape, n_genes, budget, seed)
    with suppress(BudgetSpentError):
        PEERS[name](meter)
    return tuple(meter.evaluations)


def main() -> None:
    """Try all peers on a few synthetic problems and print how good and how slow they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genes", type=int, default=30)
    parser.add_argument("--noise", type=float, default=0.5)
    parser.add_argument("--budget", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--peers", default=",".join(PEERS))
    arguments = parser.parse_args()
    for name in arguments.peers.split(","):
        started = time.perf_counter()
        qualities, counts = [], []
        for family in FAMILIES:
            for seed in range(1, arguments.seeds + 1):
                problem = draw_problem(family, arguments.genes, seed)
                noise = arguments.noise * float(problem.random_values.std())
                landscape = noisy(problem.value, noise, seed)
                found = found_in(run_peer(name, landscape, arguments.genes, arguments.budget, seed))
                qualities.append(problem.quality_of(found.best_seen))
                counts.append(found.evaluations)
        seconds = (time.perf_counter() - started) / len(counts)
        print(
            f"{name:12} quality {np.mean(qualities):.3f} "
            f"evaluations {min(counts)}-{max(counts)} {seconds:.2f} s each",
            flush=True,
        )


if __name__ == "__main__":
    main()
