"""Optimizers: what to try next.  One file each; a new file is a new ``optimizer.kind``."""

from __future__ import annotations

from typing import Any

from search.optimizer import OPTIMIZERS, Optimizer, OptimizerConfig, SearchProblem
from search.proposing.rungs import RungedConfig, RungScreen

__all__ = ["OPTIMIZERS", "build_optimizer"]


def build_optimizer(config: OptimizerConfig, problem: SearchProblem, seed: int) -> Optimizer:
    """Construct the optimizer that options name, with its rungs, if it has any."""
    plugin: Any = OPTIMIZERS.plugin(config.kind)
    optimizer: Optimizer = plugin(config, problem, seed)
    if isinstance(config, RungedConfig) and config.rungs is not None:
        return RungScreen(optimizer, config.rungs, problem)
    return optimizer
