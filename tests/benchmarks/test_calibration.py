"""Simulated searches know the truth that their intervals are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.search_quality import table_worlds
from benchmarks.search_quality.calibration_report import render, tally
from benchmarks.search_quality.landscapes import is_flat, open_world
from benchmarks.search_quality.simulated_search import Check, judged, search
from benchmarks.search_quality.table_data import Table
from benchmarks.search_quality.table_worlds import FlatTableWorld, FullLength, TableWorld
from benchmarks.search_quality.worlds import SYNTHETIC, SyntheticWorld, World
from search.evaluation import FINAL_REPLICATE, Arm, Candidate
from search.genome import Genome, keep_all, prefixes, transfer_all
from search.statistics import Interval

N_GENES, BRIEF, FULL, N_VALIDATION, N_TEST = 4, 6, 12, 50, 60
FACTORS, N_REPLICATES = (0.3, 1.0), 5


def table() -> tuple[Table, FullLength]:
    """Random answers of every mask; prefixes and pure masks are measured at full length."""
    rng = np.random.default_rng(0)
    subset = [keep_all(N_GENES), transfer_all(N_GENES), *prefixes(N_GENES)]
    subset.append(Genome.from_bitstring("1010"))
    document: dict[str, Any] = {
        "genes": list("abcd"),
        "brief_steps": BRIEF,
        "rung_steps": [0, 2],
        "subset_factors": FACTORS,
        "validation_samples": N_VALIDATION,
        "test_samples": N_TEST,
        "failed": 65535,
        "spec": {"final": {"steps": FULL}},
    }
    arrays: dict[str, Any] = {}
    for name in ("brief", "rung0", "rung2"):
        arrays[f"{name}_right"] = rng.integers(20, 40, (3, 2**N_GENES)).astype(np.uint16)
        arrays[f"{name}_loss"] = rng.random((3, 2**N_GENES)).astype(np.float16)
    arrays["subset"] = [Table.row(genome) for genome in subset]
    grid = (len(FACTORS), N_REPLICATES, len(subset))
    full = FullLength(
        {genome: row for row, genome in enumerate(subset)},
        FACTORS,
        rng.integers(20, 40, grid) / N_VALIDATION,
        rng.random((*grid, N_TEST)) < rng.random(N_TEST),
    )
    return Table(document, arrays), full


@pytest.fixture(autouse=True)
def _small_table(monkeypatch: pytest.MonkeyPatch) -> None:
    small = table()
    monkeypatch.setattr(table_worlds, "read", lambda _: small)


def finals(genome: Genome, arm: Arm, steps: int, count: int) -> list[Candidate]:
    return [Candidate(genome, steps, FINAL_REPLICATE + number, arm) for number in range(count)]


@pytest.mark.parametrize("name", SYNTHETIC)
def test_the_true_test_accuracy_is_the_mean_over_worlds(name: str) -> None:
    genome, arm = Genome.from_bitstring("0110010110"), Arm(0.003)
    errors = []
    for seed in range(200):
        world = SyntheticWorld(SYNTHETIC[name], seed)
        hits = world.test_hits(finals(genome, arm, world.setting.final.steps, 1))
        errors.append(hits.mean() - world.truth(genome, arm).test)
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(len(errors))


@pytest.mark.parametrize(
    "world",
    [
        SyntheticWorld(SYNTHETIC["hills"], 1),
        pytest.param("table", id="table"),
        pytest.param("flat", id="flat table"),
    ],
)
def test_the_true_fitness_is_the_mean_over_replicates(world: World | str) -> None:
    if isinstance(world, str):
        world = TableWorld("", 1) if world == "table" else FlatTableWorld("", 1, 2)
    genome, arm = keep_all(world.setting.n_genes), world.setting.arm
    candidates = finals(genome, arm, world.setting.final.steps, 1000)
    fitness = [evaluation.fitness for evaluation in world.evaluate(candidates)]
    found = np.array(fitness, dtype=np.float64)
    error = found.mean() - world.truth(genome, arm).fitness
    assert abs(error) < 4 * found.std() / np.sqrt(len(found))


def test_the_true_test_accuracy_of_a_table_is_the_mean_over_its_draws() -> None:
    genome, arm, means = prefixes(N_GENES)[1], Arm(0.3), []
    for seed in range(300):
        world = TableWorld("", seed)
        means.append(world.test_hits(finals(genome, arm, FULL, 2)).mean())
    error = np.mean(means) - TableWorld("", 0).truth(genome, arm).test
    assert abs(error) < 4 * np.std(means) / np.sqrt(len(means))


def test_masks_of_a_table_share_the_draw_of_a_replicate_and_those_of_a_flat_one_do_not() -> None:
    full = table()[1]
    pair = [keep_all(N_GENES), transfer_all(N_GENES)]
    for seed in range(20):
        world, flat = TableWorld("", seed), FlatTableWorld("", seed, 2)
        candidates = [Candidate(genome, FULL, 7, Arm(1.0)) for genome in pair]
        found = [evaluation.fitness for evaluation in world.evaluate(candidates)]
        assert found in full.fitness[1][:, :2].tolist()
        assert flat.truth(pair[0], Arm(0.3)) == flat.truth(pair[1], Arm(1.0))
    by_seed = [FlatTableWorld("", seed, 2).evaluate(candidates) for seed in range(20)]
    assert any(one.fitness != other.fitness for one, other in by_seed)


@pytest.mark.parametrize("landscape", ["synthetic:flat", "table:any"])
def test_a_simulated_search_can_be_repeated_and_counted(landscape: str) -> None:
    options = {"kind": "genetic", "population_size": 8, "surrogate": None}
    runs = []
    for _ in range(2):
        world = open_world(landscape, 3)
        runs.append(judged(world, search(world, options, 16, 3)))
    assert runs[0] == runs[1]
    counted = tally(runs)
    assert counted["searches"] == counted["intervals"]["test"]["count"] == 2
    assert sum(counted["codes"].values()) == 2
    assert landscape in render({landscape: counted | {"commit": "none"}})


def test_a_truth_outside_an_interval_is_a_miss_on_its_side() -> None:
    interval = Interval(0.5, 0.4, 0.6)
    assert Check("test", interval, 0.3).miss == "below"
    assert Check("test", interval, 0.7).miss == "above"
    assert Check("test", interval, 0.4).miss is None


def test_flat_landscapes_are_known() -> None:
    assert is_flat("flat:any:most")
    assert is_flat("synthetic:flat with tastes")
    assert not is_flat("synthetic:hills")
    assert not is_flat("table:any")
