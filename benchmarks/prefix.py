"""What freezing the first half of a network saves: less gradient, one prefix for all candidates, one epoch of it.

Four ways in turns, each training the same number of candidates and steps by the stacked layout: nothing frozen; the
first half frozen with other weights in every candidate; frozen with equal weights, which are computed once per step;
and the same over few samples, so that the frozen half is computed in the first epoch only.

    python -m benchmarks.prefix --rounds 7
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.record import conditions_of, spread, write_record
from models.data.dataset import Examples
from models.data.shapes import DataShape
from models.families.small_cnn import SmallCNNConfig, SmallCNNFamily
from models.finetuning.full import FullConfig, FullFineTuning
from models.genes import GenomeOptions, build_gene_map
from models.layout import Recipe
from models.population import build_layout
from models.recipe.freezing import Freezing
from models.recipe.minibatches import Minibatches, draw_minibatches
from models.surroundings import NOTHING
from models.weights_source import state_shapes

N_CANDIDATES, STEPS, BATCH = 8, 12, 32
# More than the steps see, so that no sample comes twice; and few.
MANY_SAMPLES, FEW_SAMPLES = STEPS * BATCH, 2 * BATCH
FROZEN_GENES = 3


def build_ways(side: int) -> dict[str, Callable[[], float]]:
    """Give ways to train, each of which returns seconds per candidate-step."""
    shape = DataShape({"x": (1, side, side)}, 10)
    family = SmallCNNFamily(SmallCNNConfig(), NOTHING)
    network = family.build(shape)
    genes = build_gene_map(network, state_shapes(network), GenomeOptions())
    half = frozenset(name for gene in genes.genes[:FROZEN_GENES] for name in gene.tensors)

    def freezing(names: frozenset[str], *, are_equal: bool) -> Freezing:
        # Three frozen genes have eight combinations of bits: with all of them, nothing can be shared.
        kept = dict.fromkeys(network.state_dict(), (True,) * N_CANDIDATES)
        for index, gene in enumerate(genes.genes[:FROZEN_GENES]):
            bits = tuple(are_equal or bool(row >> index & 1) for row in range(N_CANDIDATES))
            kept |= dict.fromkeys(gene.tensors, bits)
        return Freezing((names,) * N_CANDIDATES, kept)

    def way(frozen: Freezing, n_samples: int) -> Callable[[], float]:
        layout = build_layout("stacked", family.build(shape), channels_last=True)
        recipe = Recipe(FullFineTuning(FullConfig()), (0.001,) * len(frozen.frozen), frozen)
        data = Examples({"x": torch.randn(n_samples, 1, side, side)}, torch.arange(n_samples) % 10)
        minibatches = draw_minibatches(n_samples, STEPS, BATCH, 0, "prefix")

        def run() -> float:
            state: dict[str, Tensor] = {
                name: x.repeat(N_CANDIDATES, *[1] * x.ndim)
                for name, x in network.state_dict().items()
            }
            started = time.perf_counter()
            layout.train(state, data, Minibatches.common(minibatches), recipe)
            return (time.perf_counter() - started) / (N_CANDIDATES * STEPS)

        return run

    return {
        "nothing frozen": way(freezing(frozenset(), are_equal=True), MANY_SAMPLES),
        "frozen, not shared": way(freezing(half, are_equal=False), MANY_SAMPLES),
        "shared within a step": way(freezing(half, are_equal=True), MANY_SAMPLES),
        "cached across epochs": way(freezing(half, are_equal=True), FEW_SAMPLES),
    }


def main() -> None:
    """Time all ways in turns and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    conditions = conditions_of("prefix")
    # As in a worker process of a plan for several processes.
    torch.set_num_threads(1)
    lines = [
        "| images | way | ms per candidate-step | nothing frozen / this | frozen, not shared / this |",
        "|---|---|---|---|---|",
    ]
    figures: dict[str, dict[str, list[float]]] = {}
    for side in (8, 16):
        ways = build_ways(side)
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for round_number in range(arguments.rounds + 1):
            for name, run in ways.items():
                milliseconds = 1000 * run()
                if round_number > 0:  # the first round warms up
                    taken[name].append(milliseconds)
        figures[f"{side}x{side}"] = taken
        lines += [_row(side, name, taken) for name in ways]
    lines += [
        "",
        f"small_cnn with its defaults, stacked, {N_CANDIDATES} candidates together, one thread, {STEPS} steps of batch "
        f"{BATCH}; frozen: the first {FROZEN_GENES} of 6 convolutions. Medians over {arguments.rounds} rounds of one "
        "run (least to most).",
    ]
    write_record(conditions, {"ms_per_candidate_step": figures}, "\n".join(lines))


def _row(side: int, name: str, taken: dict[str, list[float]]) -> str:
    own = taken[name]
    ratios = [
        spread([a / b for a, b in zip(taken[base], own, strict=True)], 2)
        for base in ("nothing frozen", "frozen, not shared")
    ]
    return f"| {side}x{side} | {name} | {spread(own, 2)} | {' | '.join(ratios)} |"


if __name__ == "__main__":
    main()
