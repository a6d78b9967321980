"""One process per seed, several at a time, with one thread each, in the environment in which the service computes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from models.process_environment import computing_environment

Measured = TypeVar("Measured")


def over_seed_processes(
    measure: Callable[[int], Measured], seeds: Sequence[int], workers: int
) -> Iterator[Measured]:
    """Give what was measured at each seed as soon as it is there, in any order.

    Args:
        measure: A function of a module, or a partial of one; called in a process of its own.
        seeds: What it is called with.
        workers: Processes at the same time.
    """
    # Read by new processes when they start, and when torch is loaded there.
    os.environ.update(computing_environment(os.environ, threads=1))
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, maxtasksperchild=1) as pool:
        yield from pool.imap_unordered(measure, seeds, chunksize=1)
