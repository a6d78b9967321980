"""The environment of processes that compute: what libraries read once, when a process starts.

Knows nothing about torch, so that it can be imported before torch is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping

# GNU OpenMP's threads spin for long while they wait for each other.  As soon as another process wants a core, a
# training step then waits for a thread that was put aside.  A short spin avoids that, and unlike none at all it costs
# little on idle cores.  Read when torch is loaded.
PATIENT_THREADS = {"GOMP_SPINCOUNT": "20000"}
# By default glibc gives the memory of freed activations back to the kernel, which hands it out again page by page,
# zeroed, at the next training step.  Kept, and in large pages, it costs a small CNN on 28x28 images 25 times fewer page
# faults and about a sixth less time, at the same peak.  The mapping threshold is the largest that glibc takes.  Read
# before a process's first line runs; other C libraries ignore it.
KEPT_MEMORY = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"
    ":glibc.malloc.mmap_threshold=33554432"
    ":glibc.malloc.trim_threshold=4294967296"
}


def computing_environment(base: Mapping[str, str], threads: int | None = None) -> dict[str, str]:
    """Give the environment for a process that is still to be started and will compute.

    Args:
        base: What it inherits; whatever an operator has set there stays as it is.
        threads: Of one computation, if that is known.  It replaces what was set: a plan decides, and results depend
            on it.
    """
    environment = PATIENT_THREADS | KEPT_MEMORY | dict(base)
    if threads is not None:
        environment |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return environment
