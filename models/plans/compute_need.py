"""How long training will take, guessed before anything runs: from arithmetic and what this machine computes.

What the network computes for a sample is counted on the meta device; a training step takes three times that (forward,
and twice as much backward: Kaplan et al., "Scaling Laws for Neural Language Models", 2020, section 2.1).  A search gets
a share of what the machine reaches in matrix products, the less the smaller the network.  The shares are those of
benchmarks/results/throughput.md; what is measured, by ``transfermask bench`` or by a running search, is better.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from models.data.blank_samples import blank_samples
from models.data.shapes import DataShape
from models.devices import available_cores

BACKWARD_AND_FORWARD = 3
# Of the machine's matrix products, what training reaches at most and at least.
HIGHEST_SHARE, LOWEST_SHARE = 0.7, 0.15
# What a step of one candidate takes beside arithmetic: fused with many others, and alone.
LEAST_STEP_SECONDS, MOST_STEP_SECONDS = 5e-5, 1.5e-3
# A network of more modules takes seconds to go through, even without computing anything.
MOST_MODULES = 3000
# Edge of the matrices, and products of which the fastest counts: some milliseconds in all.
EDGE, N_PRODUCTS = 512, 5


@dataclass(frozen=True, slots=True)
class Work:
    """What a search computes at most.

    Attributes:
        steps: Training steps of one candidate each.
        trained_samples: Samples that these steps see, over all steps.
        scored_samples: Samples that networks are scored on, over all trainings.
    """

    steps: int
    trained_samples: int
    scored_samples: int

    def flops(self, forward_flops: int) -> int:
        """Floating-point operations, of which the network needs so many for one sample."""
        return forward_flops * (BACKWARD_AND_FORWARD * self.trained_samples + self.scored_samples)

    def seconds(self, forward_flops: int, flops_per_second: float) -> tuple[float, float]:
        """Time at least and at most, on a machine of that many operations per second in matrix products."""
        ideal = self.flops(forward_flops) / flops_per_second
        return (
            ideal / HIGHEST_SHARE + self.steps * LEAST_STEP_SECONDS,
            ideal / LOWEST_SHARE + self.steps * MOST_STEP_SECONDS,
        )


def forward_flops(network: nn.Module, shape: DataShape) -> int | None:
    """Count what a network on the meta device computes for one sample; None where that cannot be seen there.

    Products and convolutions count, as torch counts them, for samples of the longest length.
    """
    if sum(1 for _ in network.modules()) > MOST_MODULES:
        return None
    inputs = blank_samples(shape, 1, "meta")
    was_training = network.training
    try:
        # Some look at what a mask says, which needs memory; without one they compute as much.
        for names in (inputs.keys(), inputs.keys() - {"attention_mask"}):
            try:
                with torch.no_grad(), FlopCounterMode(display=False) as counter:
                    network.eval()(**{name: inputs[name] for name in names})
            except Exception:  # noqa: BLE001 - networks of libraries and users raise what they like
                continue
            return counter.get_total_flops() or None
        return None
    finally:
        network.train(was_training)


def flops_per_second() -> float:
    """What this machine's cores reach together in float32 matrix products, if nothing else keeps them busy.

    Measured on one of them: products that several share wait for whatever else is running.
    """
    factor = np.ones((EDGE, EDGE), dtype=np.float32)
    fastest = float("inf")
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in range(N_PRODUCTS):
            started = time.perf_counter()
            factor @ factor
            fastest = min(fastest, time.perf_counter() - started)
    return 2 * EDGE**3 / fastest * available_cores()
