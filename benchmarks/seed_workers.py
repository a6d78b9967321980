"""Work in several processes, with one thread each, in the environment in which the service computes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from models.process_environment import computing_environment

Unit = TypeVar("Unit")
Measured = TypeVar("Measured")


def over_seed_processes(
    measure: Callable[[Unit], Measured],
    seeds: Sequence[Unit],
    workers: int,
    *,
    calls_per_process: int = 1,
) -> Iterator[Measured]:
    """Give what was measured at each seed as soon as it is there, in any order.

    Args:
        measure: A function of a module, or a partial of one; called in a process of its own.
        seeds: What it is called with; any unit of work that can be sent to a process will do.
        workers: Processes at the same time.
        calls_per_process: After so many, a process is replaced; more than one only where calls leave nothing behind.
    """
    # Read by new processes when they start, and when torch is loaded there.
    os.environ.update(computing_environment(os.environ, threads=1))
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers, maxtasksperchild=calls_per_process) as pool:
        yield from pool.imap_unordered(measure, seeds, chunksize=1)
