"""Optimizers: what to try next.  One file each; a new file is a new ``optimizer.kind``."""

from search.optimizer import OPTIMIZERS

__all__ = ["OPTIMIZERS"]
