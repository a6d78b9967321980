"""What the machine's cores can do at best: float32 matrix products, in one process or in one process per core."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from benchmarks.throughput.child import Child, Message, product_environment, serve

SIZES = (1024, 2048)
SECONDS = 0.4
MODULE = "benchmarks.throughput.peak"


class PeakMeter:
    """Measures the peak once per round, and keeps every value."""

    def __init__(self, cores: int) -> None:
        """Start one process with all threads, and one single-threaded process per core."""
        alone = Child(MODULE, ["--threads", str(cores)], product_environment(cores))
        side_by_side = [
            Child(MODULE, ["--threads", "1"], product_environment(1)) for _ in range(cores)
        ]
        self._settings = {
            f"1 process x {cores} threads": [alone],
            f"{cores} processes x 1 thread": side_by_side,
        }
        for child in [alone, *side_by_side]:
            child.receive()
        self.gflops: dict[str, list[float]] = {}

    def measure(self) -> None:
        """Take one value of every setting."""
        for setting, children in self._settings.items():
            for size in SIZES:
                for child in children:
                    child.send({"size": size})
                together = sum(child.receive()["gflops"] for child in children)
                self.gflops.setdefault(f"{setting}, {size} x {size}", []).append(together)

    def end(self) -> None:
        """End the processes."""
        for children in self._settings.values():
            for child in children:
                child.end()


def _start(threads: int) -> tuple[Message, Callable[[Message], Message]]:
    torch.set_num_threads(threads)
    factors = {size: (torch.randn(size, size), torch.randn(size, size)) for size in SIZES}
    products = {size: torch.empty(size, size) for size in SIZES}

    def respond(question: Message) -> Message:
        size = question["size"]
        started, count = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - started) < SECONDS:
            torch.mm(*factors[size], out=products[size])
            count += 1
        return {"gflops": 2 * size**3 * count / elapsed / 1e9}

    for size in SIZES:
        torch.mm(*factors[size], out=products[size])
    return {}, respond


def main() -> None:
    """Serve products with a number of threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, required=True)
    threads = parser.parse_args().threads
    serve(lambda: _start(threads))


if __name__ == "__main__":
    main()
