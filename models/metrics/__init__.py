"""Metrics.  One file each; a new file is a new ``fitness.metric``."""

from models.scoring.metric import METRICS

__all__ = ["METRICS"]
